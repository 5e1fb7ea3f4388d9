package balance

import (
	"time"

	"holdfast/internal/park"
)

// Limits are how many idle connections a Pool keeps, and how long each.
type Limits struct {
	Conns int
	Keep  time.Duration
}

// Pool has a loop's idle connections to one upstream; the last used is the first reused. It is their handler: a
// connection that ends, or receives bytes without a request, is closed.
type Pool struct{ idle []*park.Conn }

// Get returns an idle connection that is still usable, or nil.
func (p *Pool) Get() *park.Conn {
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle = p.idle[:last]
		if !c.Stale() {
			return c
		}
		c.Close()
	}
	return nil
}

// Put keeps c, or closes it if the pool is full.
func (p *Pool) Put(c *park.Conn, l Limits) {
	if len(p.idle) >= l.Conns {
		c.Close()
		return
	}
	c.Hold(p)
	c.SetDeadline(l.Keep)
	p.idle = append(p.idle, c)
}

// Ready implements park.Handler.
func (p *Pool) Ready(c *park.Conn, ev park.Event) {
	if ev&(park.Expired|park.HangUp) == 0 && !c.Stale() {
		return
	}
	for i, d := range p.idle {
		if d == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	c.Close()
}
