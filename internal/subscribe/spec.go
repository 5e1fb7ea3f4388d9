package subscribe

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/hub"
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

	Credentials []uint64 // of a client with a token: the sessions of the app that it has

	Newest hub.Newest // the messages of Resume.Newest, see Options.Prepare
}

// ResumePoint is where a subscriber's messages begin.
type ResumePoint struct {
	ID     hub.ID // the last message that it has
	HasID  bool
	Newest int // without ID: so many of each channel's newest messages
}

// TakeOver leaves the response to the dialect, with the fields that were decided on.
func (v *Request) TakeOver(ctx *fasthttp.RequestCtx) {
	v.Spec.Fields = extraFields(string(ctx.Response.Header.Peek("Access-Control-Allow-Origin")), v.SetCookie)
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
