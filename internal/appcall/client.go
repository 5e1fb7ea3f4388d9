package appcall

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/http1"
)

const (
	// maxIdle is below the keep-alive timeout of the servers that legacy apps run on; Apache's is 5 s.
	maxIdle = 4 * time.Second

	maxHead = 16 << 10 // bytes of a response's status line and fields
)

// Endpoint is an address where the app listens: tcp and host:port, or unix and a path. Secure makes the handshake of TLS
// on a connection to it; nil: plain.
type Endpoint struct {
	Network, Address string
	Secure           func(context.Context, net.Conn) (net.Conn, error)
}

// Target is a path of the app. Endpoints has at least one; the others are used, in this order, if there is no
// connection to those before.
type Target struct {
	Endpoints []Endpoint
	Host      string // field to send where the client's own Host is not known; empty: the first endpoint's address
	Path      string // may have a query
	Used      bool   // Host is the one that the client has used, also where a proxy in front has sent another
}

// url returns the URL for the engine, which dials by itself and sends its own Host.
func (t *Target) url() string { return "http://app" + t.Path }

func (t *Target) host() string {
	if t.Host != "" {
		return t.Host
	}
	return t.Endpoints[0].Address
}

// dial connects to the first endpoint that can be reached.
func (t *Target) dial(ctx context.Context, timeout time.Duration) (c net.Conn, err error) {
	for _, e := range t.Endpoints {
		if c, err = e.dial(ctx, timeout); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (e *Endpoint) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, e.Network, e.Address)
	if err != nil || e.Secure == nil {
		return c, err
	}
	if c, err = e.Secure(ctx, c); err != nil {
		return nil, &net.OpError{Op: "dial", Net: e.Network, Err: err} // nothing was requested yet
	}
	return c, nil
}

// newClient returns a client that sends at most conns requests at a time; others wait for at most timeout. The
// connections are those of dial.
func newClient(conns, maxBody int, timeout time.Duration, dial func(time.Duration) (net.Conn, error)) *fasthttp.HostClient {
	return &fasthttp.HostClient{
		Addr: "app", // for the engine's own use; see DialTimeout
		DialTimeout: func(_ string, timeout time.Duration) (net.Conn, error) {
			c, err := dial(timeout)
			if err != nil {
				return nil, err
			}
			return &appConn{Conn: c}, nil
		},
		MaxConns:            conns,
		MaxConnWaitTimeout:  timeout,
		MaxIdleConnDuration: maxIdle,
		ConnPoolStrategy:    fasthttp.LIFO,
		MaxResponseBodySize: maxBody,
		ReadBufferSize:      maxHead,

		// A slow app does not get the same request again: that would multiply its load. Only a connection that is found
		// stale before the first byte is replaced, and each of the pool may be.
		MaxIdemponentCallAttempts: conns + 1,
		RetryIfErr: func(_ *fasthttp.Request, _ int, err error) (resetTimeout, retry bool) {
			return false, errors.Is(err, errStaleConn)
		},

		NoDefaultUserAgentHeader: true,
		DisablePathNormalizing:   true,
		SecureErrorLogMessage:    true,
	}
}

// writeClient sets the fields that describe the client. The engine's own handling of fields is off, as it takes
// cookies apart and puts them together in its own way; it still replaces line ends in values.
func writeClient(h *fasthttp.RequestHeader, q *auth.Request, to *Target) {
	h.DisableSpecialHeader()
	host := to.host()
	switch {
	case to.Used && q.ForwardedHost != "":
		host = q.ForwardedHost
	case q.Host != "":
		host = q.Host
	}
	forwarded := q.ForwardedFor
	if forwarded == "" {
		forwarded = q.ClientAddr
	}
	forwardedHost := q.ForwardedHost
	if forwardedHost == "" {
		forwardedHost = q.Host
	}
	if http1.LogsInConnection([]byte(q.Authorization)) {
		h.SetConnectionClose() // or the app could attribute another client's request to this user
	}
	for _, field := range [...]struct{ name, value string }{
		{fasthttp.HeaderHost, host},
		{fasthttp.HeaderAccept, "application/json"},
		{fasthttp.HeaderCookie, q.Cookie},
		{fasthttp.HeaderAuthorization, q.Authorization},
		{fasthttp.HeaderUserAgent, q.UserAgent},
		{fasthttp.HeaderAcceptLanguage, q.AcceptLanguage},
		{fasthttp.HeaderXForwardedFor, forwarded},
		{fasthttp.HeaderXForwardedProto, q.Proto},
		{fasthttp.HeaderXForwardedHost, forwardedHost},
		{"X-Forwarded-Port", q.ForwardedPort},
		{"X-Real-IP", q.ClientAddr},
	} {
		if field.value != "" {
			h.SetCanonical([]byte(field.name), []byte(field.value))
		}
	}
}
