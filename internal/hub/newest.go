package hub

import "slices"

// Newest is the messages with which JoinNewest begins.
type Newest struct {
	messages []*Message // by growing id
	position ID         // the messages are complete up to it
}

// newestSlice is how many histories Newest visits before it releases the lock for others.
const newestSlice = 256

// Newest returns the newest n stored messages of each of the channels; a pattern stands for all that it matches. It may
// visit every history, so don't call it on an event loop. It counts as a use of the channels that are named.
func (h *Hub) Newest(channels []string, n int) Newest {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Newest{position: h.last}
	for _, name := range channels {
		switch ch := h.channels[name]; {
		case h.wild.lost != nil && isPattern(name):
			r.walkLocked(h, name, n)
		case ch != nil && ch.hist != nil:
			h.held.touch(ch.hist)
			r.addLocked(h, ch.hist, n)
		}
	}
	slices.SortFunc(r.messages, byID)
	return r
}

// stillKeptLocked appends to list the messages that are still stored. If one was dropped, newer ones of its channel may
// have been dropped with it, and a client that got only the older would not notice.
func (r *Newest) stillKeptLocked(h *Hub, list []*Message) []*Message {
	for _, m := range r.messages {
		if ch := h.channels[m.Channel]; ch != nil && ch.hist != nil && ch.hist.at(0).id <= m.ID {
			list = append(list, m)
		}
	}
	return list
}

// addLocked adds the newest n of a history, as it was at the position.
func (r *Newest) addLocked(h *Hub, k *history, n int) {
	had := k.since(r.position)
	for i := max(had-n, 0); i < had; i++ {
		m := h.held.message(k, i)
		r.messages = append(r.messages, m)
		if h.spendLocked(int(m.backlogCost())) {
			i, had = k.since(m.ID)-1, k.since(r.position)
		}
	}
}

// walkLocked adds the newest n of every channel that a pattern matches. The mark moves from the oldest message to the
// newest; a history that gets one meanwhile moves to the front, and the mark reaches it later.
func (r *Newest) walkLocked(h *Hub, pattern string, n int) {
	mark := new(history)
	mark.linkBefore(&h.wild.fresh)
	for seen := 1; mark.fresh.prev != &h.wild.fresh; seen++ {
		k := mark.fresh.prev
		h.wild.unlinkRecent(mark)
		mark.linkBefore(k)
		if k.channel != nil && matches(pattern, k.channel.name) {
			r.addLocked(h, k, n)
		}
		if seen%newestSlice == 0 {
			h.giveWayLocked()
		}
	}
	h.wild.unlinkRecent(mark)
}
