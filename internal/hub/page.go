package hub

// Page is a part of a channel's history.
type Page struct {
	Messages []*Message // by growing id
	Next     ID         // pass it as after to read on
	More     bool       // there are messages after Next
	Gap      bool       // messages between after and the first one may be missing
}

// Read returns the stored messages of a channel after an ID, zero for all, oldest first: at most limit, and at most
// bytes of data and event names, but at least one message. With zero there is no gap. An ID that is not of this hub
// gets a gap and all stored messages, as in Join.
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
	for i := k.since(after); i < k.n; i++ {
		bytes -= int64(k.at(i).size)
		if n := len(p.Messages); n > 0 && (n >= limit || bytes < 0) {
			p.Next, p.More = p.Messages[n-1].ID, true
			break
		}
		p.Messages = append(p.Messages, h.held.records.load(k.at(i), ch.name))
	}
	return p
}
