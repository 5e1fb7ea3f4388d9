package hub

import "sync/atomic"

// copies are the messages that were read from history lately, so that subscribers that resume at the same time share
// them and their renderings. All fields but rendered are guarded by Hub.mu.
type copies struct {
	limit    int64
	sets     []*history // those with a copySet, and some that were deleted since
	bytes    int64      // memory of all copies since they were cleared, without renderings
	rendered atomic.Int64
}

// copySet has the copies of one history. A nil copySet has none.
type copySet struct {
	list []*Message // by index in the ring; nil: not read
	used bool       // since the last sweep
}

// copiesPart is the part of Options.HistoryTotal that copies may take besides.
const copiesPart = 8

// message returns message i of k.
func (l *histories) message(k *history, i int) *Message {
	c := &l.copies
	if k.copies == nil {
		k.copies = &copySet{list: make([]*Message, len(k.ring))}
		c.sets = append(c.sets, k)
		c.bytes += 8 * int64(len(k.ring))
	}
	k.copies.used = true
	at := k.index(i)
	m := k.copies.list[at]
	if m == nil {
		m = l.records.load(k.ring[at], k.channel.name)
		m.copies = c
		k.copies.list[at] = m
		c.bytes += m.backlogCost()
		if c.bytes+c.rendered.Load() > c.limit {
			c.clear()
		}
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

// clear drops all copies.
func (c *copies) clear() {
	for _, k := range c.sets {
		k.copies = nil
	}
	c.sets, c.bytes = nil, 0
	c.rendered.Store(0)
}

// sweep drops the copies of histories that were not read since the last sweep.
func (c *copies) sweep() {
	used := c.sets[:0]
	for _, k := range c.sets {
		if !k.copies.used {
			k.copies = nil
			continue
		}
		k.copies.used = false
		used = append(used, k)
	}
	clear(c.sets[len(used):])
	if c.sets = used; len(used) == 0 {
		c.clear()
	}
}

// remove drops the copy at an index of the ring.
func (s *copySet) remove(index int) {
	if s != nil {
		s.list[index] = nil
	}
}

// move makes the list that of a ring of n entries, which will begin with k's oldest message.
func (s *copySet) move(k *history, n int) {
	if s == nil {
		return
	}
	list := make([]*Message, n)
	for i := range k.n {
		list[i] = s.list[k.index(i)]
	}
	s.list = list
}

// forget drops the copies of a history that is deleted. It stays in sets until the next sweep.
func (s *copySet) forget() {
	if s != nil {
		s.list, s.used = nil, false
	}
}
