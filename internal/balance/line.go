package balance

import (
	"sync/atomic"

	"holdfast/internal/park"
)

// Lines are what waits for servers that have their most: each loop has one, and the first of it is served when any loop
// lets go of a server. All loops share them.
type Lines struct {
	limit   int64
	waiting atomic.Int64
	each    []*line
}

// line is that of a loop.
type line struct {
	loop *park.Loop
	list []func() bool
	n    atomic.Int64 // in list
}

// NewLines returns empty lines of loops, in which limit may wait.
func NewLines(loops []*park.Loop, limit int) *Lines {
	l := &Lines{limit: int64(limit)}
	for _, loop := range loops {
		l.each = append(l.each, &line{loop: loop})
	}
	return l
}

// Waiting returns how many do.
func (l *Lines) Waiting() int64 { return l.waiting.Load() }

// Join lets somebody wait on a loop, unless the lines are full. again is called on the loop when a server may be free; it
// reports false if there is none yet. Who is served, or waits no longer, calls Leave at once, and its again reports true.
func (l *Lines) Join(loop *park.Loop, again func() bool) bool {
	if l.waiting.Add(1) > l.limit {
		l.waiting.Add(-1)
		return false
	}
	own := l.each[loop.Index]
	own.list = append(own.list, again)
	own.n.Add(1)
	l.Wake(loop) // a server may have been let go since it was found to have its most
	return true
}

// Leave takes one out of the count; its place in the line is skipped later.
func (l *Lines) Leave() { l.waiting.Add(-1) }

// Wake lets the next in line try again, of another loop than this one if that has one: both have their turn.
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

// advance goes through a line as long as there are servers.
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
	l.Wake(x.loop) // whoever waits on another loop was not told
}

// pop takes the first out of a line.
func (x *line) pop() {
	x.list[0] = nil
	x.list = x.list[1:]
	x.n.Add(-1)
}
