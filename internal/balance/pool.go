package balance

import (
	"time"

	"holdfast/internal/park"
)

// Pool keeps a loop's idle connections to one upstream, the latest used first out. It is their handler:
// the end of one, or bytes that nobody asked for, take it out.
type Pool struct {
	Limit int
	Keep  time.Duration // how long an idle one is kept
	idle  []*park.Conn
}

// Get returns an idle connection that is still good.
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

// Put keeps c, or closes it where there are as many as may be.
func (p *Pool) Put(c *park.Conn) {
	if len(p.idle) >= p.Limit {
		c.Close()
		return
	}
	c.Hold(p)
	c.SetDeadline(p.Keep)
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
