package hub

import (
	"slices"
	"sort"
	"strings"

	"holdfast/internal/metric"
)

// Info describes a channel.
type Info struct {
	Name        string
	Subscribers int
	Messages    int   // kept
	Bytes       int64 // of data and event names
	LastID      ID    // newest message since the channel exists; zero: none
}

func (ch *channel) infoLocked() Info {
	i := Info{Name: ch.name, Subscribers: int(ch.subscribers), LastID: ch.last}
	if ch.hist != nil {
		i.Messages, i.Bytes = ch.hist.n, ch.hist.bytes
	}
	return i
}

// Channel describes one channel; false if it has no subscribers and no history.
func (h *Hub) Channel(name string) (Info, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[name]
	if ch == nil {
		return Info{}, false
	}
	return ch.infoLocked(), true
}

// Count returns how many subscribers the channels have, by patterns too. One that has several of them counts for each.
func (h *Hub) Count(channels []string) (subscribers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range channels {
		if ch := h.channels[name]; ch != nil {
			subscribers += int(ch.subscribers)
		}
		subscribers += h.wild.count(name)
	}
	return subscribers
}

// Last returns the newest stored message of a channel, or nil, and the newest ID that was published since the channel
// exists; zero if there is none.
func (h *Hub) Last(channel string) (kept *Message, id ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[channel]
	if ch == nil {
		return nil, 0
	}
	if k := ch.hist; k != nil {
		kept = h.held.message(k, k.n-1)
	}
	return kept, ch.last
}

// Renew sets the age of a message to zero, if it is the newest stored one of its channel, as it is still true. In a
// store, its age stays. It reports whether the message is stored: one that others follow leaves the history as it ages.
func (h *Hub) Renew(channel string, id ID) (stored bool) {
	now := h.now().UnixNano()
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[channel]
	if ch == nil || ch.hist == nil {
		return false
	}
	k := ch.hist
	if m := k.at(k.n - 1); m.id == id {
		h.held.records.SetTime(m.text, now)
		return true
	}
	i := sort.Search(k.n, func(i int) bool { return k.at(i).id >= id })
	return i < k.n && k.at(i).id == id
}

// Position returns the newest id that was given out: a client that resumes after it gets what is published from now on, of
// every channel, and nothing that was published before. It is not zero, also before the first message.
func (h *Hub) Position() ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// listSlice is how many channels Channels visits before it releases the lock for others.
const listSlice = 1024

// Channels describes the first limit channels by name that begin with prefix, and reports whether there are more. The
// list is no snapshot: channels may change while it is made.
func (h *Hub) Channels(prefix string, limit int) (list []Info, more bool) {
	limit = max(limit, 0)
	cut := func() {
		slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
		// A channel that was deleted and created again meanwhile can be in the list twice.
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

// Stats are the hub's numbers at one moment; the uint64 ones only grow.
type Stats struct {
	Channels    int
	Groups      int
	Subscribers int

	HistoryMessages int
	HistoryBytes    int64 // limited by Options.HistoryTotal
	Backlog         int64 // limited by Options.Backlog

	Published uint64 // drafts accepted
	Delivered uint64 // messages handed to subscribers
	Evicted   uint64 // messages dropped because of Options.HistoryTotal
	Refused   uint64 // drafts refused because of Options.Backlog, or because the store can't be written

	Unsaved    int64            // bytes that are not in the store yet
	Saves      uint64           // batches that were stored
	SaveErrors uint64           // batches that failed
	Delays     metric.Histogram // of Delivered, from the publish
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
		Published:       h.publishes.accepted,
		Evicted:         h.held.evicted,
		Refused:         h.publishes.refused,
	}
	if k := h.saving; k != nil {
		s.Unsaved, s.Saves, s.SaveErrors = k.bytes, k.commits, k.failed
	}
	h.mu.Unlock()
	for i := range h.lanes {
		s.Delivered += h.lanes[i].delivered.Load()
		h.lanes[i].delays.AddTo(&s.Delays)
	}
	return s
}
