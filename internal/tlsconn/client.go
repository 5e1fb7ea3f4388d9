package tlsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"holdfast/internal/park"
)

// Client makes TLS connections to upstreams. It starts nothing; its workers end with the poller.
type Client struct {
	engine
	poller *park.Poller
}

// NewClient returns a client on the poller's loops, with a time limit for each handshake.
func NewClient(p *park.Poller, limit time.Duration, log *slog.Logger) *Client {
	x := &Client{poller: p}
	x.init(p, true, limit, mostOfUpstream, log)
	return x
}

// mostOfUpstream is how many handshakes with one upstream are made at once. Each upstream has workers of its own, so one that
// hangs delays no other.
const mostOfUpstream = 128

// Upstream is how the connections to one upstream are secured.
type Upstream struct {
	client *Client
	pool   *park.Pool
	config atomic.Pointer[tls.Config]
}

// Upstream returns that of an upstream: c has the name to verify, and who may have signed its certificate.
func (x *Client) Upstream(c *tls.Config) *Upstream {
	u := &Upstream{client: x, pool: x.poller.NewPool(mostOfUpstream, maxQueue)}
	u.Set(c)
	return u
}

// Set makes c that of new connections. Any goroutine may call it.
func (u *Upstream) Set(c *tls.Config) {
	c = Harden(c)
	c.NextProtos = []string{httpProtocol}
	c.ClientSessionCache = nil // connections are kept instead, and tickets are not read
	u.config.Store(c)
}

// Dial is park.Loop.Dial with a handshake: h gets its first event after that, and Conn.DialError returns its error.
func (u *Upstream) Dial(l *park.Loop, network, address string, h park.Handler) (*park.Conn, error) {
	return l.Dial(network, address, &dialing{u: u, next: h})
}

// Secure makes the handshake on a connection that a goroutine uses. After an error, c is closed.
func (u *Upstream) Secure(ctx context.Context, c net.Conn) (net.Conn, error) {
	secure := tls.Client(c, u.config.Load())
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secure, nil
}

// dialing is the handler of a connection until it is made and its handshake begins.
type dialing struct {
	u    *Upstream
	next park.Handler
}

// Ready implements park.Handler.
func (d *dialing) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		c.Hold(d.next)
		d.next.Ready(c, ev)
		return
	}
	switch err := c.DialError(); err { // the kernel tells it once only
	case park.ErrAgain:
	case nil:
		d.u.client.begin(c, job{pool: d.u.pool, tls: d.client, next: d.made, failed: d.failed})
	default:
		d.failed(c, err)
	}
}

func (d *dialing) client(h *handshake) *tls.Conn {
	config := d.u.config.Load().Clone()
	config.KeyLogWriter = h
	return tls.Client(h.wire, config)
}

func (d *dialing) made(c *park.Conn, m *made) {
	c.Hold(d.next)
	d.next.Ready(c, park.Writable|m.past)
}

// failed gives the connection to its handler as one that could not be made.
func (d *dialing) failed(c *park.Conn, err error) {
	c.SetLayer(&unmade{err: err})
	c.Hold(d.next)
	d.next.Ready(c, park.Writable|park.HangUp)
}

// unmade is the layer of a connection whose handshake has failed.
type unmade struct{ err error }

var _ park.Layer = (*unmade)(nil)

var errUnmade = errors.New("tls: the connection was not made")

// DialError is what park.Conn.DialError returns.
func (x *unmade) DialError() error { return x.err }

func (x *unmade) Read(park.Socket, []byte) (int, error)          { return 0, errUnmade }
func (x *unmade) Write(park.Socket, []byte, []byte) (int, error) { return 0, errUnmade }
func (x *unmade) Flush(park.Socket) error                        { return nil }
func (x *unmade) Unsent() int                                    { return 0 }
func (x *unmade) Peek(park.Socket, []byte) (int, error)          { return 0, x.err }
func (x *unmade) CloseWrite(park.Socket) error                   { return errUnmade }
func (x *unmade) Lend(park.Socket, bool)                         {}
func (x *unmade) Close(park.Socket, bool) []byte                 { return nil }
