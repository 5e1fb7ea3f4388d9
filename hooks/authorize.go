package hooks

import (
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

	maxVerdict = 64 << 10 // bytes of an answer's body
)

// ErrNoVerdict is what Authorize's errors have in common: the app could not be asked, or its answer is
// neither yes nor no.
var ErrNoVerdict = errors.New("hooks: no verdict from the app")

// AuthorizerOptions are the properties of an Authorizer. Network, Address and Path are required.
type AuthorizerOptions struct {
	Network, Address string        // where the app listens: tcp and host:port, or unix and a path
	Others           []Place       // where else, asked in this order when there is no connection to those before
	Host             string        // Host to send when the client's is not known
	Path             string        // on the app; it may have a query
	Timeout          time.Duration // for all of one question, waiting for a connection included; zero means 5 s
	// Within reports whether name is a valid part of what pattern matches, so that the app may name it for a pattern that
	// was asked for. Nil: of nothing.
	Within func(pattern, name string) bool

	MaxConns int // questions at a time, the others wait; zero means 64
}

// Place is where an app listens.
type Place struct{ Network, Address string }

// Authorizer asks the app whether a client may hold channels. Any number of goroutines may ask.
type Authorizer struct {
	options AuthorizerOptions
	target  string // up to the channels
	client  *fasthttp.HostClient
}

// NewAuthorizer returns an authorizer. It starts nothing; connections are made when there is a question.
func NewAuthorizer(o AuthorizerOptions) *Authorizer {
	if o.Timeout <= 0 {
		o.Timeout = defaultAuthorizeTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultAuthorizeConns
	}
	a := &Authorizer{options: o, target: o.Path + "?"}
	if strings.Contains(o.Path, "?") {
		a.target = o.Path + "&"
	}
	a.client = newAppClient(Place{o.Network, o.Address}, o.Others, o.MaxConns, maxVerdict, o.Timeout)
	return a
}

// Close closes the connections that wait for the next question.
func (a *Authorizer) Close() { a.client.CloseIdleConnections() }

// Authorize asks the app. An error, always an ErrNoVerdict, means that there is neither a yes nor a no;
// the client must not get in.
func (a *Authorizer) Authorize(q auth.Request) (auth.Result, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	a.write(req, q)
	err := a.client.DoTimeout(req, resp, a.options.Timeout)
	var v auth.Result
	if err == nil {
		v, err = verdictOf(resp, q.Channels, a.options.Within)
		takeFields(&v, resp, err != nil)
	} else {
		err = &answerError{hint: a.noAnswer(err), err: err}
	}
	if err != nil {
		return auth.Result{RetryAfter: v.RetryAfter}, fmt.Errorf("%w: GET %s: %w", ErrNoVerdict, a.options.Path, err)
	}
	return v, nil
}

// noAnswer says what kept an answer away.
func (a *Authorizer) noAnswer(err error) string {
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
	target.WriteString("http://app")
	target.WriteString(a.target)
	for i, channel := range q.Channels {
		if i > 0 {
			target.WriteByte('&')
		}
		target.WriteString("channel=")
		target.WriteString(url.QueryEscape(channel))
	}
	req.SetRequestURI(target.String())
	writeClient(&req.Header, &q, a.options.Host)
}
