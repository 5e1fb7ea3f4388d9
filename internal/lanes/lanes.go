// Package lanes has the loops of a poller deliver what a hub publishes.
package lanes

import (
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
