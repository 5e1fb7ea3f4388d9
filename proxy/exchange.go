package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/tempfile"
)

var (
	errTimeout  = errors.New("timed out")
	errTooSlow  = errors.New("slower than the least rate")
	errEarlyEnd = errors.New("closed before the response was complete")
	errHeadSize = errors.New("response head too large")
	errExtra    = errors.New("switched protocols without being asked")
	errTooLarge = errors.New("request body too large")
	errNobody   = errors.New("there is no upstream to ask")
)

const (
	maxAnswer    = 64 << 10 // bytes of a response's head
	smallReading = 8 << 10  // bytes read at once while more than BufferTotal is buffered
	maxTurns     = 16       // readings of one leg before others have their turn
	maxInterim   = 100      // 1xx responses before the final one
)

// exchange is one request and its response: both legs' connections and where each body stands. It is
// moved on by readiness and never blocks. Its methods are in request.go (client to upstream),
// response.go (upstream to client) and ending.go.
type exchange struct {
	f      *Front
	client *park.Conn
	up     *park.Conn // nil before the request is passed on, and after the response is complete

	req, resp  http1.Body
	toUp       *pending       // what the upstream's kernel would not take
	toClient   *pending       // what was taken from the upstream ahead of the client
	body       *tempfile.File // of the request, past buffers.request; nil without a file
	tail       []byte         // of the request's body, behind the file
	back       *tempfile.File // of the response, past buffers.response; nil without a file
	backBuf    []byte         // what comes behind that
	ahead      int            // of toClient and gathered, counted in Proxy.buffered
	original   []byte         // the request's head as it came, where an app may send it elsewhere
	head       []byte         // the request's head, until the upstream has it for good
	gathered   []byte         // body bytes that go with head
	early      []byte         // what the client sent after this request
	connLogin  bool           // the upstream connection is logged in by its client; see bound
	chunkUp    bool           // the upstream gets the body in chunks of ours: its length was not known in time
	left       bool           // the client is gone; the upload that it had finished goes on
	answerHead []byte         // an incomplete response head
	received   int64          // body bytes from the client
	upload     pace           // of the client's body
	passed     int64          // bytes for the client, with those that it has not taken yet
	taken      int64          // of those, when that was last looked at
	download   pace           // of what the client takes

	route  *route
	kept   *kept   // of an app's answer that sent it elsewhere; nil without
	cgi    *cgi    // with a FastCGI upstream, or files
	server *server // chosen, and counted there; nil before
	tried  uint64  // a bit for each server that was
	sticky int     // index of the server that the client stays with; -1: any
	name   string  // of the last server, when it was let go
	login  uint64  // that the client came with, for Sessions
	path   string  // with login
	host   string  // that the app was asked for, where what it says of that is rewritten
	hops   int     // by X-Accel-Redirect

	queued     bool // in the line of its loop
	connected  bool
	reused     bool // the upstream connection came from the pool
	retried    bool
	idempotent bool
	isHead     bool // HEAD: the response has no body whatever it says
	http10     bool
	trusted    bool           // the client is a trusted proxy
	from       netip.AddrPort // who sent the request
	keep       bool           // the client's connection goes on
	upKeep     bool           // the upstream's connection goes on
	upgrade    bool           // asked for
	begun      bool           // the client has bytes of the response
	answered   bool           // the final response's head was read
	unbuffered bool           // the app asked that nothing is taken ahead
	touched    bool           // the client sent something, or hung up, and that was not read
	upHung     bool           // the upstream's end is on its way
	interim    int
	started    time.Time

	entry    []byte        // of the access log, begun; empty without one
	status   int           // of the response
	heads    int64         // bytes of passed that are not body
	asked    time.Time     // when the upstream was; zero before
	upstream time.Duration // from then to the end of its response
}

// idempotentMethods may be repeated (RFC 9110 §9.2.2).
func idempotentMethod(m []byte) bool {
	switch string(m) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// forward begins an exchange. rest are the bytes after the head: body, or the next request.
func (f *Front) forward(c *park.Conn, r *route, h *head, q *request.Request, rest []byte, more bool) {
	var x *exchange
	if n := len(f.free); n > 0 {
		x, f.free = f.free[n-1], f.free[:n-1]
	} else {
		x = new(exchange)
	}
	*x = exchange{f: f, route: r, client: c, original: x.original[:0], head: x.head[:0], gathered: x.gathered[:0], early: x.early[:0], answerHead: x.answerHead[:0], entry: x.entry[:0], sticky: -1}
	f.p.inFlight.Add(1)
	x.started = f.loop.Now()
	x.keep = !h.close
	x.http10 = h.minor == 0
	x.isHead = string(h.method) == "HEAD"
	x.idempotent = idempotentMethod(h.method)
	x.upgrade = h.upgrade != nil && r.folder() == nil
	x.touched = more
	if h.chunked {
		x.req = http1.Body{Framing: http1.ByChunks, Decode: true}
	} else {
		x.req = http1.LengthBody(h.length)
	}
	c.Hold(x)
	c.SetDeadline(0)
	x.trusted, x.from = q.Trusted, q.Client
	if f.p.o.Access != nil {
		x.entry = f.p.o.Access.Begin(x.entry, h.entry(q))
	}
	if h.expects && !x.req.Done && len(rest) == 0 {
		// Answered here: the app need not be waited for, and clients stall without.
		if send(c, &x.toClient, []byte("HTTP/1.1 100 Continue\r\n\r\n"), nil) != nil {
			x.clientGone()
			return
		}
	}
	n, used, err := x.feedRequest(rest)
	if err != nil {
		x.badRequest(err)
		return
	}
	x.early = append(x.early, rest[used:]...)
	x.knowLogin(h)
	x.knowConnectionLogin(h)
	if f.p.internal {
		x.original = append(x.original, h.raw...)
	}
	x.take(h, q, rest[:n])
}

// take has the request answered by what its route says. body is what is there of the request's.
func (x *exchange) take(h *head, q *request.Request, body []byte) {
	f, r := x.f, x.route
	if r.Redirect != "" {
		x.redirect(h, q)
		return
	}
	if x.hops == 0 && r.lacksSlash(h) {
		x.redirectToSlash(h)
		return
	}
	if r.folder() != nil {
		x.gathered = append(x.gathered, body...)
		x.resolve(h)
		return
	}
	x.sticky = f.p.stickyOf(r, h)
	if r.rewrites {
		x.host = r.Host
		if x.host == "" {
			x.host = string(h.host)
		}
	}
	b := r.appendRequest(f.loop.Out()[:0], h, q)
	if !h.chunked && (x.req.Done || !f.p.gathers(h.length)) {
		x.begin(b, body)
		return
	}
	x.head = append(x.head, b...)
	x.gathered = append(x.gathered, body...)
	if x.req.Done || !f.p.gathers(h.length) {
		x.frameUpload()
		x.begin(x.head, x.gathered)
		return
	}
	x.gather()
}

// begin passes the request on, once there is an upstream to take it: its head and what is there of the
// body.
func (x *exchange) begin(head, body []byte) {
	x.asked = x.f.loop.Now()
	if b := x.f.bound[x.client.Ref()]; b != nil && x.route.servers&(1<<b.server.index) != 0 {
		x.sticky = b.server.index
	}
	s, full := x.f.p.choose(x.route, x.tried, x.sticky, x.asked)
	if s == nil && full {
		x.remember(head, body)
		x.enqueue()
		return
	}
	x.server = s
	x.ask(head, body)
}

// ask sends the request to the chosen server, on a pooled connection if there is one.
func (x *exchange) ask(head, body []byte) {
	if x.server == nil {
		x.fail(502, errNobody)
		return
	}
	x.tried |= 1 << x.server.index
	if x.up = x.upstreamConn(); x.up != nil {
		x.reused, x.connected = true, true
		x.up.Hold(x)
		if x.idempotent && x.req.Done {
			x.remember(head, body) // to try again
		}
		x.sendHead(head, body)
		return
	}
	x.remember(head, body)
	x.dial()
}

// remember keeps what the upstream has to be sent first. Both may be remembered already.
func (x *exchange) remember(head, body []byte) {
	if len(x.head) == 0 {
		x.head = append(x.head, head...)
		x.gathered = append(x.gathered[:0], body...)
	}
}

func (x *exchange) dial() {
	s := x.server
	address, err := s.dialAddress()
	if err == nil {
		x.f.p.stats.dialled.Add(1)
		x.up, err = x.f.loop.Dial(s.Network, address, x)
	}
	if err != nil {
		x.up = nil
		x.unreachable(502, fmt.Errorf("connect: %w", err))
		return
	}
	x.connected, x.reused, x.upHung = false, false, false
	x.up.SetDeadline(x.f.p.o.ConnectTime)
}

// unreachable tries the next server: nothing was sent, so nothing is repeated.
func (x *exchange) unreachable(status int, err error) {
	p := x.f.p
	s, full := p.choose(x.route, x.tried, -1, x.f.loop.Now())
	if s == nil && !full {
		x.fail(status, err)
		return
	}
	p.failed(x.server, x.f.loop.Now())
	p.stats.retries.Add(1)
	p.o.Log.Warn("upstream not reached; the next is asked", "upstream", x.server.String(), "error", err)
	if x.up != nil {
		x.up.Close()
		x.up = nil
	}
	x.letGo()
	if full {
		x.enqueue()
		return
	}
	x.server = s
	x.ask(x.head, x.gathered)
}

// Ready moves the exchange on.
func (x *exchange) Ready(c *park.Conn, ev park.Event) {
	if c == x.client {
		x.clientReady(ev)
	} else if c == x.up {
		x.upReady(ev)
	}
}

func (x *exchange) clientReady(ev park.Event) {
	if ev&park.Expired != 0 {
		x.clientExpired()
		return
	}
	if ev&park.Readable != 0 {
		x.touched = true
	}
	if ev&park.HangUp != 0 && x.req.Done {
		x.clientGone()
		return
	}
	if ev&park.Writable != 0 && x.toClient != nil {
		x.download.went(x.f.loop.Now())
		if !x.flushClient() {
			return
		}
		if x.cgi != nil && x.answered && x.up == nil && x.back == nil {
			x.nextPiece()
			return
		}
		if x.connected && x.up != nil && !x.full() {
			x.pumpDown()
			if x.client == nil {
				return
			}
		}
	}
	if ev&park.Readable == 0 || x.req.Done {
		return
	}
	switch {
	case x.up == nil && !x.answered && !x.queued && (x.cgi == nil || !x.cgi.asking):
		if !x.body.Writing() {
			x.gather()
		}
	case x.connected && x.up != nil:
		x.pumpUp()
	}
}

// clientExpired ends the exchange if it is the client that was waited for.
func (x *exchange) clientExpired() {
	switch {
	case x.queued:
		x.f.p.stats.overloaded.Add(1)
		x.finishAfter(503, time.Second, errQueue)
	case x.toClient != nil && x.clientTook():
		x.download.went(x.f.loop.Now())
		x.awaitClient()
	case x.toClient != nil:
		x.cut(errTimeout)
	case x.req.Done || x.toUp != nil:
	case x.begun:
		x.cut(errTimeout)
	default:
		x.finishWith(408, errTimeout)
	}
}

func (x *exchange) upReady(ev park.Event) {
	if !x.connected {
		x.dialled(ev)
		return
	}
	if ev&park.Expired != 0 {
		switch {
		case x.full(): // it is the client that we wait for
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		case !x.req.Done && x.toUp == nil: // the client's body is what is missing
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		default:
			x.fail(504, fmt.Errorf("response: %w", errTimeout))
		}
		return
	}
	if ev&park.HangUp != 0 {
		x.upHung = true
	}
	if ev&park.Readable != 0 {
		x.pumpDown()
	}
	if ev&park.Writable != 0 && x.up != nil && x.toUp != nil {
		x.pumpUp()
	}
}

func (x *exchange) dialled(ev park.Event) {
	if ev&park.Expired != 0 {
		x.unreachable(504, fmt.Errorf("connect: %w", errTimeout))
		return
	}
	switch err := x.up.DialError(); {
	case err == park.ErrAgain:
	case err != nil:
		x.unreachable(502, err)
	default:
		x.connected = true
		x.upHung = ev&park.HangUp != 0
		x.sendHead(x.head, x.gathered)
		if x.up != nil && x.connected && ev&(park.Readable|park.HangUp) != 0 {
			x.pumpDown() // it spoke before it was asked, and that is told once
		}
	}
}

// later goes on with step after others had their turn.
func (x *exchange) later(step func()) {
	client := x.client.Ref()
	x.f.loop.Later(func() {
		if c, ok := client.Conn(); ok && c.Handler() == park.Handler(x) && x.client == c && x.up != nil {
			step()
		}
	})
}
