package park

import "time"

const (
	lingerTime  = 5 * time.Second
	lingerBytes = 1 << 20
)

// Linger closes our side of c and reads on for a while, up to 5 s or 1 MB, until the peer has ended its
// own: bytes left unread would make the kernel send a reset, and the peer could lose what it was just
// sent (RFC 9112 §9.6).
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
