package park

import "time"

const (
	lingerTime  = 5 * time.Second
	lingerBytes = 1 << 20
)

// Linger ends the sending side of c and reads on, up to 5 s or 1 MB, until the peer has ended its side. With unread
// bytes, the kernel would send a reset, and the peer could lose the last response (RFC 9112 §9.6).
func Linger(c *Conn) {
	c.CloseWrite()
	x := &lingering{left: lingerBytes}
	c.Hold(x)
	c.SetDeadline(lingerTime)
	x.Ready(c, Readable)
}

type lingering struct{ left int }

func (x *lingering) Ready(c *Conn, ev Event) {
	if ev&Expired != 0 {
		c.Close()
		return
	}
	for {
		n, err := c.Read(c.Loop().In())
		if err == ErrAgain {
			return
		}
		if x.left -= n; err != nil || x.left < 0 {
			c.Close()
			return
		}
	}
}
