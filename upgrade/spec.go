package upgrade

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// Spec is how a connection is to be held.
type Spec struct {
	Dialect  string // its name
	Channels []string
	Resume   ResumePoint
	Client   netip.AddrPort // who has sent the request; invalid: the other end of the connection

	User    string           // empty: nobody in particular
	Token   *auth.TokenGrant // the hold ends with it; nil: it has none
	Ask     *auth.Request    // for the app to be asked again; nil: it is not
	Expires time.Duration    // when; zero: only when something has happened
	Login   *auth.Request    // WebSocket: for what the client may want later, without channels; nil: it may want nothing

	Handshake []byte // WebSocket: the whole head of the response; other dialects make their own
	Fields    string // further fields in the head of the response, each line with its CRLF
	Rest      []byte // what was read of the client after its request

	// Of a long poll: how long it waits, whether the response may be compressed, and whether it is the last one on
	// its connection.
	Wait        time.Duration
	Gzip, Close bool

	credentials []uint64 // of a client with a token
}

// ResumePoint is where a subscriber's messages begin.
type ResumePoint struct {
	ID     hub.ID // the last message that it has
	HasID  bool
	Newest int // without ID: so many of each channel's newest messages
}

// Errors of Hold.
var (
	ErrDialect  = errors.New("upgrade: no such dialect")
	ErrDraining = errors.New("upgrade: shutting down")
)

// Hold holds c, and sends the beginning of the response and what the client has missed. It runs on c's loop. Who may
// subscribe is for the caller to decide. After an error c is still the caller's, and nothing was sent.
func (k *Keeper) Hold(c *park.Conn, s Spec) error {
	f := k.forms.named(s.Dialect)
	if f == nil {
		return fmt.Errorf("%w: %q", ErrDialect, s.Dialect)
	}
	if k.draining.Load() {
		return ErrDraining
	}
	if len(s.Channels) == 0 || len(s.Channels) > k.o.MaxChannels {
		return fmt.Errorf("upgrade: %d channels; want 1 to %d", len(s.Channels), k.o.MaxChannels)
	}
	for _, name := range s.Channels {
		if err := k.checkSubscribable(name, request.AddrText(c.RemoteAddr())); err != nil {
			return fmt.Errorf("upgrade: channel %.300q: %w", name, err)
		}
	}
	x := &held{k: k, form: f}
	x.begin(c, &s)
	return nil
}

// takeOver leaves the response to the dialect, with the fields that were decided on.
func takeOver(ctx *fasthttp.RequestCtx, v *pushRequest) {
	v.spec.Fields = extraFields(string(ctx.Response.Header.Peek("Access-Control-Allow-Origin")), v.setCookie)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(net.Conn) {})
}

// extraFields returns the lines of a response's head that allow an origin by name, unless it is empty, and set cookies.
func extraFields(origin string, setCookie []string) string {
	var b []byte
	if origin != "" {
		b = fmt.Appendf(b, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n", origin)
	}
	for _, cookie := range setCookie {
		b = fmt.Appendf(b, "Set-Cookie: %s\r\n", cookie)
	}
	return string(b)
}
