package subscribe

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/hub"
)

// Spec says how to hold a connection.
type Spec struct {
	Dialect  string // name of the dialect
	Channels []string
	Resume   ResumePoint
	Client   netip.AddrPort // address of the client; invalid: the connection's peer

	User    string           // empty: none
	Token   *auth.TokenGrant // the connection ends with it; nil: none
	Ask     *auth.Request    // authorization request for renewals; nil: none
	Expires time.Duration    // when to renew; zero: only after an event such as a logout
	Login   *auth.Request    // WebSocket: cookies and Authorization for later requests, without channels; nil: not kept

	Handshake []byte // WebSocket: the whole head of the response; other dialects render their own
	Fields    string // more fields for the head of the response, each line with its CRLF
	Rest      []byte // bytes of the client after its request

	// Of a long poll: how long it waits, whether the response may be compressed, and whether it is the last one on
	// its connection.
	Wait        time.Duration
	Gzip, Close bool

	Silence time.Duration // until the first heartbeat of a stream; 0: as of all others

	Credentials []uint64 // of a client with a token: its sessions of the app

	Newest hub.Newest // the messages of Resume.Newest, see Options.Prepare
}

// ResumePoint is where a subscriber's messages begin.
type ResumePoint struct {
	ID     hub.ID // the last message that the client has
	HasID  bool
	Newest int // without ID: number of each channel's newest messages
}

// TakeOver leaves the response to the dialect, with the fields decided so far. What fasthttp writes goes nowhere: a
// hijacking would cost its read buffer and a goroutine.
func (v *Request) TakeOver(ctx *fasthttp.RequestCtx) {
	v.Spec.Fields = v.extraFields(ctx)
	v.silent = true
	ctx.SetConnectionClose()
}

// extraFields returns the lines of a response's head that allow an origin by name, if one is, set cookies, and are configured.
func (v *Request) extraFields(ctx *fasthttp.RequestCtx) string {
	var b []byte
	if origin := ctx.Response.Header.Peek("Access-Control-Allow-Origin"); len(origin) > 0 {
		b = fmt.Appendf(b, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n", origin)
	}
	for _, cookie := range v.SetCookie {
		b = fmt.Appendf(b, "Set-Cookie: %s\r\n", cookie)
	}
	return string(append(b, v.req.Fields...))
}
