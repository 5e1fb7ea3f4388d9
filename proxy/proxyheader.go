package proxy

import (
	"errors"

	"holdfast/internal/park"
	"holdfast/internal/proxyheader"
)

// errHeaderUntrusted is a connection that may not say whose it is.
var errHeaderUntrusted = errors.New("PROXY header expected, but the peer is not in trusted_proxies")

// proxyHeader is a connection that has to say first, in the PROXY protocol (version 1 or 2), whose it is.
type proxyHeader struct {
	f     *Front
	b     []byte
	timed bool
}

func (x *proxyHeader) Ready(c *park.Conn, ev park.Event) {
	if !x.timed {
		x.timed = true
		c.SetDeadline(x.f.p.o.HeaderTime)
		if !x.f.p.o.Trusted(c.RemoteAddr().Addr().Unmap()) {
			x.refuse(c, errHeaderUntrusted)
			return
		}
	}
	if ev&park.Expired != 0 {
		x.refuse(c, errTimeout)
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := x.f.loop.In()
	for {
		n, err := c.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			c.Close() // a health check of the balancer's, most likely
			return
		}
		x.b = append(x.b, in[:n]...)
		used, from, tls, err := proxyheader.Parse(x.b)
		if err != nil {
			x.refuse(c, err)
			return
		}
		if used > 0 {
			if from.IsValid() {
				c.SetRemoteAddr(from)
			}
			c.SetTLS(tls)
			c.SetDeadline(x.f.p.o.HeaderTime)
			c.Hold(x.f)
			if rest := x.b[used:]; len(rest) > 0 {
				x.f.take(c, rest, true)
			} else {
				x.f.read(c, true)
			}
			return
		}
	}
}

// refuse says nothing to the peer: it did not begin to speak HTTP.
func (x *proxyHeader) refuse(c *park.Conn, err error) {
	x.f.p.stats.refused.Add(1)
	x.f.p.o.Log.Warn("connection refused", "reason", err, "client", c.RemoteAddr())
	c.Abort()
}
