package hub

import (
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"holdfast/internal/delivery"
	"holdfast/internal/messageid"
)

// ID identifies a message. IDs start at the clock's milliseconds << 20, so that they continue to grow after a restart.
type ID = messageid.ID

// ParseID reads the text form of an id. The text of zero is refused too: no message has it.
func ParseID(s string) (ID, error) { return messageid.Parse(s) }

// Encoding renders messages. Subscribers with the same encoding share the result.
type Encoding struct {
	// Render returns the message as rendered, in room if that is not nil and large enough. The result need not begin
	// where room does. Any goroutine may call it.
	Render func(m *Message, room []byte) []byte
}

// Shared is for Render of an encoding that renders some messages as e does: it shares what e has, unless there is room.
func (e *Encoding) Shared(m *Message, room []byte) []byte {
	if room != nil {
		return e.Render(m, room)
	}
	return m.Rendered(e)
}

// rendering is a message in one encoding. It is never changed.
type rendering struct {
	of   *Encoding
	text []byte
	next *rendering
}

// messageCost is the memory of a message that is delivered, without its data and its event: the struct, its entry in a
// list, and the entry of one rendering.
const messageCost = 112 + 8 + 48

// Message is one message on one channel. A message published to several channels is one Message per channel, with the
// same ID and the same Data: a subscriber never learns of a channel that it has not subscribed to. The exported fields
// are never changed after Publish, and Data must not be.
type Message struct {
	ID             ID
	Channel, Event string
	Data           []byte
	JSON           bool // Data is one JSON value; false: plain data
	Binary         bool // Data is not valid UTF-8

	sole       bool   // set by Publish, never changed: at most one subscriber gets it
	unrendered bool   // guarded by Hub.mu: lanes wait for Hub.onLarge
	refs       uint32 // guarded by Hub.mu: pending lists and batches it is in

	rendered atomic.Pointer[rendering] // the newest; they are few

	copies *copies  // never changed: which counts the renderings; nil: it is not from history
	next   *Message // set by Publish or Replay.sort, never changed: the same message on the draft's next channel
	at     int64    // never changed: from when its age counts, Unix nanoseconds
	track  *Track   // never changed; nil: deliveries are not counted
}

// SameChannels reports whether m and o were published to the same channels, compared from their own on.
func (m *Message) SameChannels(o *Message) bool {
	for m != nil && o != nil && m.Channel == o.Channel {
		m, o = m.next, o.next
	}
	return m == o
}

// Rendered returns the message as rendered by e. It is rendered once and then shared; don't change the result. Any
// goroutine may call it. If several render at the same time, the first result stays.
func (m *Message) Rendered(e *Encoding) []byte {
	if r := m.rendering(e); r != nil {
		return r.text
	}
	r := &rendering{of: e, text: e.Render(m, nil)}
	for {
		r.next = m.rendered.Load()
		if first := m.rendering(e); first != nil {
			return first.text
		}
		if m.rendered.CompareAndSwap(r.next, r) {
			if m.copies != nil {
				m.copies.rendered.Add(int64(len(r.text)))
			}
			return r.text
		}
	}
}

// RenderedIn is Rendered for bytes that the caller needs for a moment. If no other subscriber gets the message, they are
// rendered in room, and nothing is stored.
func (m *Message) RenderedIn(room []byte, e *Encoding) []byte {
	if !m.Sole() || m.rendered.Load() != nil {
		return m.Rendered(e)
	}
	return e.Render(m, room)
}

// Sole reports whether a message that is not large has one subscriber only.
func (m *Message) Sole() bool { return m.sole && len(m.Data) < largeData }

func (m *Message) rendering(e *Encoding) *rendering {
	r := m.rendered.Load()
	for r != nil && r.of != e {
		r = r.next
	}
	return r
}

// historyCost returns the memory of m in a history, in bytes.
func (m *Message) historyCost() int64 { return int64(storedCost + len(m.Data) + len(m.Event)) }

// on returns a copy of m which says that the draft has next as well. It shares the renderings that m has now.
func (m *Message) on(next *Message) *Message {
	c := &Message{
		ID: m.ID, Channel: m.Channel, Event: m.Event, Data: m.Data, JSON: m.JSON, Binary: m.Binary,
		copies: m.copies, next: next, at: m.at, track: m.track,
	}
	c.rendered.Store(m.rendered.Load())
	return c
}

// Channels returns the channels of m's draft, from m's own on.
func (m *Message) Channels() (list []string) {
	for ; m != nil; m = m.next {
		list = append(list, m.Channel)
	}
	return list
}

// NewMessage returns a message that another process has published to channels.
func NewMessage(r Record, channels []string) (m *Message) {
	for _, name := range slices.Backward(channels) {
		m = &Message{ID: r.ID, Channel: name, Event: r.Event, Data: r.Data, JSON: r.JSON, Binary: !utf8.Valid(r.Data), next: m}
	}
	return m
}

// Track counts the deliveries of a draft, see Draft.Track.
type Track = delivery.Track

// Delivered counts a subscriber whose socket has accepted the message, and Queued one that queues it until then.
func (m *Message) Delivered() { m.track.Delivered() }
func (m *Message) Queued()    { m.track.Queued() }
