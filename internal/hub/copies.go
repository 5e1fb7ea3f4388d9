package hub

import (
	"sync/atomic"
	"weak"
)

// copies are the messages that were read from history and that somebody still has, so that subscribers share them and
// their renderings: otherwise each client that is slow to take a replay could cost as much memory as all history. Those
// that were read lately stay for a while. All fields but rendered are guarded by Hub.mu.
type copies struct {
	limit         int64
	sets          []*history // those with a copySet, and some that were deleted since
	recent, older []*Message // read since the last sweep, and before that
	bytes         int64      // memory of recent and older since they were dropped, without renderings
	rendered      atomic.Int64
}

// copySet has the copies of one history, by index in the ring. It is nil while nothing is read.
type copySet []weak.Pointer[Message]

// copiesPart is the part of Options.HistoryTotal that copies which nobody has may take besides.
const copiesPart = 8

// message returns message i of k.
func (l *histories) message(k *history, i int) *Message {
	c := &l.copies
	if k.copies == nil {
		k.copies = make(copySet, len(k.ring))
		c.sets = append(c.sets, k)
	}
	at := k.index(i)
	m := k.copies[at].Value()
	if m == nil {
		m = l.records.load(k.ring[at], k.channel.name)
		m.copies = c
		k.copies[at] = weak.Make(m)
		c.keep(m)
	}
	return m
}

// appendSince appends k's messages with an ID above after to list.
func (l *histories) appendSince(list []*Message, k *history, after ID) []*Message {
	for i := k.since(after); i < k.n; i++ {
		list = append(list, l.message(k, i))
	}
	return list
}

// keep keeps a copy for a while, within the limit.
func (c *copies) keep(m *Message) {
	c.recent = append(c.recent, m)
	if c.bytes += m.backlogCost(); c.bytes+c.rendered.Load() > c.limit {
		c.drop()
	}
}

// drop leaves the copies to those who have them.
func (c *copies) drop() {
	c.recent, c.older, c.bytes = nil, nil, 0
	c.rendered.Store(0)
}

// sweepLocked drops the copies that were read before the last sweep, and the sets of which nobody has one.
func (c *copies) sweepLocked(h *Hub) {
	if c.recent, c.older = nil, c.recent; len(c.older) == 0 {
		c.drop()
	}
	sets := c.sets
	c.sets = nil
	for _, k := range sets {
		if k.copies.used() {
			c.sets = append(c.sets, k)
		} else {
			k.copies = nil
		}
		h.spendLocked(copyCost * len(k.ring))
	}
}

// copyCost is what a look at a copy counts for spendLocked.
const copyCost = 32

func (s copySet) used() bool {
	for i := range s {
		if s[i].Value() != nil {
			return true
		}
	}
	return false
}

// remove drops the copy at an index of the ring.
func (s copySet) remove(index int) {
	if s != nil {
		s[index] = weak.Pointer[Message]{}
	}
}

// move returns the set for a ring of n entries, which will begin with k's oldest message.
func (s copySet) move(k *history, n int) copySet {
	if s == nil {
		return nil
	}
	moved := make(copySet, n)
	for i := range k.n {
		moved[i] = s[k.index(i)]
	}
	return moved
}

// readAheadLocked reads, some at a time, the messages after an ID that a member of g, which may be nil, gets when it joins
// channels. As long as the caller has them, joining takes no time for them. It returns nil if they are few.
func (g *Group) readAheadLocked(h *Hub, channels []string, after ID) []*Message {
	if after > h.last {
		after = 0 // as in resumeLocked
	}
	through := h.last
	var room [8]*history
	list := room[:0]
	for _, name := range channels {
		switch ch := h.channels[name]; {
		case g.Holds(name):
		case h.wild.lost != nil && isPattern(name):
			h.wild.eachSince(name, after, func(k *history) { list = append(list, k) })
		case ch != nil && ch.hist != nil:
			list = append(list, ch.hist)
		}
	}
	if few(list, after) {
		return nil
	}
	var ahead []*Message
	for _, k := range list {
		for i := k.since(after); i < k.n && k.at(i).id <= through; i++ { // one that is deleted meanwhile is empty
			m := h.held.message(k, i)
			ahead = append(ahead, m)
			if h.spendLocked(int(m.backlogCost())) {
				i = k.since(m.ID) - 1
			}
		}
	}
	return ahead
}

// few reports whether the messages after an ID can be read without giving way.
func few(list []*history, after ID) bool {
	bytes := 0
	for _, k := range list {
		for i := k.since(after); i < k.n; i++ {
			if bytes += messageCost + int(k.at(i).size); bytes > slice {
				return false
			}
		}
	}
	return true
}

// slice is how much work, as bytes of messages, is done before others get the lock.
const slice = 256 << 10

// spendLocked counts work and gives way when it is enough, which it reports.
func (h *Hub) spendLocked(bytes int) (gaveWay bool) {
	if h.work.spent += bytes; h.work.spent < slice {
		return false
	}
	h.giveWayLocked()
	return true
}
