package slab

import "encoding/binary"

// Record is a message as a text. Its user has all bits of Flags but the highest.
type Record struct {
	At    int64
	Event string
	Data  []byte // one that is large is kept as it is, so don't change it
	Flags byte
}

// The head of a record's text. The event follows, and then the data.
const (
	recordAt    = 0  // 8 bytes
	recordData  = 8  // 4 bytes: length of the data
	recordEvent = 12 // 4 bytes: length of the event
	recordFlags = 16

	// RecordHead is the bytes of a record's text before the event.
	RecordHead = 17
)

// flagLarge says that a record's text has, instead of the data, 4 bytes: the data's number in Records.large.
const flagLarge = 0x80

// LargeRecord is the size from which data is kept as it is.
const LargeRecord = 4 << 10

// Records has the texts of records. The zero Records is empty.
type Records struct {
	Slab  Slab
	large [][]byte // data of at least LargeRecord bytes, which is kept as it is
	holes []uint32 // in large
}

// Store stores a record.
func (s *Records) Store(m Record) Ref {
	var head [RecordHead]byte
	binary.LittleEndian.PutUint64(head[recordAt:], uint64(m.At))
	binary.LittleEndian.PutUint32(head[recordData:], uint32(len(m.Data)))
	binary.LittleEndian.PutUint32(head[recordEvent:], uint32(len(m.Event)))
	head[recordFlags] = m.Flags
	large := len(m.Data) >= LargeRecord
	if large {
		head[recordFlags] |= flagLarge
	}
	w := s.Slab.Writer()
	Append(&w, head[:])
	Append(&w, m.Event)
	if large {
		var number [4]byte
		binary.LittleEndian.PutUint32(number[:], s.keepLarge(m.Data))
		Append(&w, number[:])
	} else {
		Append(&w, m.Data)
	}
	return w.Text()
}

// Drop frees a record.
func (s *Records) Drop(t Ref) {
	if head := s.Slab.Head(t); head[recordFlags]&flagLarge != 0 {
		r := s.Slab.Reader(t, RecordHead+int(binary.LittleEndian.Uint32(head[recordEvent:])))
		i := number(&r)
		s.large[i] = nil
		if s.holes = append(s.holes, i); len(s.holes) == len(s.large) {
			s.large, s.holes = nil, nil
		}
	}
	s.Slab.Free(t)
}

func (s *Records) keepLarge(b []byte) uint32 {
	if n := len(s.holes); n > 0 {
		i := s.holes[n-1]
		s.holes = s.holes[:n-1]
		s.large[i] = b
		return i
	}
	s.large = append(s.large, b)
	return uint32(len(s.large) - 1)
}

// number reads a number of Records.large.
func number(r *Reader) uint32 {
	var b [4]byte
	r.Read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// Time returns Record.At.
func (s *Records) Time(t Ref) int64 {
	return int64(binary.LittleEndian.Uint64(s.Slab.Head(t)[recordAt:]))
}

// SetTime changes Record.At.
func (s *Records) SetTime(t Ref, at int64) {
	binary.LittleEndian.PutUint64(s.Slab.Head(t)[recordAt:], uint64(at))
}

// Load returns a copy of a record. Large data is not copied.
func (s *Records) Load(t Ref) Record {
	head := s.Slab.Head(t)
	m := Record{At: s.Time(t), Flags: head[recordFlags] &^ flagLarge}
	data, event := binary.LittleEndian.Uint32(head[recordData:]), binary.LittleEndian.Uint32(head[recordEvent:])
	r := s.Slab.Reader(t, RecordHead)
	if event > 0 {
		var room [64]byte
		name := room[:]
		if event > uint32(len(room)) {
			name = make([]byte, event)
		}
		r.Read(name[:event])
		m.Event = string(name[:event])
	}
	if head[recordFlags]&flagLarge != 0 {
		m.Data = s.large[number(&r)]
	} else {
		m.Data = make([]byte, data)
		r.Read(m.Data)
	}
	return m
}
