package cache

import "time"

// clock has the items in slots, over which a hand goes round when there is no room: what was used since it came by stays
// for another round (CLOCK). An item keeps its slot, so a walk over them misses none.
type clock struct {
	slots []*item // nil: free
	free  []int
	hand  int
	broom int // where Sweep continues
}

func (c *clock) add(it *item) {
	if n := len(c.free); n > 0 {
		it.slot = c.free[n-1]
		c.free = c.free[:n-1]
		c.slots[it.slot] = it
		return
	}
	it.slot = len(c.slots)
	c.slots = append(c.slots, it)
}

func (c *clock) remove(it *item) {
	c.slots[it.slot] = nil
	c.free = append(c.free, it.slot)
}

// next moves a hand on and returns the item that it comes to, or nil if that slot is free.
func (c *clock) next(hand *int) *item {
	if *hand >= len(c.slots) {
		*hand = 0
	}
	it := c.slots[*hand]
	*hand++
	return it
}

// makeRoom drops items until size more bytes have room. It reports false if that would take too long: then those that it has
// dropped make room for the next time.
func (s *Store) makeRoom(size int64, now time.Time) bool {
	steps, drops := 0, 0
	for s.stats.Bytes+size > s.o.Bytes {
		if s.stats.Entries == 0 || drops >= maxDrops || steps >= 2*maxSteps {
			return false
		}
		it := s.clock.next(&s.clock.hand)
		steps++
		if it == nil {
			continue
		}
		cost := it.cost()
		steps += cost
		switch {
		case s.isDead(it, now):
			s.drop(it, s.causeOf(it))
		case (it.used || it.watches.Len() > 0) && steps < maxSteps: // then whatever comes
			it.used = false
			continue
		default:
			s.drop(it, Full)
		}
		drops += cost
	}
	return true
}

// Sweep drops what was invalidated and not dropped yet, and entries that are of no more use, of up to n that it looks at. A
// call in each second, for a part of all of them, gives their memory back when nothing else is stored, and wakes who watches
// them. It returns about how many it has dropped: not less than MaxSwept say that there is more to do at once.
func (s *Store) Sweep(n int, now time.Time) (dropped int) {
	s.mu.Lock()
	defer s.unlock()
	for len(s.dying) > 0 && dropped < maxDrops {
		list := s.dying[0]
		if list.items.Len() == 0 || list.first().seq >= list.changed {
			list.dying = false
			s.dying = s.dying[1:]
			continue
		}
		dropped += list.first().cost()
		s.drop(list.first(), Purged)
	}
	for n = min(n, len(s.clock.slots), maxSteps); n > 0 && dropped < maxDrops; n-- {
		if it := s.clock.next(&s.clock.broom); it != nil && s.isDead(it, now) {
			n -= it.cost() - 1
			s.drop(it, s.causeOf(it))
			dropped++
		}
	}
	return dropped
}
