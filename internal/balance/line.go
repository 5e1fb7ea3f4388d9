package balance

import (
	"errors"
	"sync/atomic"

	"holdfast/internal/park"
)

// Why a request that waits for a server is refused.
var (
	ErrQueueTime = errors.New("queue timeout: all upstreams at upstream_pool.max_conns for upstream_pool.queue_timeout")
	ErrQueueFull = errors.New("queue full: all upstreams at upstream_pool.max_conns, and upstream_pool.max_queue requests wait")
)

// Lines are the queues for servers at their limit. Each loop has one; when a loop releases a server, the first of one
// queue tries again. All loops share them.
type Lines struct {
	limit   atomic.Int64
	waiting atomic.Int64
	each    []*line
}

// line is the queue of a loop.
type line struct {
	loop *park.Loop
	list []func() bool
	n    atomic.Int64 // in list
}

// NewLines returns empty queues for the loops, of at most limit entries together.
func NewLines(loops []*park.Loop, limit int) *Lines {
	l := new(Lines)
	l.SetLimit(limit)
	for _, loop := range loops {
		l.each = append(l.each, &line{loop: loop})
	}
	return l
}

// SetLimit sets how many entries may wait. Those that wait already stay.
func (l *Lines) SetLimit(n int) { l.limit.Store(int64(n)) }

// Waiting returns how many entries wait.
func (l *Lines) Waiting() int64 { return l.waiting.Load() }

// Join adds an entry to a loop's queue, unless the queues are full. again is called on the loop when a server may be
// free; it returns false if none is. An entry that gets a server, or waits no longer, calls Leave at once, and its
// again then returns true.
func (l *Lines) Join(loop *park.Loop, again func() bool) bool {
	if l.waiting.Add(1) > l.limit.Load() {
		l.waiting.Add(-1)
		return false
	}
	own := l.each[loop.Index]
	own.list = append(own.list, again)
	own.n.Add(1)
	l.Wake(loop) // a server may have been released since it was found to be at its limit
	return true
}

// Leave takes an entry out of the count; its place in the queue is skipped later.
func (l *Lines) Leave() { l.waiting.Add(-1) }

// Wake lets the next entry try again, preferably one of another loop, so that all loops have their turn.
func (l *Lines) Wake(loop *park.Loop) {
	if l.waiting.Load() == 0 {
		return
	}
	for i := range l.each {
		next := l.each[(loop.Index+1+i)%len(l.each)]
		if next.n.Load() > 0 {
			next.loop.Post(func() { l.advance(next) })
			return
		}
	}
}

// advance goes through a queue as long as servers are free.
func (l *Lines) advance(x *line) {
	whole := false
	defer func() {
		if !whole { // the first has panicked, which is not to cost the others their turn
			x.pop()
			x.loop.Post(func() { l.advance(x) })
		}
	}()
	for len(x.list) > 0 {
		if !x.list[0]() {
			whole = true
			return
		}
		x.pop()
	}
	whole = true
	l.Wake(x.loop) // entries of other loops were not woken
}

// pop takes the first out of a line.
func (x *line) pop() {
	x.list[0] = nil
	x.list = x.list[1:]
	x.n.Add(-1)
}
