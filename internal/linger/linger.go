// Package linger closes connections whose peer may still be sending.
package linger

import (
	"time"

	"holdfast/internal/park"
)

const (
	maxTime  = 5 * time.Second
	maxBytes = 1 << 20
)

// Close ends the sending side of c and reads on, up to 5 s or 1 MB, until the peer has ended its side. With unread bytes,
// the kernel would send a reset, and the peer could lose the last response (RFC 9112 §9.6).
func Close(c *park.Conn) {
	_ = c.CloseWrite()
	x := &lingering{left: maxBytes}
	c.Hold(x)
	c.SetDeadline(maxTime)
	x.Ready(c, park.Readable)
}

type lingering struct{ left int }

// Ready implements park.Handler.
func (x *lingering) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		c.Close()
		return
	}
	for {
		n, err := c.Read(c.Loop().In())
		if err == park.ErrAgain {
			return
		}
		if x.left -= n; err != nil || x.left < 0 {
			c.Close()
			return
		}
	}
}
