package hub

import "sync/atomic"

// Encodings is the number of render slots of a message; who uses which is agreed between the users.
const Encodings = 7

// messageCost is what a message takes beside its data, its event and its renderings: the struct and its
// entry in a history.
const messageCost = 160 + 8

// Message is one message on one channel. A message published to several channels is one Message per
// channel, with the same ID and the same Data: a subscriber never learns of a channel it does not hold.
// The exported fields are never changed after Publish, and Data must not be.
type Message struct {
	ID             ID
	Channel, Event string
	Data           []byte
	JSON           bool // Data is one JSON value; else it is plain data
	Binary         bool // Data is not valid UTF-8

	held bool   // guarded by Hub.mu: counted in the history
	refs uint32 // guarded by Hub.mu: pending lists and batches it is in

	rendered [Encodings]atomic.Pointer[[]byte]

	hist *history // set by Publish, never changed: where it is or was kept, nil if it never was
	next *Message // set by Publish, never changed: the same message on the draft's next channel
	at   int64    // set by Publish, never changed: Unix nanoseconds

	track *Track // never changed; nil: nobody wants to know
}

// Rendered returns render(m), rendered once for each slot and shared from then on; nobody may change the
// result. Any goroutine may call it. Where several render at the same time the first one's result stays.
func (m *Message) Rendered(slot int, render func(*Message) []byte) []byte {
	if b := m.rendered[slot].Load(); b != nil {
		return *b
	}
	b := render(m)
	if m.hist != nil {
		return m.hist.hub.keepRendered(m, slot, b)
	}
	if m.rendered[slot].CompareAndSwap(nil, &b) {
		return b
	}
	return *m.rendered[slot].Load()
}

// keepRendered stores a rendering of a message that history may hold, and counts it there. Under the
// lock, so that eviction takes off exactly what was put on.
func (h *Hub) keepRendered(m *Message, slot int, b []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := m.rendered[slot].Load(); first != nil {
		return *first
	}
	m.rendered[slot].Store(&b)
	if m.held {
		h.held.bytes += int64(len(b))
		h.trimLocked()
	}
	return b
}

// sizeLocked returns what m takes in memory, in bytes.
func (m *Message) sizeLocked() int64 {
	n := int64(messageCost + len(m.Data) + len(m.Event))
	for i := range m.rendered {
		if b := m.rendered[i].Load(); b != nil {
			n += int64(len(*b))
		}
	}
	return n
}
