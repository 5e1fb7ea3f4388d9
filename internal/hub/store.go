package hub

import (
	"bytes"
	"math/rand/v2"
	"sort"
	"unicode/utf8"

	"holdfast/internal/floor"
)

// Store stores history beyond the end of the process. Its methods are called by one goroutine at a time and may block.
type Store interface {
	// Load returns the State that earlier Commits have left; the zero State for a new store.
	Load() (State, error)

	// Each calls f with every record, by growing ID. f keeps the record's data, so don't reuse it. Each ends with the
	// first error of f.
	Each(f func(Record) error) error

	// Commit stores a batch, completely or not at all. It must not keep the batch.
	Commit(Batch) error
}

// Record is a stored message. A channel's records have no holes between them.
type Record struct {
	ID             ID
	Before         ID // ID of the channel's message before this one
	Channel, Event string
	Data           []byte
	JSON           bool
	At             int64 // Unix nanoseconds
}

// Op is the kind of a Change.
type Op uint8

const (
	Keep Op = iota // the record is new
	Drop           // the record of this ID and Channel is dropped
	Lose           // a channel has lost everything up to ID: raises Slot of State.Lost to it
)

// Change is one change of a store.
type Change struct {
	Op   Op
	Slot uint32 // of Lose
	Record
}

// Run is the range of IDs that a process has given out, as far as the store knows. Messages with other IDs were never
// in the store.
type Run struct{ First, Last ID }

// State is the data of a store besides its records.
type State struct {
	Runs     []Run         // by growing First
	Reserved ID            // the newest ID that may have been given out
	Origin   ID            // value of all slots that are not in Lost
	Lost     map[uint32]ID // floors of channels without records, by slot
	Rules    string        // Options.Rules
	Foreign  bool          // it is a copy, or another program has changed it, so messages may be missing
}

// Batch is the argument of a Commit.
type Batch struct {
	Changes  []Change // in this order
	Run      Run      // replaces the run with this First
	Reserved ID       // replaces State.Reserved
	Begin    *Begin   // set in the first batch of a process
}

// Begin has the changes at the start of a process.
type Begin struct {
	Forget []Run  // runs to be removed
	Reset  bool   // empties Lost and sets Origin and Rules
	Origin ID     // with Reset
	Rules  string // with Reset
}

// lostSlots is how many floors channels without records share: 512 KiB.
const lostSlots = 1 << 16

// maxRuns is how many earlier processes a store knows the IDs of.
const maxRuns = 1024

// idLease is how far ahead IDs are reserved, so that those of the next process are greater than all given out, whatever
// its clock says: about a minute.
const idLease ID = 1 << 36

// lostSlot is the same in every process.
func lostSlot(name string) uint32 { return floor.Slot(0, name) % lostSlots }

// Open returns a hub that continues with the history of the store, as far as the present rules and limits allow.
// Messages are stored only while Save runs.
func Open(o Options, store Store) (*Hub, error) {
	h := New(o)
	state, err := store.Load()
	if err != nil {
		return nil, err
	}
	// Two processes may continue from copies of one store. IDs of the other one must not look like IDs of this one.
	first := max(h.origin.start, state.Reserved+1) + rand.N(idLease)
	batch := Batch{Run: Run{First: first, Last: first}, Begin: &Begin{}}
	if len(state.Runs) == 0 || state.Rules != o.Rules {
		state.Origin, state.Lost = first, nil
		batch.Begin.Reset, batch.Begin.Origin, batch.Begin.Rules = true, first, o.Rules
	}
	n := len(state.Runs) - maxRuns + 1
	if state.Foreign { // with any ID, a client may have missed messages
		n = len(state.Runs)
	}
	if n > 0 {
		batch.Begin.Forget, state.Runs = state.Runs[:n], state.Runs[n:]
	}
	runs := append(state.Runs, batch.Run)
	h.saving = &saving{
		store: store, runs: runs, lost: make([]ID, lostSlots), reserved: first + idLease,
		loading: true, wakec: make(chan struct{}, 1), turnc: make(chan struct{}),
	}
	for i := range h.saving.lost {
		h.saving.lost[i] = state.Origin
	}
	for slot, id := range state.Lost {
		h.saving.lost[slot%lostSlots] = id
	}
	h.origin.start, h.last = runs[0].First, first
	for i := range h.lost {
		h.lost[i] = first // messages of channels without records may be lost
	}
	var last *Message
	err = store.Each(func(r Record) error {
		last = h.restore(r, last)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.Sweep(h.now())
	for i := range h.wild.lost {
		h.wild.lost[i] = first // the floors of patterns are not stored
	}

	s := h.saving
	s.loading = false
	batch.Changes, batch.Reserved = s.unsaved, s.reserved
	if err := store.Commit(batch); err != nil {
		return nil, err
	}
	s.unsaved, s.saved = nil, first
	return h, nil
}

// restore puts a record back into history, as far as the present rules allow. last is its previous result: a message on
// several channels shares its data.
func (h *Hub) restore(r Record, last *Message) *Message {
	rule, ok := h.rule(r.Channel)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.saving
	if !ok || rule.Messages <= 0 {
		s.unsaved = append(s.unsaved, Change{Op: Drop, Record: Record{ID: r.ID, Channel: r.Channel}})
		slot := lostSlot(r.Channel)
		s.lost[slot] = max(s.lost[slot], r.ID)
		s.unsaved = append(s.unsaved, Change{Op: Lose, Slot: slot, Record: Record{ID: r.ID}})
		return last
	}
	m := &Message{
		ID: r.ID, Event: r.Event, Data: r.Data, JSON: r.JSON, Binary: !utf8.Valid(r.Data), at: r.At,
	}
	if last != nil && last.ID == m.ID && bytes.Equal(last.Data, m.Data) {
		m.Data = last.Data
	}
	ch := h.channelLocked(r.Channel, true)
	m.Channel = ch.name
	if k := ch.hist; k != nil && k.newest() != r.Before {
		for ch.hist != nil { // history has no holes
			h.evictLocked(ch.hist)
		}
	}
	if ch.hist == nil {
		ch.floor = r.Before
	}
	ch.last = m.ID
	h.keepLocked(ch, m, rule)
	h.forgetLocked(ch)
	return m
}

// keptOf returns which of the names have a history in the store; nil without a store. It is called before the lock.
func (h *Hub) keptOf(names []string, room []bool) []bool {
	if h.saving == nil {
		return nil
	}
	for _, name := range names {
		rule, ok := h.rule(name)
		room = append(room, ok && rule.Messages > 0)
	}
	return room
}

// gapLocked reports whether a client that resumes after an ID may have missed messages of a channel with this floor,
// and up to which ID.
func (h *Hub) gapLocked(floor, after ID) (through ID, gap bool) {
	if h.saving != nil {
		if next := h.saving.unknown(after); next != 0 {
			return max(floor, next), true
		}
	}
	return floor, after < floor
}

// unknown returns 0 if a known process has given out the ID, and otherwise the first ID of the next one.
func (s *saving) unknown(id ID) ID {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].First > id })
	switch {
	case i == len(s.runs), i > 0 && id <= s.runs[i-1].Last:
		return 0
	}
	return s.runs[i].First
}

// record returns the record of m for a store.
func (m *Message) record(before ID) Record {
	return Record{
		ID: m.ID, Before: before, Channel: m.Channel, Event: m.Event, Data: m.Data, JSON: m.JSON, At: m.at,
	}
}
