package server

import (
	"context"
	"sync"
	"time"
)

// lifecycle records how to stop what was started. The zero value is ready for use.
type lifecycle struct {
	stops  []func(by time.Time)
	served bool // Serve has begun

	stopping func() // tells others that a shutdown begins; nil: nobody is told
}

// tellStopping runs stopping, which may take its time, and returns what waits for it.
func (l *lifecycle) tellStopping() (wait func()) {
	var group sync.WaitGroup
	if l.stopping != nil {
		group.Go(l.stopping)
	}
	return group.Wait
}

// onStop records a stop for what has just been started. by is when the drain time ends; a stop that has
// nothing to finish ignores it.
func (l *lifecycle) onStop(f func(by time.Time)) { l.stops = append(l.stops, f) }

// run starts f and records that it is stopped by canceling its context and waiting for it.
func (l *lifecycle) run(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { f(ctx) })
	l.onStop(func(time.Time) { cancel(); group.Wait() })
}

// stop stops everything in reverse order. A second call does nothing.
func (l *lifecycle) stop(by time.Time) {
	for len(l.stops) > 0 {
		last := len(l.stops) - 1
		f := l.stops[last]
		l.stops = l.stops[:last]
		f(by)
	}
}
