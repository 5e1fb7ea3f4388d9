// Package throttle keeps what happens often from filling the log.
package throttle

import (
	"sync/atomic"
	"time"
)

// Throttle lets one line in a minute through and counts what happens. The zero Throttle is ready; any goroutine may call
// its methods.
type Throttle struct {
	Every time.Duration // between two lines; zero: a minute. Not changed after the first use

	total atomic.Int64
	next  atomic.Int64 // no line before, in Unix nanoseconds
}

// Due counts one more and reports whether it is to be logged, and how many there were since the start.
func (t *Throttle) Due(now time.Time) (total int64, due bool) { return t.DueOf(1, now) }

// DueOf is Due for n at once.
func (t *Throttle) DueOf(n int64, now time.Time) (total int64, due bool) {
	total = t.total.Add(n)
	every := t.Every
	if every == 0 {
		every = time.Minute
	}
	at, next := now.UnixNano(), t.next.Load()
	return total, at >= next && t.next.CompareAndSwap(next, at+int64(every))
}

// Total returns how many there were.
func (t *Throttle) Total() int64 { return t.total.Load() }
