package hub

// largeData is from how many bytes of data on a message is rendered before lanes come to it: to compress a megabyte takes
// an event loop 20 ms.
const largeData = 16 << 10

// OnLarge sets what renders large messages: f renders m on another goroutine, in every form that it is delivered in, and
// then calls done. It must not block. False says that it can't; then the message is rendered when it is delivered. A
// group that gets the message waits for it, and no other does. Set it before the hub is used.
func (h *Hub) OnLarge(f func(m *Message, done func()) bool) { h.onLarge = f }

// awaitLocked lets g wait if its next batch has a message that is not rendered yet. Render is then due for message,
// unless it is nil.
func (h *Hub) awaitLocked(g *Group) (waits bool, render *Message) {
	for _, m := range g.batch {
		if m.unrendered {
			groups := h.rendering[m]
			if groups == nil {
				render = m
			}
			h.rendering[m] = append(groups, g)
			return true, render
		}
	}
	return false, nil
}

// render has a message rendered. It is called without the lock.
func (h *Hub) render(m *Message) {
	if done := func() { h.isRendered(m) }; !h.onLarge(m, done) {
		done()
	}
}

// isRendered gives the groups that wait for m their turns.
func (h *Hub) isRendered(m *Message) {
	var buf [16]*Lane
	wake := buf[:0]
	h.mu.Lock()
	m.unrendered = false
	for _, g := range h.rendering[m] {
		l := g.lane
		l.enqueueLocked(g)
		if !l.busy {
			l.busy = true
			wake = append(wake, l)
		}
	}
	delete(h.rendering, m)
	h.mu.Unlock()
	for _, l := range wake {
		if l.onWork != nil {
			l.onWork()
		}
	}
}
