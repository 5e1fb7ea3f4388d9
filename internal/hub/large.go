package hub

// largeData is the minimum size of data for rendering a message before it reaches the lanes: compressing a megabyte
// takes an event loop 20 ms.
const largeData = 16 << 10

// OnLarge sets the function that renders large messages: f starts rendering m on another goroutine, in every encoding
// in use, which then calls done. f must not block. If it returns false, the message is rendered at delivery. Only
// groups that get the message wait for it. Call OnLarge before the hub is used.
func (h *Hub) OnLarge(f func(m *Message, done func()) bool) { h.onLarge = f }

// awaitLocked makes g wait if its next batch has a message that is not rendered yet. If message is not nil, the caller
// must then call render for it.
func (h *Hub) awaitLocked(g *Group) (waits bool, render *Message) {
	for _, m := range g.batch.list() {
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

// render starts the rendering of a message. It is called without the lock.
func (h *Hub) render(m *Message) {
	if done := func() { h.isRendered(m) }; !h.onLarge(m, done) {
		done()
	}
}

// isRendered puts the groups that wait for m back into the queue.
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
