package tlsconn

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/internal/linger"
	"holdfast/internal/park"
	"holdfast/internal/tlsrecord"
)

// acmeProtocol is that of ACME's TLS-ALPN-01 (RFC 8737): the handshake is all of it.
const acmeProtocol = "acme-tls/1"

// httpProtocol is the only one that is spoken afterwards.
const httpProtocol = "http/1.1"

// Options of a Server; zero means the default.
type Options struct {
	// Config has the certificates, by GetCertificate or in a list, and what is asked of clients. It is not changed
	// afterwards. Harden is applied to it.
	Config *tls.Config

	Time       time.Duration // limit for the first message of the client, and for the rest of the handshake; default 10 s
	Handshakes int           // at once, most of them waiting for their clients, about 25 kB each; default 2048
	Log        *slog.Logger  // default slog.Default()

	patience time.Duration // with a client that stalls while others wait; default a third of Time
}

// Server has the connections of clients. It starts nothing; its workers end with the poller.
type Server struct {
	engine
	outer    *tls.Config // has the keys of tickets
	draining atomic.Bool
}

// Harden returns a copy of c without what is not offered: versions below 1.2, suites of 1.2 without forward secrecy or
// with CBC, and protocols other than HTTP/1.1 and that of ACME.
func Harden(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	protos := []string{httpProtocol}
	if slices.Contains(c.NextProtos, acmeProtocol) {
		protos = append(protos, acmeProtocol)
	}
	c.NextProtos = protos
	c.Renegotiation = tls.RenegotiateNever
	return c
}

// NewServer returns a server on the poller's loops.
func NewServer(p *park.Poller, o Options) *Server {
	if o.Time <= 0 {
		o.Time = 10 * time.Second
	}
	if o.Handshakes <= 0 {
		o.Handshakes = 2048 // whoever stops in the middle occupies one for Time
	}
	x := &Server{}
	x.init(p, false, o.Time, o.Handshakes, o.Log)
	x.pool = p.NewPool(o.Handshakes, maxQueue)
	if o.patience > 0 {
		x.patience = o.patience
	}
	base := Harden(o.Config)
	x.outer = base.Clone()
	x.outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return configFor(base, hello)
	}
	return x
}

// configFor returns the configuration of one connection: base, and its handshake as the writer of the key log.
func configFor(base *tls.Config, hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := base
	if c.GetConfigForClient != nil {
		other, err := c.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		if other != nil {
			c = Harden(other)
		}
	}
	c = c.Clone()
	h := hello.Conn.(*wire).hand
	h.offer = offer{known: true, name: hello.ServerName, versions: hello.SupportedVersions, min: c.MinVersion}
	c.KeyLogWriter = h
	if get := c.GetCertificate; get != nil {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := get(hello)
			h.offer.noCert = err
			return cert, err
		}
	}
	return c, nil
}

// Accept returns what gives a listener's connections to accept's handlers after their handshakes, for
// park.Poller.Listen.
func (x *Server) Accept(accept func(*park.Loop) park.Handler) func(*park.Loop) park.Handler {
	return func(l *park.Loop) park.Handler {
		next := accept(l)
		if next == nil {
			return nil
		}
		return &hello{x: x, next: next}
	}
}

// Begin makes the handshake of a connection that has sent head, which is valid during the call only. Then next gets it.
func (x *Server) Begin(c *park.Conn, head []byte, next park.Handler) {
	h := &hello{x: x, next: next}
	c.Hold(h)
	c.SetDeadline(x.time)
	h.timed = true
	if len(head) > 0 {
		h.start(c, head)
	} else {
		h.Ready(c, park.Readable)
	}
}

// Drain closes the connections whose handshake has not begun, and soon those where it has. Any goroutine may call it.
func (x *Server) Drain(p *park.Poller) {
	x.draining.Store(true)
	p.VisitAll(nil, func(c *park.Conn) {
		if h, ok := c.Handler().(*hello); ok && h.x == x {
			c.Close()
		}
	})
}

// hello is the handler of a connection until its first record is complete. That waits in the kernel: a slow client
// occupies no worker and no buffer.
type hello struct {
	x     *Server
	next  park.Handler
	timed bool
}

var errNoHello = errors.New("tls: the client has not begun its handshake in time")

// Ready implements park.Handler.
func (h *hello) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		h.x.failed("timeout", errNoHello, c.RemoteAddr(), "limit", h.x.time)
		c.Close()
		return
	}
	if !h.timed {
		h.timed = true
		c.SetDeadline(h.x.time)
	}
	if ev&park.Readable == 0 {
		return
	}
	var header [tlsrecord.HeaderLen]byte
	n, err := c.Peek(header[:])
	switch {
	case err == park.ErrAgain:
	case err != nil:
		c.Close() // a health check of a load balancer, or a connection that was opened in advance
	case header[0] != typeHandshake:
		h.notTLS(c)
	case n == len(header):
		size, err := tlsrecord.RecordLen(header[:])
		if err != nil || c.Received() >= min(size, waitSize) || ev&park.HangUp != 0 {
			h.start(c, nil)
		}
	case ev&park.HangUp != 0:
		c.Close()
	}
}

const (
	typeHandshake = 22
	waitSize      = 8 << 10 // bytes of the first record that are waited for
)

func (h *hello) start(c *park.Conn, head []byte) {
	if h.x.draining.Load() {
		c.Close()
		return
	}
	h.x.begin(c, job{pool: h.x.pool, head: head, next: h.made, failed: lingers, tls: func(hand *handshake) *tls.Conn {
		return tls.Server(hand.wire, h.x.outer)
	}})
}

// lingers closes a connection whose handshake has failed, so that the client does not lose the alert.
func lingers(c *park.Conn, _ error) { linger.Close(c) }

// made gives the connection to its handler, with the events that a new connection has.
func (h *hello) made(c *park.Conn, m *made) {
	if m.state.NegotiatedProtocol == acmeProtocol || h.x.draining.Load() {
		c.Close()
		return
	}
	c.Hold(h.next)
	ref := c.Ref()
	h.next.Ready(c, park.Writable)
	if c, ok := ref.Conn(); ok && c.Handler() == h.next {
		h.next.Ready(c, m.past)
	}
}

var errNotTLS = errors.New("tls: the client has sent something else than TLS")

const notTLS = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 50\r\nConnection: close\r\n\r\n" +
	"This port speaks HTTPS. Use https:// in the URL.\r\n"

// notTLS responds to a client that begins with something else, most likely plain HTTP.
func (h *hello) notTLS(c *park.Conn) {
	h.x.failed("not_tls", errNotTLS, c.RemoteAddr(), "hint", "the client uses http:// on a listener with tls")
	_, _ = c.Write([]byte(notTLS))
	linger.Close(c)
}
