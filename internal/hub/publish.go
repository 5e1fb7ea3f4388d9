package hub

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"holdfast/internal/delivery"
)

var (
	ErrNoChannel = errors.New("message without a channel")
	ErrNoRule    = errors.New("no rule for this channel")
	ErrBusy      = errors.New("too many bytes undelivered")
)

// Draft is a message to publish. The hub keeps Data, so don't change it afterwards.
type Draft struct {
	Channels []string // at least one; repetitions do not matter
	Event    string
	Data     []byte
	JSON     bool // Data is one JSON value
	Track    bool // count deliveries in Receipt.Track
	Quiet    bool // store it for those who subscribe later, and deliver it to nobody: the others have had the same before
	Exact    bool // deliver it to those who subscribe by the channel's name, not by a pattern, and store it nowhere
}

// Receipt is the result of a draft.
type Receipt struct {
	ID          ID
	Subscribers int // number of subscribers that the message was queued for
	Track       *Track
	Kept        bool // it is or will be in the store: see Hub.Saved
}

// preparedMessage is a message without its ID, and the limits of its channel's history.
type preparedMessage struct {
	*Message
	rule  History
	quiet bool
	exact bool
}

// Publish accepts all drafts, in their order, or returns an error and accepts none: ErrNoChannel or ErrNoRule (both
// name the draft or channel), ErrBusy or ErrStore. It waits neither for deliveries nor for the store.
func (h *Hub) Publish(drafts []Draft) ([]Receipt, error) {
	receipts := make([]Receipt, len(drafts))
	if err := h.publish(drafts, receipts, make([]preparedMessage, 0, len(drafts))); err != nil {
		return nil, err
	}
	return receipts, nil
}

// PublishOne is Publish of one draft. It allocates nothing but the message.
func (h *Hub) PublishOne(d Draft) (Receipt, error) {
	drafts := [1]Draft{d}
	var receipts [1]Receipt
	var room [4]preparedMessage
	err := h.publish(drafts[:], receipts[:], room[:0])
	return receipts[0], err
}

// publish is Publish into receipts, of which there is one for each draft. The messages are prepared in room.
func (h *Hub) publish(drafts []Draft, receipts []Receipt, room []preparedMessage) (err error) {
	messages, now := room, h.now().UnixNano()
	kept := false
	for i := range drafts {
		if messages, err = h.prepare(&drafts[i], &receipts[i], messages, now); err != nil {
			if len(drafts) > 1 {
				err = fmt.Errorf("message %d: %w", i+1, err)
			}
			return err
		}
		kept = kept || receipts[i].Kept
	}
	if h.onPublish != nil {
		for i := range messages {
			if !messages[i].quiet && !messages[i].exact {
				h.onPublish(messages[i].Channel)
			}
		}
	}
	var buf [16]*Lane
	wake, err := h.accept(receipts, messages, kept, buf[:0])
	for _, l := range wake {
		if l.onWork != nil {
			l.onWork()
		}
	}
	if err == nil && kept {
		h.saving.wake()
	}
	return err
}

// acceptSlice is how many messages are accepted before the lock is released for others.
const acceptSlice = 64

// accept gives the drafts of receipts their IDs, unless the backlog or the store is full. It appends to wake the lanes
// that have work now and had none.
func (h *Hub) accept(receipts []Receipt, messages []preparedMessage, kept bool, wake []*Lane) ([]*Lane, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.origin.moved {
		return wake, ErrMoved
	}
	if h.backlog > h.backlogMax {
		h.publishes.refused += uint64(len(receipts))
		return wake, ErrBusy
	}
	if kept {
		if err := h.saving.roomLocked(h.backlogMax); err != nil {
			h.publishes.refused += uint64(len(receipts))
			return wake, err
		}
	}
	for i := range receipts {
		n := 1
		for m := messages[0].next; m != nil; m = m.next {
			n++
		}
		wake = h.acceptLocked(&receipts[i], messages[:n], wake)
		messages = messages[n:]
		h.spendLocked(n * slice / acceptSlice) // all drafts are checked, and loops that deliver need the lock
	}
	return wake, nil
}

// prepare appends the messages of a draft, linked in the order of its channels, and begins its receipt.
func (h *Hub) prepare(d *Draft, r *Receipt, list []preparedMessage, now int64) ([]preparedMessage, error) {
	if len(d.Channels) == 0 {
		return nil, ErrNoChannel
	}
	if d.Track {
		r.Track = delivery.NewTrack()
	}
	binary := !utf8.Valid(d.Data)
	for i, name := range unique(d.Channels) {
		rule, ok := h.rule(name)
		if !ok || isPattern(name) {
			return nil, fmt.Errorf("channel %q: %w", name, ErrNoRule)
		}
		m := &Message{Channel: name, Event: d.Event, Data: d.Data, JSON: d.JSON, Binary: binary, at: now, track: r.Track}
		m.unrendered = h.onLarge != nil && len(d.Data) >= largeData
		if i > 0 {
			list[len(list)-1].next = m
		}
		list = append(list, preparedMessage{m, rule, d.Quiet, d.Exact})
		r.Kept = r.Kept || h.saving != nil && rule.Messages > 0
	}
	return list, nil
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

// acceptLocked gives the messages of a draft the next ID, and queues and stores them. It appends to wake the lanes that
// have work now and had none.
func (h *Hub) acceptLocked(r *Receipt, messages []preparedMessage, wake []*Lane) []*Lane {
	h.last++
	h.publishes.accepted++
	r.ID = h.last
	r.Track.Hold() // until the whole draft is accepted
	for _, p := range messages {
		m, n := p.Message, 0
		m.ID = h.last
		ch := h.channels[m.Channel]
		if p.exact {
			if ch != nil {
				ch.last = m.ID
				n, wake = ch.pushLocked(m, wake)
				r.Subscribers += n
			}
			continue
		}
		if p.quiet && p.rule.Messages <= 0 {
			continue
		}
		if ch == nil {
			if p.rule.Messages <= 0 { // the channel has no subscribers by its name, and no history
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
		if !p.quiet {
			n, wake = ch.pushLocked(m, wake)
			r.Subscribers += n
			n, wake = h.wild.pushLocked(m, wake)
			r.Subscribers += n
		}
		h.keepLocked(ch, m, p.rule)
		h.forgetLocked(ch)
	}
	if r.Subscribers == 1 {
		for _, p := range messages {
			p.sole = true
		}
	}
	r.Track.Release()
	return wake
}
