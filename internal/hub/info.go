package hub

import (
	"slices"
	"strings"
)

// Info is what is known of a channel.
type Info struct {
	Name        string
	Subscribers int
	Messages    int   // kept
	Bytes       int64 // of their data and event names
	LastID      ID    // newest message while the channel was held or kept; zero when there was none
}

func (ch *channel) infoLocked() Info {
	i := Info{Name: ch.name, Subscribers: ch.subscribers, LastID: ch.last}
	if ch.hist != nil {
		i.Messages, i.Bytes = ch.hist.n, ch.hist.bytes
	}
	return i
}

// Channel describes one channel; false when nobody subscribes to it and nothing is kept.
func (h *Hub) Channel(name string) (Info, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[name]
	if ch == nil {
		return Info{}, false
	}
	return ch.infoLocked(), true
}

// Last returns the newest message that a channel keeps, nil if it keeps none, and the newest id that was published to it
// while somebody subscribed to it or something was kept; zero if there was none.
func (h *Hub) Last(channel string) (kept *Message, id ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[channel]
	if ch == nil {
		return nil, 0
	}
	if k := ch.hist; k != nil {
		kept = k.at(k.n - 1)
	}
	return kept, ch.last
}

// Renew makes a message as young as one that is published now, if it is the newest that its channel keeps: it is still
// true. A store keeps the age that it had.
func (h *Hub) Renew(channel string, id ID) {
	now := h.now().UnixNano()
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[channel]
	if ch == nil || ch.hist == nil {
		return
	}
	if m := ch.hist.at(ch.hist.n - 1); m.ID == id {
		m.at = now
	}
}

// Position returns the newest id that was given out: a client that resumes after it gets what is published from now on, of
// every channel, and nothing that was published before. It is not zero, also before the first message.
func (h *Hub) Position() ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// listSlice is how many channels Channels looks at before it lets others have the lock.
const listSlice = 1024

// Channels describes the first limit channels by name that begin with prefix, and reports whether there
// are more. The list is not of one moment.
func (h *Hub) Channels(prefix string, limit int) (list []Info, more bool) {
	limit = max(limit, 0)
	cut := func() {
		slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
		// Forgotten and made again meanwhile, a channel can come up twice.
		list = slices.CompactFunc(list, func(a, b Info) bool { return a.Name == b.Name })
		if len(list) > limit {
			list, more = list[:limit], true
		}
	}
	h.mu.Lock()
	seen := 0
	for name, ch := range h.channels {
		if strings.HasPrefix(name, prefix) {
			if list = append(list, ch.infoLocked()); len(list) >= 2*limit+listSlice {
				cut()
			}
		}
		if seen++; seen%listSlice == 0 {
			h.giveWayLocked()
		}
	}
	h.mu.Unlock()
	cut()
	return list, more
}

// Stats are the hub's numbers at one moment; those with a uint64 only grow.
type Stats struct {
	Channels    int
	Groups      int
	Subscribers int

	HistoryMessages int
	HistoryBytes    int64 // as bounded by Options.HistoryTotal
	Backlog         int64 // as bounded by Options.Backlog

	Published uint64 // drafts accepted
	Delivered uint64 // messages handed to subscribers
	Evicted   uint64 // messages that went because of Options.HistoryTotal
	Refused   uint64 // drafts refused because of Options.Backlog, or of a store that cannot be written

	Unsaved    int64  // bytes that are to be in the store and are not yet
	Saves      uint64 // batches that the store has taken
	SaveErrors uint64 // and has refused
}

// Stats returns the hub's numbers.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	s := Stats{
		Channels:        len(h.channels),
		Groups:          h.groups,
		Subscribers:     h.subscribers,
		HistoryMessages: h.held.messages,
		HistoryBytes:    h.held.bytes,
		Backlog:         h.backlog,
		Published:       h.published,
		Evicted:         h.held.evicted,
		Refused:         h.refused,
	}
	if k := h.saving; k != nil {
		s.Unsaved, s.Saves, s.SaveErrors = k.bytes, k.commits, k.failed
	}
	h.mu.Unlock()
	for i := range h.lanes {
		s.Delivered += h.lanes[i].delivered.Load()
	}
	return s
}
