package proxy

import (
	"time"

	"holdfast/internal/balance"
)

// enqueue puts the exchange into the queue for a server: all are at their limit.
func (a *appLeg) enqueue() {
	x, waits := a.x, false
	ifCurrent := x.ifCurrent()
	joined := x.p.lines.Join(x.f.loop, func() bool {
		waits = false
		ifCurrent(func() { waits = a.queued && !a.again() })
		return !waits
	})
	if !joined {
		x.p.stats.Overloaded.Add(1)
		x.finishAfter(503, time.Second, balance.ErrQueueFull)
		return
	}
	a.queued = true
	x.client.conn.SetDeadline(x.p.o.QueueTime)
}

// again sends the request to a server if one is free now, and reports whether the exchange has left the queue.
func (a *appLeg) again() bool {
	s, full := a.x.route.Servers.Choose(a.tried, a.sticky, a.x.f.loop.Now())
	if s == nil && full {
		return false
	}
	a.dequeue()
	a.x.client.conn.SetDeadline(0)
	a.server = s
	a.ask(a.head, a.x.upload.gathered)
	return true
}

// dequeue takes the exchange out of the queue, if it is in it.
func (a *appLeg) dequeue() {
	if a.queued {
		a.queued = false
		a.x.p.lines.Leave()
	}
}

// releaseServer gives the server back, and wakes the next exchange in the queue.
func (a *appLeg) releaseServer() {
	if a.server != nil {
		a.server.Release()
		a.server = nil
		a.x.p.lines.Wake(a.x.f.loop)
	}
}
