package proxy

import (
	"errors"
	"time"

	"holdfast/internal/park"
)

var errQueue = errors.New("waited too long for an upstream that has its most (upstream_pool.max_conns)")

// waiter is an exchange in the line for an upstream. The exchange may be gone, and its struct another's,
// when its turn comes.
type waiter struct {
	x      *exchange
	client park.Ref
}

// wake lets the next in line try again, of another loop than f's if that has one: both have their turn.
func (p *Proxy) wake(f *Front) {
	if p.queued.Load() == 0 {
		return
	}
	for i := range p.fronts {
		next := p.fronts[(f.loop.Index+1+i)%len(p.fronts)]
		if next.lineLen.Load() > 0 {
			next.loop.Post(next.advance)
			return
		}
	}
}

// advance gives servers to the first in line, as long as there are any.
func (f *Front) advance() {
	p := f.p
	for len(f.line) > 0 {
		w := f.line[0]
		c, ok := w.client.Conn()
		if !ok || c.Handler() != park.Handler(w.x) || !w.x.app.queued {
			f.popWaiter()
			continue
		}
		s, full := w.x.route.servers.Choose(w.x.app.tried, w.x.app.sticky, f.loop.Now())
		if s == nil && full {
			return
		}
		f.popWaiter()
		w.x.app.dequeue()
		c.SetDeadline(0)
		w.x.app.server = s
		w.x.app.ask(w.x.app.head, w.x.upload.gathered)
	}
	p.wake(f) // whoever waits on another loop was not told
}

func (f *Front) popWaiter() {
	f.line[0] = waiter{}
	f.line = f.line[1:]
	f.lineLen.Add(-1)
}

// enqueue lets x wait for a server that has its most. Each loop has a line; the first of it is served
// when any loop lets go of a server.
func (a *appLeg) enqueue() {
	p := a.x.f.p
	if n := p.queued.Add(1); n > int64(p.o.Queue) {
		p.queued.Add(-1)
		p.stats.overloaded.Add(1)
		a.x.finishAfter(503, time.Second, errors.New("the line for an upstream is full (upstream_pool.max_queue)"))
		return
	}
	a.queued = true
	a.x.client.conn.SetDeadline(p.o.QueueTime)
	a.x.f.line = append(a.x.f.line, waiter{a.x, a.x.client.conn.Ref()})
	a.x.f.lineLen.Add(1)
	p.wake(a.x.f) // a server may have been let go since it was found to have its most
}

// dequeue takes x out of the count; its place in the line is skipped later.
func (a *appLeg) dequeue() {
	if a.queued {
		a.queued = false
		a.x.f.p.queued.Add(-1)
	}
}

// releaseServer gives the server back, and its place to the next in line.
func (a *appLeg) releaseServer() {
	if a.server != nil {
		a.server.Release()
		a.server = nil
		a.x.f.p.wake(a.x.f)
	}
}
