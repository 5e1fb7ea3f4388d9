package hub

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"unicode/utf8"

	"holdfast/internal/floor"
)

// ErrMoved is returned by Publish after Moved.
var ErrMoved = errors.New("another process has taken over the channels")

// origin is where a hub begins.
type origin struct {
	// Static after construction, or after Import.
	rules string // Options.Rules
	start ID
	seed  uint32 // of slots

	// Guarded by Hub.mu.
	moved   bool                     // see Image.Moved
	awaited map[string]*ChannelImage // channels of an image that may have subscribers; nil but between Import and Adopted
}

// Image is what a hub has besides its channels, so that the hub of another process can continue: with the same IDs, the
// same history, and no false gap. It has no subscribers, as they move by themselves.
type Image struct {
	Start, Last    ID
	Seed           uint32   // of Lost and Patterns
	Lost, Patterns []ID     // floors of deleted channels, and of patterns; the latter nil if the hub has none
	Occupied       []string // watched channels that have subscribers

	Runs     []Run // of a hub with a store; the last one is this process
	Slots    []ID  // floors of deleted channels with a store
	Reserved ID

	Published, Refused, Evicted, Delivered uint64 // of Stats

	hub *Hub // nil in another process
}

// ChannelImage is a channel of an image.
type ChannelImage struct {
	Name        string
	Floor, Last ID
	Kept        bool     // its history is in the store, too
	Records     []Record // its history
}

// ImageOf returns a hub's image. Nobody may publish, subscribe or leave from then on, and Save must have returned.
func ImageOf(h *Hub) *Image {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &Image{
		hub: h, Start: h.origin.start, Last: h.last, Seed: h.origin.seed, Lost: slices.Clone(h.lost[:]), Patterns: slices.Clone(h.wild.lost),
		Published: h.publishes.accepted, Refused: h.publishes.refused, Evicted: h.held.evicted,
	}
	for i := range h.lanes {
		m.Delivered += h.lanes[i].delivered.Load()
	}
	for _, ch := range h.channels {
		if ch.watched && ch.subscribers > 0 {
			m.Occupied = append(m.Occupied, ch.name)
		}
	}
	if s := h.saving; s != nil {
		m.Runs, m.Slots, m.Reserved = slices.Clone(s.runs), slices.Clone(s.lost), s.reserved
		m.Runs[len(m.Runs)-1].Last = h.last
	}
	return m
}

// EachChannel calls f with every channel of the hub, the least recently used first, and ends with its first error. f
// must not keep what it gets.
func (m *Image) EachChannel(f func(*ChannelImage) error) error {
	h := m.hub
	h.mu.Lock()
	list := make([]*channel, 0, len(h.channels))
	for k := h.held.root.prev; k != &h.held.root; k = k.prev {
		list = append(list, k.channel)
	}
	for _, ch := range h.channels {
		if ch.hist == nil && !ch.pattern {
			list = append(list, ch)
		}
	}
	h.mu.Unlock()
	var room []Record
	for _, ch := range list {
		h.mu.Lock()
		c := &ChannelImage{Name: ch.name, Floor: ch.floor, Last: ch.last, Kept: ch.kept, Records: room[:0]}
		before := ch.floor
		for i := 0; ch.hist != nil && i < ch.hist.n; i++ {
			r := h.held.records.load(ch.hist.at(i), ch.name).record(before)
			c.Records, before = append(c.Records, r), r.ID
		}
		h.mu.Unlock()
		if err := f(c); err != nil {
			return err
		}
		room = c.Records
	}
	return nil
}

// Moved ends the hub after another one continues with its image: Publish returns ErrMoved.
func (m *Image) Moved() {
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.origin.moved = true
}

// ErrOtherStore is returned by Import for the image of a hub with another store, or with none.
var ErrOtherStore = errors.New("history is stored in another place than before: restart to change that")

// Importer brings an image into a hub, as far as its rules and limits allow.
type Importer struct {
	h    *Hub
	data map[ID][]byte // large data, which several channels may share
}

// Import begins an import into a hub that was just made by New. The store, nil if the image's hub has none, is written by the first Save.
func Import(h *Hub, m *Image, store Store) (*Importer, error) {
	h.origin.start, h.last, h.origin.seed = m.Start, m.Last, m.Seed
	h.publishes.accepted, h.publishes.refused, h.held.evicted = m.Published, m.Refused, m.Evicted
	h.lanes[0].delivered.Store(m.Delivered)
	floor.Restore(h.lost[:], m.Lost, m.Last)
	floor.Restore(h.wild.lost, m.Patterns, m.Last)
	h.origin.awaited = make(map[string]*ChannelImage)
	for _, name := range m.Occupied {
		h.occupancies.Note(name, false) // until somebody joins
	}
	x := &Importer{h: h, data: map[ID][]byte{}}
	if store == nil && len(m.Runs) == 0 {
		return x, nil
	} else if store == nil || len(m.Runs) == 0 {
		return nil, ErrOtherStore
	}
	state, err := store.Load()
	switch n := len(state.Runs); {
	case err != nil:
		return nil, err
	case n == 0 || state.Foreign || state.Runs[n-1].First != m.Runs[len(m.Runs)-1].First:
		return nil, ErrOtherStore
	}
	h.saving = &saving{
		store: store, runs: m.Runs, lost: make([]ID, lostSlots), reserved: m.Reserved,
		wakec: make(chan struct{}, 1), turnc: make(chan struct{}),
	}
	if state.Rules == h.origin.rules {
		floor.Restore(h.saving.lost, m.Slots, m.Last)
	} else {
		floor.Restore(h.saving.lost, nil, m.Last)
		h.saving.begin = &Begin{Reset: true, Origin: m.Last, Rules: h.origin.rules}
	}
	return x, nil
}

// Channel imports a channel, and keeps none of it but the data.
func (x *Importer) Channel(m *ChannelImage) {
	h := x.h
	rule, ok := h.rule(m.Name)
	if !ok {
		rule = History{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.saving != nil && rule.Messages > 0
	if m.Kept && !kept {
		for _, r := range m.Records {
			h.saving.unsaved = append(h.saving.unsaved, Change{Op: Drop, Record: Record{ID: r.ID, Channel: r.Channel}})
		}
	}
	h.origin.awaited[m.Name] = &ChannelImage{Floor: m.Floor, Last: m.Last, Kept: kept}
	if len(m.Records) == 0 {
		return
	}
	if kept && m.Kept {
		h.saving.loading = true
		defer func() { h.saving.loading = false }()
	}
	ch := h.channelLocked(m.Name, kept)
	for _, r := range m.Records {
		data := x.data[r.ID]
		if data == nil || !bytes.Equal(data, r.Data) {
			if data = r.Data; len(data) >= largeData {
				x.data[r.ID] = data
			}
		}
		h.keepLocked(ch, &Message{
			ID: r.ID, Channel: ch.name, Event: r.Event, Data: data, JSON: r.JSON, Binary: !utf8.Valid(data), at: r.At,
		}, rule)
	}
	if ch.hist == nil { // its rule stores nothing any more
		h.origin.awaited[m.Name] = &ChannelImage{Floor: ch.floor, Last: ch.last, Kept: kept}
	}
	h.forgetLocked(ch)
}

// End ends the import, before anybody joins.
func (x *Importer) End() {
	h := x.h
	h.Sweep(h.now())
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*history
	for k := h.held.root.next; k != &h.held.root && h.wild.lost != nil; k = k.next {
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b *history) int { return cmp.Compare(a.newest(), b.newest()) })
	for _, k := range list {
		h.wild.moveToFront(k)
	}
}

// Adopted is called when all subscribers of the image have joined again. Only then TakeOccupancy may be called.
func (x *Importer) Adopted() {
	h := x.h
	h.mu.Lock()
	for name, m := range h.origin.awaited {
		lost := h.lostFloor(name, h.saving != nil && m.Kept)
		*lost = max(*lost, m.Floor)
	}
	h.origin.awaited = nil
	changed := tellsLocked(h)
	h.mu.Unlock()
	h.tellOccupancy(changed)
}
