package hub

import "sync/atomic"

// Encoding renders messages. Subscribers with the same encoding share the result.
type Encoding struct {
	Render func(*Message) []byte // any goroutine may call it
}

// rendering is a message in one encoding. It is never changed.
type rendering struct {
	of   *Encoding
	text []byte
	next *rendering
}

// messageCost is the memory of a message without its data, its event and its renderings: the struct, its entry in a
// history, and the entry of one rendering.
const messageCost = 160 + 8

// Message is one message on one channel. A message published to several channels is one Message per channel, with the
// same ID and the same Data: a subscriber never learns of a channel that it has not subscribed to. The exported fields
// are never changed after Publish, and Data must not be.
type Message struct {
	ID             ID
	Channel, Event string
	Data           []byte
	JSON           bool // Data is one JSON value; false: plain data
	Binary         bool // Data is not valid UTF-8

	held       bool   // guarded by Hub.mu: counted in the history
	unrendered bool   // guarded by Hub.mu: lanes wait for Hub.onLarge
	refs       uint32 // guarded by Hub.mu: pending lists and batches it is in

	rendered atomic.Pointer[rendering] // the newest; they are few

	hist *history // set by Publish, never changed: where it is or was stored; nil: never stored
	next *Message // set by Publish, never changed: the same message on the draft's next channel
	at   int64    // guarded by Hub.mu once it is published: from when its age counts, Unix nanoseconds

	track *Track // never changed; nil: deliveries are not counted
}

// SameChannels reports whether m and o were published to the same channels, compared from their own on.
func (m *Message) SameChannels(o *Message) bool {
	for ; m != nil && o != nil; m, o = m.next, o.next {
		if m.Channel != o.Channel {
			return false
		}
	}
	return m == o
}

// Rendered returns the message as rendered by e. It is rendered once and then shared; don't change the result. Any
// goroutine may call it. If several render at the same time, the first result stays.
func (m *Message) Rendered(e *Encoding) []byte {
	if r := m.rendering(e); r != nil {
		return r.text
	}
	r := &rendering{of: e, text: e.Render(m)}
	if m.hist != nil {
		return m.hist.hub.keepRendered(m, r)
	}
	for {
		r.next = m.rendered.Load()
		if first := m.rendering(e); first != nil {
			return first.text
		}
		if m.rendered.CompareAndSwap(r.next, r) {
			return r.text
		}
	}
}

func (m *Message) rendering(e *Encoding) *rendering {
	r := m.rendered.Load()
	for r != nil && r.of != e {
		r = r.next
	}
	return r
}

// keepRendered stores a rendering of a message that may be in a history, and counts it there. It needs the lock, so
// that an eviction subtracts exactly what was added.
func (h *Hub) keepRendered(m *Message, r *rendering) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := m.rendering(r.of); first != nil {
		return first.text
	}
	r.next = m.rendered.Load()
	m.rendered.Store(r)
	if m.held {
		h.held.bytes += int64(len(r.text))
		h.trimLocked()
	}
	return r.text
}

// sizeLocked returns the memory of m in bytes.
func (m *Message) sizeLocked() int64 {
	n := int64(messageCost + len(m.Data) + len(m.Event))
	for r := m.rendered.Load(); r != nil; r = r.next {
		n += int64(len(r.text))
	}
	return n
}
