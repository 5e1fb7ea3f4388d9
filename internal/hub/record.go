package hub

import "holdfast/internal/slab"

// stored is a message in the history of a channel.
type stored struct {
	id   ID
	text slab.Ref
	size uint32 // bytes of data and event name
}

// storedCost is the memory of a stored message without its data and its event: its entry in the history's ring, which
// grows by doubling, and the head and the unfilled part of its blocks.
const storedCost = 96

func (m stored) cost() int64 { return storedCost + int64(m.size) }

// Flags of a record.
const (
	flagJSON = 1 << iota
	flagBinary
)

// maxRecords limits Options.HistoryTotal, so that the slab has blocks for it: its texts take no more than this is counted.
const maxRecords = slab.MaxBlocks / 2 * slab.HeadSize

// records has the texts of all stored messages.
type records struct{ slab.Records }

// store stores m.
func (s *records) store(m *Message) stored {
	r := slab.Record{At: m.at, Event: m.Event, Data: m.Data}
	if m.JSON {
		r.Flags |= flagJSON
	}
	if m.Binary {
		r.Flags |= flagBinary
	}
	return stored{id: m.ID, text: s.Store(r), size: uint32(len(m.Data) + len(m.Event))}
}

// load returns a copy of a stored message, for a channel of this name.
func (s *records) load(m stored, channel string) *Message {
	r := s.Load(m.text)
	return &Message{
		ID: m.id, Channel: channel, Event: r.Event, Data: r.Data,
		JSON: r.Flags&flagJSON != 0, Binary: r.Flags&flagBinary != 0, at: r.At,
	}
}
