package proxy

import "holdfast/internal/park"

// pool keeps a loop's idle connections to one upstream, the latest used first out. It is their handler:
// the end of one, or bytes that nobody asked for, take it out.
type pool struct {
	f     *Front
	limit int
	idle  []*park.Conn
}

// get returns an idle connection that is still good.
func (p *pool) get() *park.Conn {
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

func (p *pool) put(c *park.Conn) {
	if len(p.idle) >= p.limit {
		c.Close()
		return
	}
	c.Hold(p)
	c.SetDeadline(p.f.p.o.PoolIdle)
	p.idle = append(p.idle, c)
}

func (p *pool) Ready(c *park.Conn, ev park.Event) {
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
