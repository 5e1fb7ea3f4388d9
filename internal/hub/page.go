package hub

import "sort"

// Page is a part of what a channel keeps.
type Page struct {
	Messages []*Message // by growing id
	Next     ID         // to read on after: what comes later has a greater id
	More     bool       // there is more after Next already
	Gap      bool       // between after and the first message there may have been others
}

// Read returns the messages that the channel keeps after an id, zero for all, oldest first: at most limit, and no more
// than bytes of data and event names, but one at least. Who reads from the beginning is told of no gap; an after that this hub
// cannot have given out gets one, and all that is kept, as in Join.
func (h *Hub) Read(channel string, after ID, limit int, bytes int64) Page {
	kept := h.keptOf([]string{channel}, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Page{Next: h.last}
	asked := after != 0
	if after > h.last {
		after = 0
	}
	ch := h.channels[channel]
	if ch == nil {
		_, gap := h.gapLocked(*h.lostFloor(channel, kept != nil && kept[0]), after)
		p.Gap = asked && gap
		return p
	}
	_, gap := h.gapLocked(ch.floor, after)
	p.Gap = asked && gap
	k := ch.hist
	if k == nil {
		return p
	}
	h.held.touch(k)
	for i := sort.Search(k.n, func(i int) bool { return k.at(i).ID > after }); i < k.n; i++ {
		m := k.at(i)
		bytes -= int64(len(m.Data) + len(m.Event))
		if n := len(p.Messages); n > 0 && (n >= limit || bytes < 0) {
			p.Next, p.More = p.Messages[n-1].ID, true
			break
		}
		p.Messages = append(p.Messages, m)
	}
	return p
}
