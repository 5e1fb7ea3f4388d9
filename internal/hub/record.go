package hub

import "encoding/binary"

// stored is a message in the history of a channel. Its text in the slab has a head, the event and the data.
type stored struct {
	id   ID
	text blockRef
	size uint32 // bytes of data and event name
}

// storedCost is the memory of a stored message without its data and its event: its entry in the history's ring, which
// grows by doubling, and the head and the unfilled part of its blocks.
const storedCost = 96

func (m stored) cost() int64 { return storedCost + int64(m.size) }

// The head of a text.
const (
	headAt    = 0  // 8 bytes: from when its age counts, Unix nanoseconds
	headData  = 8  // 4 bytes: length of the data
	headEvent = 12 // 4 bytes: length of the event
	headFlags = 16
	headSize  = 17
)

// Flags of a text.
const (
	flagJSON = 1 << iota
	flagBinary
	flagLarge // the text has, instead of the data, 4 bytes: the data's number in slab.large
)

// store puts m into the slab.
func (s *slab) store(m *Message) stored {
	var head [headSize]byte
	binary.LittleEndian.PutUint64(head[headAt:], uint64(m.at))
	binary.LittleEndian.PutUint32(head[headData:], uint32(len(m.Data)))
	binary.LittleEndian.PutUint32(head[headEvent:], uint32(len(m.Event)))
	if m.JSON {
		head[headFlags] |= flagJSON
	}
	if m.Binary {
		head[headFlags] |= flagBinary
	}
	large := len(m.Data) >= largeText
	if large {
		head[headFlags] |= flagLarge
	}
	w := slabWriter{slab: s}
	appendText(&w, head[:])
	appendText(&w, m.Event)
	if large {
		var number [4]byte
		binary.LittleEndian.PutUint32(number[:], s.keepLarge(m.Data))
		appendText(&w, number[:])
	} else {
		appendText(&w, m.Data)
	}
	return stored{id: m.ID, text: w.first, size: uint32(len(m.Data) + len(m.Event))}
}

// drop frees the text of a stored message.
func (s *slab) drop(m stored) {
	b := s.at(m.text)
	if b.text[headFlags]&flagLarge != 0 {
		r := slabReader{slab: s, at: m.text}
		r.skip(headSize + int(binary.LittleEndian.Uint32(b.text[headEvent:])))
		s.freeLarge(r.number())
	}
	s.free(m.text)
}

// time returns from when the age of a stored message counts, and setTime changes it.
func (s *slab) time(m stored) int64 {
	return int64(binary.LittleEndian.Uint64(s.at(m.text).text[headAt:]))
}

func (s *slab) setTime(m stored, at int64) {
	binary.LittleEndian.PutUint64(s.at(m.text).text[headAt:], uint64(at))
}

// load returns a copy of a stored message, for a channel of this name.
func (s *slab) load(m stored, channel string) *Message {
	head := s.at(m.text).text[:headSize]
	flags := head[headFlags]
	c := &Message{
		ID: m.id, Channel: channel, JSON: flags&flagJSON != 0, Binary: flags&flagBinary != 0, at: s.time(m),
	}
	data, event := binary.LittleEndian.Uint32(head[headData:]), binary.LittleEndian.Uint32(head[headEvent:])
	r := slabReader{slab: s, at: m.text}
	r.skip(headSize)
	if event > 0 {
		var room [64]byte
		name := room[:]
		if event > uint32(len(room)) {
			name = make([]byte, event)
		}
		r.read(name[:event])
		c.Event = string(name[:event])
	}
	if flags&flagLarge != 0 {
		c.Data = s.large[r.number()]
	} else {
		c.Data = make([]byte, data)
		r.read(c.Data)
	}
	return c
}
