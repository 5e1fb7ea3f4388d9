// Package lanes has the loops of a poller deliver what a hub publishes.
package lanes

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

// Wire has each loop step its lane, members at a time, so that other connections have their turns in between.
func Wire(h *hub.Hub, p *park.Poller, members int) {
	for i, loop := range p.Loops() {
		lane := h.Lane(i)
		var step func()
		step = func() {
			more := true // stays true if Step panics
			defer func() {
				if more {
					loop.Later(step)
				}
			}()
			more = lane.Step(members)
		}
		lane.OnWork(func() { loop.Post(step) })
	}
}

// ErrBusy means that Drain did not come to an end.
var ErrBusy = errors.New("published messages could not be delivered in time")

// Drain delivers all that is published, in place of the loops, which are frozen. Workers may be rendering large messages,
// so it waits for them, but not longer than until by.
func Drain(h *hub.Hub, p *park.Poller, by time.Time) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a delivery has panicked: %v\n%s", r, debug.Stack())
		}
	}()
	for {
		for i := range p.Loops() {
			for h.Lane(i).Step(64) {
			}
		}
		switch {
		case h.Stats().Backlog == 0:
			return nil
		case time.Now().After(by):
			return ErrBusy
		}
		time.Sleep(time.Millisecond)
	}
}
