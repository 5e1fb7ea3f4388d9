package appcall

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// errStaleConn is why a connection is not used for another request; nothing was written to it.
var errStaleConn = errors.New("connection to the app is no longer good")

// appConn is a connection to the app. Before each request after the first it checks whether the app has closed the
// connection, as servers do after a while, or has sent bytes that belong to no request: they would be taken for
// the response to this one, which is about another client.
type appConn struct {
	net.Conn
	answered bool // bytes were read since the last write
	ended    bool // the app has closed it
}

// RemoteAddr returns an address with a reference to its connection: a response of fasthttp has no other.
func (c *appConn) RemoteAddr() net.Addr { return connAddr{c.Conn.RemoteAddr(), c} }

type connAddr struct {
	net.Addr
	conn *appConn
}

// endedByClose reports whether only the end of its connection shows that a response is complete.
func endedByClose(resp *fasthttp.Response) bool {
	a, ok := resp.RemoteAddr().(connAddr)
	return ok && resp.ConnectionClose() && a.conn.ended // in this order: a connection that continues has another owner by now
}

func (c *appConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.answered = c.answered || n > 0
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

func (c *appConn) Write(p []byte) (int, error) {
	if c.answered {
		// The deadline of the previous request is still set, and may have passed.
		if err := c.SetReadDeadline(time.Time{}); err != nil || !isQuiet(c.Conn) {
			return 0, errStaleConn
		}
		c.answered = false
	}
	return c.Conn.Write(p)
}

// isQuiet is noPendingData, also below TLS.
func isQuiet(c net.Conn) bool {
	if g, ok := c.(*getterConn); ok {
		c = g.Conn
	}
	t, ok := c.(*tls.Conn)
	if !ok {
		return noPendingData(c)
	}
	// With a deadline that has passed, Read returns what is buffered, and reads nothing.
	if !noPendingData(t.NetConn()) || t.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	n, err := t.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && t.SetReadDeadline(time.Time{}) == nil
}
