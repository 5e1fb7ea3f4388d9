package proxy

import (
	"errors"
	"time"
)

var (
	errQueue     = errors.New("waited too long for an upstream that has its most (upstream_pool.max_conns)")
	errQueueFull = errors.New("the line for an upstream is full (upstream_pool.max_queue)")
)

// enqueue lets the exchange wait for a server that has its most.
func (a *appLeg) enqueue() {
	x, waits := a.x, false
	again := x.ifCurrent(func() { waits = a.queued && !a.again() })
	joined := x.f.p.lines.Join(x.f.loop, func() bool {
		waits = false
		again()
		return !waits
	})
	if !joined {
		x.f.p.stats.overloaded.Add(1)
		x.finishAfter(503, time.Second, errQueueFull)
		return
	}
	a.queued = true
	x.client.conn.SetDeadline(x.f.p.o.QueueTime)
}

// again asks a server if one is free now, and reports whether the exchange waits no longer.
func (a *appLeg) again() bool {
	s, full := a.x.route.servers.Choose(a.tried, a.sticky, a.x.f.loop.Now())
	if s == nil && full {
		return false
	}
	a.dequeue()
	a.x.client.conn.SetDeadline(0)
	a.server = s
	a.ask(a.head, a.x.upload.gathered)
	return true
}

// dequeue ends the waiting.
func (a *appLeg) dequeue() {
	if a.queued {
		a.queued = false
		a.x.f.p.lines.Leave()
	}
}

// releaseServer gives the server back, and its place to the next in line.
func (a *appLeg) releaseServer() {
	if a.server != nil {
		a.server.Release()
		a.server = nil
		a.x.f.p.lines.Wake(a.x.f.loop)
	}
}
