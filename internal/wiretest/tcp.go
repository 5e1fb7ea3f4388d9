package wiretest

import (
	"crypto/tls"
	"net"
)

// TCP returns the connection below a client, which may use TLS.
func TCP(c net.Conn) *net.TCPConn {
	for {
		switch x := c.(type) {
		case *net.TCPConn:
			return x
		case *tls.Conn:
			c = x.NetConn()
		case *Client:
			c = x.Conn
		case *Recorded:
			c = x.Conn
		default:
			panic("wiretest: not a TCP connection")
		}
	}
}

// Reset closes a connection so that its peer sees a reset.
func Reset(c net.Conn) {
	tcp := TCP(c)
	_ = tcp.SetLinger(0)
	tcp.Close()
}

// EndSide ends one side of a connection: with close_notify if it uses TLS, and behind it the connection's own.
func EndSide(c net.Conn) {
	if x, ok := c.(*Client); ok {
		c = x.Conn
	}
	if x, ok := c.(*tls.Conn); ok {
		_ = x.CloseWrite()
	}
	_ = TCP(c).CloseWrite()
}
