package proxyheader

import (
	"errors"
	"net/netip"
	"time"

	"holdfast/internal/park"
)

var (
	errUntrusted = errors.New("PROXY header expected, but the peer is not in trusted_proxies")
	errTimeout   = errors.New("PROXY header not complete in time")
)

// Owner gets the connections after their headers.
type Owner interface {
	// HeaderRead takes over c, whose address is now the one in its header. rest follows the header and is valid during
	// the call only. More bytes may wait for which no event follows.
	HeaderRead(c *park.Conn, rest []byte)

	// HeaderRefused closes c.
	HeaderRefused(c *park.Conn, err error)
}

// Conn is the handler of a connection that must begin with a PROXY header.
type Conn struct {
	Owner   Owner
	Time    time.Duration         // limit until the header is complete
	Trusted func(netip.Addr) bool // peers that may send one

	b     []byte
	timed bool
}

// Ready implements park.Handler.
func (x *Conn) Ready(c *park.Conn, ev park.Event) {
	if !x.timed {
		x.timed = true
		c.SetDeadline(x.Time)
		if !x.Trusted(c.RemoteAddr().Addr().Unmap()) {
			x.Owner.HeaderRefused(c, errUntrusted)
			return
		}
	}
	if ev&park.Expired != 0 {
		x.Owner.HeaderRefused(c, errTimeout)
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := c.Loop().In()
	for {
		n, err := c.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			c.Close() // most likely a health check of the load balancer
			return
		}
		x.b = append(x.b, in[:n]...)
		used, from, tls, err := Parse(x.b)
		if err != nil {
			x.Owner.HeaderRefused(c, err)
			return
		}
		if used > 0 {
			if from.IsValid() {
				c.SetRemoteAddr(from)
			}
			c.SetTLS(tls)
			x.Owner.HeaderRead(c, x.b[used:])
			return
		}
	}
}
