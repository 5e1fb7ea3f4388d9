package hub

import "slices"

// Newest is what JoinNewest begins with.
type Newest struct {
	messages []*Message // by growing id
	position ID         // up to which
}

// newestSlice is how many histories Newest looks at before it lets others have the lock.
const newestSlice = 256

// Newest returns the newest n messages that are kept of each of the channels; a pattern stands for all that it matches.
// It may look at every history there is, so it is not for an event loop. It counts as a use of channels that are named.
func (h *Hub) Newest(channels []string, n int) Newest {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Newest{position: h.last}
	for _, name := range channels {
		switch ch := h.channels[name]; {
		case h.wild.lost != nil && isPattern(name):
			r.walkLocked(h, name, n)
		case ch != nil && ch.hist != nil:
			r.addLocked(ch.hist, n)
			h.held.touch(ch.hist)
		}
	}
	slices.SortFunc(r.messages, byID)
	return r
}

// stillKeptLocked appends to list the messages that have not gone meanwhile. If one has, newer ones of its channel may have
// gone with it, and who has it would not notice.
func (r *Newest) stillKeptLocked(list []*Message) []*Message {
	for _, m := range r.messages {
		if m.held {
			list = append(list, m)
		}
	}
	return list
}

// addLocked adds the newest n of a history, as it was at the position.
func (r *Newest) addLocked(k *history, n int) {
	had := k.n
	for had > 0 && k.at(had-1).ID > r.position {
		had--
	}
	for i := max(had-n, 0); i < had; i++ {
		r.messages = append(r.messages, k.at(i))
	}
}

// walkLocked adds the newest n of every channel that a pattern matches. The mark goes from the oldest message to the
// newest; a history that gets one meanwhile moves to the front, where the mark comes later.
func (r *Newest) walkLocked(h *Hub, pattern string, n int) {
	mark := new(history)
	mark.linkBefore(&h.wild.fresh)
	for seen := 1; mark.fresh.prev != &h.wild.fresh; seen++ {
		k := mark.fresh.prev
		h.wild.unlinkRecent(mark)
		mark.linkBefore(k)
		if k.channel != nil && matches(pattern, k.channel.name) {
			r.addLocked(k, n)
		}
		if seen%newestSlice == 0 {
			h.giveWayLocked()
		}
	}
	h.wild.unlinkRecent(mark)
}
