package hooks

import (
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/http1"
)

// authorizeIdle is below the keep-alive of the servers that legacy apps run on; Apache's is 5 s.
const authorizeIdle = 4 * time.Second

// newAppClient returns a client for calls of the app that several goroutines make, at most conns at a time, at the
// first of its places that can be reached.
func newAppClient(first Place, others []Place, conns, maxAnswer int, timeout time.Duration) *fasthttp.HostClient {
	return &fasthttp.HostClient{
		Addr: "app", // for the engine's own use; see DialTimeout
		DialTimeout: func(_ string, timeout time.Duration) (net.Conn, error) {
			nc, err := net.DialTimeout(first.Network, first.Address, timeout)
			for _, p := range others {
				if err == nil {
					break
				}
				nc, err = net.DialTimeout(p.Network, p.Address, timeout)
			}
			if err != nil {
				return nil, err
			}
			return &askConn{Conn: nc}, nil
		},
		MaxConns:            conns,
		MaxConnWaitTimeout:  timeout,
		MaxIdleConnDuration: authorizeIdle,
		ConnPoolStrategy:    fasthttp.LIFO,
		MaxResponseBodySize: maxAnswer,
		ReadBufferSize:      maxHead,

		// A slow app is not asked again: that would multiply its load. The one thing that is tried again
		// is a connection found unfit before a byte was written to it, and each of the pool may be.
		MaxIdemponentCallAttempts: conns + 1,
		RetryIfErr: func(_ *fasthttp.Request, _ int, err error) (resetTimeout, retry bool) {
			return false, errors.Is(err, errUnfit)
		},

		NoDefaultUserAgentHeader: true,
		DisablePathNormalizing:   true,
		SecureErrorLogMessage:    true,
	}
}

// writeClient fills in what the app is told of a client. The engine's own handling of fields is off, as it takes
// cookies apart and puts them together in its own way; line ends in values it still replaces.
func writeClient(h *fasthttp.RequestHeader, q *auth.Request, host string) {
	h.DisableSpecialHeader()
	if q.Host != "" {
		host = q.Host
	}
	forwarded := q.ForwardedFor
	if forwarded == "" {
		forwarded = q.ClientAddr
	}
	if http1.LogsInConnection([]byte(q.Authorization)) {
		h.SetConnectionClose() // or another client would be asked about as this one's user
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
		{fasthttp.HeaderXForwardedHost, q.Host},
		{"X-Real-IP", q.ClientAddr},
	} {
		if field.value != "" {
			h.SetCanonical([]byte(field.name), []byte(field.value))
		}
	}
}
