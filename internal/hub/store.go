package hub

import (
	"bytes"
	"math/rand/v2"
	"sort"
	"unicode/utf8"
)

// Store keeps history where it outlives the process. Its methods are called by one goroutine at a time and may block.
type Store interface {
	// Load returns what the Commits before have left beside the records; of a new store the zero State.
	Load() (State, error)

	// Each calls f with every record, by growing id. The hub keeps what f is given. An error of f ends it.
	Each(f func(Record) error) error

	// Commit makes a batch last, all of it or nothing. It keeps nothing of the batch.
	Commit(Batch) error
}

// Record is a message as a store has it. A channel's messages are a run without holes.
type Record struct {
	ID             ID
	Before         ID // the newest message of the channel before this one; nothing older than Before is owed with it
	Channel, Event string
	Data           []byte
	JSON           bool
	At             int64 // Unix nanoseconds
}

// Op is what a Change does.
type Op uint8

const (
	Keep Op = iota // the record is new
	Drop           // the record of this ID and Channel goes
	Lose           // nothing is kept of a channel up to ID: Slot of State.Lost is that much at least
)

// Change is one step from what a store has to what it is to have.
type Change struct {
	Op   Op
	Slot uint32 // of Lose
	Record
}

// Run says which ids a process has given out that are known to the store. Others are of messages that it never had.
type Run struct{ First, Last ID }

// State is what a store has beside records.
type State struct {
	Runs     []Run         // by growing First
	Reserved ID            // the newest id that may have been given out
	Origin   ID            // of all slots that are not in Lost
	Lost     map[uint32]ID // what channels have lost of which nothing is kept
	Rules    string        // Options.Rules
	Foreign  bool          // it is a copy, or was changed by somebody else: what is missing since is not known
}

// Batch is what a store takes at once.
type Batch struct {
	Changes  []Change // in this order
	Run      Run      // replaces the run with this First
	Reserved ID       // replaces State.Reserved
	Begin    *Begin   // of the first batch of a process; else nil
}

// Begin is what a process changes when it begins.
type Begin struct {
	Forget []Run  // runs to be removed
	Reset  bool   // empties Lost and sets Origin and Rules
	Origin ID     // with Reset
	Rules  string // with Reset
}

// lostSlots is how many entries channels of which a store has nothing share: 512 KiB.
const lostSlots = 1 << 16

// maxRuns is how many processes back a client's id is known.
const maxRuns = 1024

// idLease is how far ahead ids are reserved, so that those of the next process are above all that were given out, whatever
// the clock says: about a minute of it.
const idLease ID = 1 << 36

// lostSlot is a hash that is the same in every process (FNV-1a).
func lostSlot(name string) uint32 {
	sum := uint32(2166136261)
	for i := range len(name) {
		sum = (sum ^ uint32(name[i])) * 16777619
	}
	return (sum ^ sum>>16) % lostSlots
}

// Open returns a hub that goes on where the last one with this store ended. What was kept is subject to the rules and
// bounds of today. Save has to run for messages to get into the store.
func Open(o Options, store Store) (*Hub, error) {
	h := New(o)
	state, err := store.Load()
	if err != nil {
		return nil, err
	}
	// Two processes may go on from copies of one store. Ids that the other one gives out must not look like ours.
	first := max(h.start, state.Reserved+1) + rand.N(idLease)
	batch := Batch{Run: Run{First: first, Last: first}, Begin: &Begin{}}
	if len(state.Runs) == 0 || state.Rules != o.Rules {
		state.Origin, state.Lost = first, nil
		batch.Begin.Reset, batch.Begin.Origin, batch.Begin.Rules = true, first, o.Rules
	}
	n := len(state.Runs) - maxRuns + 1
	if state.Foreign { // whatever id a client has, it may have missed something
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
	h.start, h.last = runs[0].First, first
	for i := range h.lost {
		h.lost[i] = first // of what is not kept, nothing is known
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
		h.wild.lost[i] = first // it is not stored what patterns have lost
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

// restore puts a record back into history, as far as the rules of today keep it. Last is what it returned before: the
// same message on several channels shares its data.
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
	if k := ch.hist; k != nil && k.at(k.n-1).ID != r.Before {
		for ch.hist != nil { // a run has no holes
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

// keptOf asks the rule about every name, before the lock; nil without a store.
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

// gapLocked reports whether a client that has all up to after may lack something of a channel with this floor, and up to
// which id.
func (h *Hub) gapLocked(floor, after ID) (through ID, gap bool) {
	if h.saving != nil {
		if next := h.saving.unknown(after); next != 0 {
			return max(floor, next), true
		}
	}
	return floor, after < floor
}

// unknown returns 0 if a process that is known has given out the id, and else where the next one began.
func (s *saving) unknown(id ID) ID {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].First > id })
	switch {
	case i == len(s.runs), i > 0 && id <= s.runs[i-1].Last:
		return 0
	}
	return s.runs[i].First
}

// record returns m as a store keeps it.
func (m *Message) record(before ID) Record {
	return Record{
		ID: m.ID, Before: before, Channel: m.Channel, Event: m.Event, Data: m.Data, JSON: m.JSON, At: m.at,
	}
}
