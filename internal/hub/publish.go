package hub

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

var (
	ErrNoChannel = errors.New("message without a channel")
	ErrNoRule    = errors.New("no rule for this channel")
	ErrBusy      = errors.New("too much is waiting to be delivered")
)

// Draft is a message to be. The hub keeps Data, which must not be changed any more.
type Draft struct {
	Channels []string // at least one; repetitions do not matter
	Event    string
	Data     []byte
	JSON     bool // Data is one JSON value
	Track    bool // the receipt is to have a Track
}

// Receipt says what became of a draft.
type Receipt struct {
	ID          ID
	Subscribers int // who the message is on its way to
	Track       *Track
	Kept        bool // by a store, or will be: see Hub.Saved
}

// preparedDraft is a draft whose messages are made and checked, without an id.
type preparedDraft struct {
	messages []*Message // one per channel, without id
	rules    []History
	kept     bool // a store keeps something of one of its channels
	track    *Track
}

// Publish accepts all drafts, in their order, or returns an error and accepts none: ErrNoChannel, ErrNoRule
// (both with the offender in front), ErrBusy, ErrStore. It waits neither for deliveries nor for a store.
func (h *Hub) Publish(drafts []Draft) ([]Receipt, error) {
	prepared := make([]preparedDraft, len(drafts))
	now := h.now().UnixNano()
	kept := false
	for i := range drafts {
		p, err := h.prepare(&drafts[i], now)
		if err != nil {
			if len(drafts) > 1 {
				err = fmt.Errorf("message %d: %w", i+1, err)
			}
			return nil, err
		}
		prepared[i] = p
		kept = kept || p.kept
	}
	receipts := make([]Receipt, len(drafts))
	var buf [16]*Lane
	wake := buf[:0]

	h.mu.Lock()
	if h.backlog > h.backlogMax {
		h.refused += uint64(len(drafts))
		h.mu.Unlock()
		return nil, ErrBusy
	}
	if kept {
		if err := h.saving.roomLocked(h.backlogMax); err != nil {
			h.refused += uint64(len(drafts))
			h.mu.Unlock()
			return nil, err
		}
	}
	for i := range prepared {
		receipts[i], wake = h.acceptLocked(&prepared[i], wake)
	}
	h.mu.Unlock()

	for _, l := range wake {
		if l.onWork != nil {
			l.onWork()
		}
	}
	if kept {
		h.saving.wake()
	}
	return receipts, nil
}

// prepare makes the messages of a draft, linked in the order of its channels.
func (h *Hub) prepare(d *Draft, now int64) (p preparedDraft, err error) {
	if len(d.Channels) == 0 {
		return p, ErrNoChannel
	}
	if d.Track {
		p.track = &Track{donec: make(chan struct{})}
	}
	binary := !utf8.Valid(d.Data)
	for _, name := range unique(d.Channels) {
		rule, ok := h.rule(name)
		if !ok || isPattern(name) {
			return p, fmt.Errorf("channel %q: %w", name, ErrNoRule)
		}
		m := &Message{Channel: name, Event: d.Event, Data: d.Data, JSON: d.JSON, Binary: binary, at: now, track: p.track}
		if n := len(p.messages); n > 0 {
			p.messages[n-1].next = m
		}
		p.messages = append(p.messages, m)
		p.rules = append(p.rules, rule)
		p.kept = p.kept || h.saving != nil && rule.Messages > 0
	}
	return p, nil
}

// unique returns names in their order, each once.
func unique(names []string) []string {
	if len(names) < 2 {
		return names
	}
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// acceptLocked gives a draft the next id and puts it where it belongs. It appends the lanes that
// have work now and had none.
func (h *Hub) acceptLocked(p *preparedDraft, wake []*Lane) (Receipt, []*Lane) {
	h.last++
	h.published++
	r := Receipt{ID: h.last, Track: p.track, Kept: p.kept}
	p.track.holdLocked() // until all of it is accepted
	for i, m := range p.messages {
		m.ID = h.last
		ch, n := h.channels[m.Channel], 0
		if ch == nil {
			if p.rules[i].Messages <= 0 { // nobody holds it by its name and nothing keeps it
				*h.lostFloor(m.Channel, false) = m.ID
				h.loseToPatternsLocked(m.Channel, m.ID)
				n, wake = h.wild.pushLocked(m, wake)
				r.Subscribers += n
				continue
			}
			ch = h.channelLocked(m.Channel, h.saving != nil)
		}
		m.Channel = ch.name
		ch.last = m.ID
		n, wake = ch.pushLocked(m, wake)
		r.Subscribers += n
		n, wake = h.wild.pushLocked(m, wake)
		r.Subscribers += n
		h.keepLocked(ch, m, p.rules[i])
		h.forgetLocked(ch)
	}
	p.track.releaseLocked()
	return r, wake
}
