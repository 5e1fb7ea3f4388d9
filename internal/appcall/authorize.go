package appcall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
)

const (
	defaultAuthorizeTimeout = 5 * time.Second
	defaultAuthorizeConns   = 64

	maxBody = 64 << 10 // bytes of a response's body
)

// ErrNoResult is what all errors of [Authorizer.Authorize] are: there is no response, or it neither allows nor denies.
var ErrNoResult = errors.New("authorization failed")

// AuthorizerOptions are the properties of an Authorizer. Target is required.
type AuthorizerOptions struct {
	Target  Target
	Timeout time.Duration // for a whole request, waiting for a connection included; zero means 5 s
	// Within reports whether name is a valid part of what pattern matches, so that the app may name it in answer to a
	// requested pattern. Nil: never.
	Within func(pattern, name string) bool

	MaxConns int // requests at a time, others wait; zero means 64
}

// Authorizer requests from the app whether a client may subscribe to channels. Any number of goroutines may use it.
type Authorizer struct {
	options AuthorizerOptions
	url     string // up to the channels
	client  *fasthttp.HostClient
}

// NewAuthorizer returns an authorizer. It starts nothing; connections are made when there is a request.
func NewAuthorizer(o AuthorizerOptions) *Authorizer {
	if o.Timeout <= 0 {
		o.Timeout = defaultAuthorizeTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultAuthorizeConns
	}
	a := &Authorizer{options: o, url: o.Target.url() + "?"}
	if strings.Contains(o.Target.Path, "?") {
		a.url = o.Target.url() + "&"
	}
	a.client = newClient(o.MaxConns, maxBody, o.Timeout, func(timeout time.Duration) (net.Conn, error) {
		return a.options.Target.dial(context.Background(), timeout)
	})
	return a
}

// Close closes the connections that wait for the next request.
func (a *Authorizer) Close() { a.client.CloseIdleConnections() }

// Authorize sends the request and reads the response. An error, always an ErrNoResult, means that the app has neither
// allowed nor denied; the client must not subscribe.
func (a *Authorizer) Authorize(q auth.Request) (auth.Result, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	a.write(req, q)
	err := a.client.DoTimeout(req, resp, a.options.Timeout)
	var r auth.Result
	if err == nil {
		r, err = parseResponse(resp, q.Channels, a.options.Within)
		takeFields(&r, resp, err != nil)
	} else {
		err = &responseError{hint: a.likelyFailure(err), err: err}
	}
	if err != nil {
		return auth.Result{SetCookie: r.SetCookie, RetryAfter: r.RetryAfter}, fmt.Errorf("%w: GET %s: %w", ErrNoResult, a.options.Target.Path, err)
	}
	return r, nil
}

// likelyFailure returns why there is no response.
func (a *Authorizer) likelyFailure(err error) string {
	var dial *net.OpError
	switch {
	case errors.Is(err, fasthttp.ErrTimeout), errors.Is(err, fasthttp.ErrNoFreeConns), os.IsTimeout(err):
		return fmt.Sprintf("the app did not answer within %v (push.authorize_timeout); "+
			"a longer request of the same session may hold its lock, as PHP's do until session_write_close", a.options.Timeout)
	case errors.As(err, &dial) && dial.Op == "dial":
		return "the app could not be reached"
	}
	return "the app's answer was cut off or not understood"
}

func (a *Authorizer) write(req *fasthttp.Request, q auth.Request) {
	var target strings.Builder
	target.WriteString(a.url)
	for i, channel := range q.Channels {
		if i > 0 {
			target.WriteByte('&')
		}
		target.WriteString("channel=")
		target.WriteString(url.QueryEscape(channel))
	}
	req.SetRequestURI(target.String())
	writeClient(&req.Header, &q, &a.options.Target)
}
