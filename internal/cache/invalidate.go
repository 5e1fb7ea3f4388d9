package cache

import (
	"cmp"
	"slices"
	"strings"
)

// changeLog is the invalidations that fetches under way have to know of, by their numbers. floor is the number of the last
// that is not in it any more: fetches from before that count as changed.
type changeLog struct {
	list  []change
	floor uint64
}

type change struct {
	seq    uint64
	tag    Tag
	prefix *string // of an invalidation by prefix; then there is no tag
	origin string  // of that; empty: any
}

func (c *change) isAbout(p *Place, tags []Tag) bool {
	if c.prefix != nil {
		return p.isBelow(c.origin, *c.prefix)
	}
	return slices.Contains(tags, c.tag)
}

func (p *Place) isBelow(origin, prefix string) bool {
	return (origin == "" || origin == p.Origin) && (strings.HasPrefix(p.URL, prefix) || p.Asked != "" && strings.HasPrefix(p.Asked, prefix))
}

// firstChange returns the number of the first invalidation that is about a flight, or about the entry that it brings, and
// came after it began. 0: none.
func (s *Store) firstChange(f *Flight, e *Entry) uint64 {
	if first := max(s.log.floor, s.cleared); first > f.seq {
		return f.seq + 1
	}
	tags := f.place.tags
	if e != nil {
		tags = e.tags
	}
	return s.log.first(f.seq, f.place, tags, f.own)
}

// first returns the number of the first invalidation after one that is about a place or a tag, and is none of some. 0: there
// is none.
func (l *changeLog) first(after uint64, p *Place, tags []Tag, but []uint64) uint64 {
	for i := l.behind(after); i < len(l.list); i++ {
		if c := &l.list[i]; c.isAbout(p, tags) && !slices.Contains(but, c.seq) {
			return c.seq
		}
	}
	return 0
}

// behind returns where the invalidations after one begin.
func (l *changeLog) behind(seq uint64) int {
	i, _ := slices.BinarySearchFunc(l.list, seq+1, func(c change, seq uint64) int { return cmp.Compare(c.seq, seq) })
	return i
}

// isChanged reports whether something that a flight is about was invalidated since it was asked last. Its groups are not
// known yet.
func (s *Store) isChanged(f *Flight) bool {
	if max(s.log.floor, s.cleared) > f.seq {
		return true
	}
	if s.log.first(f.checked, f.place, f.place.tags, f.own) != 0 {
		return true
	}
	f.checked = s.seq
	return false
}

// note gives an invalidation its number, and tells it to the fetches under way.
func (s *Store) note(c change) uint64 {
	s.seq++
	if c.seq = s.seq; s.flights.all.Len() == 0 {
		return s.seq
	}
	if len(s.log.list) == maxLog {
		const half = maxLog / 2
		s.log.floor = s.log.list[half-1].seq
		s.log.list = append(s.log.list[:0], s.log.list[half:]...)
	}
	s.log.list = append(s.log.list, c)
	return s.seq
}

// trim forgets what no fetch has to know any more, of which the given one is the oldest.
func (l *changeLog) trim(oldest *Flight) {
	if oldest == nil {
		l.list = l.list[:0]
	} else if n := l.behind(oldest.seq); n > len(l.list)/2 || n > maxLog/4 {
		l.list = append(l.list[:0], l.list[n:]...)
	}
}

// invalidate drops what has a tag. Those that are many are dropped one after the other when they are met; nothing of them
// is found any more from now on. It returns how many there were.
func (s *Store) invalidate(t Tag, why Reason, but *Flight) int {
	s.mu.Lock()
	defer s.unlock()
	seq := s.note(change{tag: t})
	if but != nil {
		but.own = append(but.own, seq)
	}
	s.stats.Invalidations++
	list := s.tags[t]
	if list == nil {
		return 0
	}
	list.changed = seq
	n := list.items.Len()
	for drops := 0; list.items.Len() > 0 && drops < maxDrops; {
		drops += list.first().cost()
		s.drop(list.first(), why)
	}
	if list.items.Len() > 0 && !list.dying {
		list.dying, s.behind = true, s.o.Behind != nil
		s.dying = append(s.dying, list)
	}
	return n
}

// InvalidateURL drops all responses of a URL, those of all keys and variants: origin as in Place, empty for any, and target
// a path with its query. A path stands for itself in all its spellings. It returns how many were dropped.
func (s *Store) InvalidateURL(origin, target string) int {
	return s.invalidate(s.hasher.tag(tagURL, origin, canonicalURL([]byte(target))), Purged, nil)
}

// InvalidateGroup drops the responses in a group (RFC 9875) of an origin, empty for any.
func (s *Store) InvalidateGroup(origin, group string) int {
	return s.invalidate(s.hasher.tag(tagGroup, origin, group), GroupChanged, nil)
}

// InvalidateChannel drops the responses whose channel this is.
func (s *Store) InvalidateChannel(channel string) int {
	return s.invalidate(s.hasher.tag(tagChannel, channel, ""), ChannelChanged, nil)
}

// InvalidateSession drops the responses of a session, one of rules.Set.Sessions, but for what a flight brings: what a request
// has changed is in its own response already. A nil flight is none.
func (s *Store) InvalidateSession(session Tag, but *Flight) int {
	return s.invalidate(session, SessionChanged, but)
}

// InvalidateRule drops the responses of a rule.
func (s *Store) InvalidateRule(name string) int {
	return s.invalidate(s.hasher.tag(tagRule, name, ""), Purged, nil)
}

// InvalidatePrefix drops the responses of all URLs whose path and query begin with a prefix. It looks at everything that is
// stored, in slices, as Clear does, so these two are not for an event loop; the others take a time that does not grow.
func (s *Store) InvalidatePrefix(origin, prefix string) (dropped int) {
	if prefix == "" && origin == "" {
		return s.Clear()
	}
	s.mu.Lock()
	seq := s.note(change{prefix: &prefix, origin: origin})
	s.stats.Invalidations++
	s.unlock()
	return s.dropAll(seq, func(it *item) bool { return it.place.isBelow(origin, prefix) })
}

// Clear drops everything. It returns how many there were.
func (s *Store) Clear() int {
	s.mu.Lock()
	s.seq++
	seq := s.seq
	s.cleared = seq
	s.stats.Invalidations++
	s.unlock()
	return s.dropAll(seq, func(*item) bool { return true })
}

// dropAll drops the items of fetches that began before an invalidation and are about it.
func (s *Store) dropAll(seq uint64, isAbout func(*item) bool) (dropped int) {
	for from, slots := 0, maxDrops; from < slots; from += maxDrops {
		s.mu.Lock()
		slots = len(s.clock.slots)
		for _, it := range s.clock.slots[min(from, slots):min(from+maxDrops, slots)] {
			if it != nil && it.seq < seq && isAbout(it) {
				s.drop(it, Purged)
				dropped++
			}
		}
		s.unlock()
	}
	return dropped
}
