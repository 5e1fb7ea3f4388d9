package hooks

import (
	"errors"
	"net"
	"time"
)

// errUnfit is why a connection is not used for another question; nothing was written to it.
var errUnfit = errors.New("hooks: connection to the app is no longer good")

// askConn is a connection to the app. Before a question after the first it looks whether the app has
// closed it, which servers do at their leisure, or has sent bytes that nobody asked for: they would be
// taken for the answer to this question, about another client.
type askConn struct {
	net.Conn
	answered bool // bytes were read since the last write
}

func (c *askConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.answered = c.answered || n > 0
	return n, err
}

func (c *askConn) Write(p []byte) (int, error) {
	if c.answered {
		// The last question's deadline is still set, and may have passed.
		if err := c.SetReadDeadline(time.Time{}); err != nil || !quiet(c.Conn) {
			return 0, errUnfit
		}
		c.answered = false
	}
	return c.Conn.Write(p)
}
