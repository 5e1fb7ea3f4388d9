package hub

import (
	"encoding/binary"

	"holdfast/internal/slab"
)

// stored is a message in the history of a channel. Its text in the slab has a head, the event and the data.
type stored struct {
	id   ID
	text slab.Ref
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
	flagLarge // the text has, instead of the data, 4 bytes: the data's number in records.large
)

// records has the texts of all stored messages.
type records struct {
	slab  slab.Slab
	large [][]byte // data of at least largeRecord bytes, which is kept as it is
	holes []uint32 // in large
}

// largeRecord is the size from which data is kept as it is.
const largeRecord = 4 << 10

// maxRecords limits Options.HistoryTotal, so that the slab has blocks for it: its texts take no more than this is counted.
const maxRecords = slab.MaxBlocks / 2 * slab.HeadSize

// store stores m.
func (s *records) store(m *Message) stored {
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
	large := len(m.Data) >= largeRecord
	if large {
		head[headFlags] |= flagLarge
	}
	w := s.slab.Writer()
	slab.Append(&w, head[:])
	slab.Append(&w, m.Event)
	if large {
		var number [4]byte
		binary.LittleEndian.PutUint32(number[:], s.keepLarge(m.Data))
		slab.Append(&w, number[:])
	} else {
		slab.Append(&w, m.Data)
	}
	return stored{id: m.ID, text: w.Text(), size: uint32(len(m.Data) + len(m.Event))}
}

// drop frees the text of a stored message.
func (s *records) drop(m stored) {
	if head := s.slab.Head(m.text); head[headFlags]&flagLarge != 0 {
		r := s.slab.Reader(m.text, headSize+int(binary.LittleEndian.Uint32(head[headEvent:])))
		i := number(&r)
		s.large[i] = nil
		if s.holes = append(s.holes, i); len(s.holes) == len(s.large) {
			s.large, s.holes = nil, nil
		}
	}
	s.slab.Free(m.text)
}

func (s *records) keepLarge(b []byte) uint32 {
	if n := len(s.holes); n > 0 {
		i := s.holes[n-1]
		s.holes = s.holes[:n-1]
		s.large[i] = b
		return i
	}
	s.large = append(s.large, b)
	return uint32(len(s.large) - 1)
}

// number reads a number of records.large.
func number(r *slab.Reader) uint32 {
	var b [4]byte
	r.Read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// time returns from when the age of a stored message counts, and setTime changes it.
func (s *records) time(m stored) int64 {
	return int64(binary.LittleEndian.Uint64(s.slab.Head(m.text)[headAt:]))
}

func (s *records) setTime(m stored, at int64) {
	binary.LittleEndian.PutUint64(s.slab.Head(m.text)[headAt:], uint64(at))
}

// load returns a copy of a stored message, for a channel of this name.
func (s *records) load(m stored, channel string) *Message {
	head := s.slab.Head(m.text)
	flags := head[headFlags]
	c := &Message{
		ID: m.id, Channel: channel, JSON: flags&flagJSON != 0, Binary: flags&flagBinary != 0, at: s.time(m),
	}
	data, event := binary.LittleEndian.Uint32(head[headData:]), binary.LittleEndian.Uint32(head[headEvent:])
	r := s.slab.Reader(m.text, headSize)
	if event > 0 {
		var room [64]byte
		name := room[:]
		if event > uint32(len(room)) {
			name = make([]byte, event)
		}
		r.Read(name[:event])
		c.Event = string(name[:event])
	}
	if flags&flagLarge != 0 {
		c.Data = s.large[number(&r)]
	} else {
		c.Data = make([]byte, data)
		r.Read(c.Data)
	}
	return c
}
