package hooks

import (
	"io"
	"net"
	"time"
)

// lingerTime is how long a caller may continue to send a request that was refused before its end.
const lingerTime = 2 * time.Second

// conn is a caller's connection.
type conn struct {
	net.Conn
	local  bool // a unix socket
	linger bool // owned by the connection's goroutine: bytes of a request may be unread
	idle   bool // guarded by Server.mu: waits for a request

	// Owned by the connection's goroutine.
	call   call
	host   string  // the last Host that was allowed; empty: none
	access *access // by which it was

	begun bool // it has been read from
	tls   bool // it began with a TLS handshake
}

// Read implements net.Conn. Of a connection that begins with a TLS handshake (RFC 8446 §5.1) it returns an error behind
// the first bytes: no request begins so, and its sender would wait until the header's timeout.
func (c *conn) Read(p []byte) (int, error) {
	if c.tls {
		return 0, errTLS
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		c.tls = p[0] == 0x16
	}
	return n, err
}

// knows reports whether the Host is that of an earlier request, which was allowed.
func (c *conn) knows(host []byte) bool { return len(host) > 0 && string(host) == c.host }

// Close ends the connection. If bytes are unread, the kernel sends a reset, which can overtake the response; so Close first
// reads on for lingerTime.
func (c *conn) Close() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger && w.CloseWrite() == nil {
		if err := c.SetReadDeadline(time.Now().Add(lingerTime)); err == nil {
			_, _ = io.Copy(io.Discard, c.Conn)
		}
	}
	return c.Conn.Close()
}
