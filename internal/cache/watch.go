package cache

import (
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/linked"
)

// Watch is a request that is kept open because its client has the entry already: it is woken when that is not what answers
// the request any more.
type Watch struct {
	waiter Waiter
	item   *item // nil: it has ended
	node   linked.Node[*Watch]
}

// Watch has a waiter woken with Again when a change, a newer response or another one's need for room ends the entry with
// which Find or Begin has answered the request. That it gets stale wakes nobody: the caller has a deadline of its own, of
// Entry.TTL at most. It returns nil if the entry does not answer the request now; then it is to be looked up again, as it is
// by who is woken.
//
// Of a change that ends more entries than one call drops, some are woken by the calls of Sweep that follow; see
// Options.Behind.
func (s *Store) Watch(k Key, fields []http1.Field, e *Entry, w Waiter, now time.Time) *Watch {
	s.mu.Lock()
	defer s.unlock()
	it := s.find(k, fields, now)
	if it == nil || it.entry != e || !e.IsFresh(now) {
		return nil
	}
	x := &Watch{waiter: w, item: it}
	x.node.Value = x
	it.watches.Add(&x.node)
	s.stats.Watches++
	return x
}

// Unwatch ends a watch whose client has gone, or whose deadline has come. It reports false if it is too late: Wake was called,
// or is about to be.
func (s *Store) Unwatch(x *Watch) bool {
	s.mu.Lock()
	defer s.unlock()
	it := x.item
	if it == nil {
		return false
	}
	it.watches.Remove(&x.node)
	x.item = nil
	s.stats.Watches--
	return true
}

// endWatches has those who watch an item woken when the mutex is free.
func (s *Store) endWatches(it *item) {
	for n := it.watches.First(); n != nil; n = n.Next() {
		n.Value.item = nil
		s.stats.Watches--
		s.waking = append(s.waking, n.Value.waiter)
	}
	it.watches = linked.List[*Watch]{}
}

// unlock frees the mutex and wakes those whose watch has ended.
func (s *Store) unlock() {
	waking, behind := s.waking, s.behind
	s.waking, s.behind = nil, false
	s.mu.Unlock()
	for _, w := range waking {
		w.Wake(Result{Outcome: Again})
	}
	if behind {
		s.o.Behind()
	}
}
