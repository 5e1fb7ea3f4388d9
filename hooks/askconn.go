package hooks

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// errUnfit is why a connection is not used for another question; nothing was written to it.
var errUnfit = errors.New("hooks: connection to the app is no longer good")

// askConn is a connection to the app. Before a question after the first it looks whether the app has
// closed it, which servers do at their leisure, or has sent bytes that nobody asked for: they would be
// taken for the answer to this question, about another client.
type askConn struct {
	net.Conn
	answered bool // bytes were read since the last write
	ended    bool // the app has closed it
}

// RemoteAddr returns an address that knows its connection: fasthttp hands nothing else of it on with a response.
func (c *askConn) RemoteAddr() net.Addr { return askAddr{c.Conn.RemoteAddr(), c} }

type askAddr struct {
	net.Addr
	conn *askConn
}

// endedByClose reports whether nothing but the end of its connection says that a response is complete.
func endedByClose(resp *fasthttp.Response) bool {
	a, ok := resp.RemoteAddr().(askAddr)
	return ok && resp.ConnectionClose() && a.conn.ended // in this order: a connection that goes on is another's by now
}

func (c *askConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.answered = c.answered || n > 0
	c.ended = c.ended || errors.Is(err, io.EOF)
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
