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
	route  *route
	client clientLeg
	upload upload
	app    appLeg

	resp     http1.Body
	cgi      *cgi // with a FastCGI upstream, or files
	answered bool // the final response's head was read
	ahead    int  // bytes of both bodies in memory, counted in Proxy.buffered

	trusted    bool           // the client is a trusted proxy
	from       netip.AddrPort // who sent the request
	host       string         // that the app was asked for, where what it says of that is rewritten
	idempotent bool
	isHead     bool // HEAD: the response has no body whatever it says
	upgrade    bool // asked for

	accel   accelRedirect
	session session
	log     logEntry
}

// clientLeg is the client's connection, and what it has not taken of the response.
type clientLeg struct {
	conn     *park.Conn
	out      *pending       // what was taken from the upstream ahead of the client
	file     *tempfile.File // of the response, past buffers.response; nil without a file
	fileTail []byte         // what comes behind that
	early    []byte         // what the client sent after this request

	passed int64 // bytes for the client, with those that it has not taken yet
	taken  int64 // of those, when that was last looked at
	heads  int64 // bytes of passed that are not body
	pace   pace  // of what the client takes

	http10     bool
	keep       bool // the connection goes on
	begun      bool // the client has bytes of the response
	unbuffered bool // the app asked that nothing is taken ahead
	touched    bool // the client sent something, or hung up, and that was not read
	gone       bool // the client is gone; the upload that it had finished goes on
}

// upload is the request's body on its way to the upstream.
type upload struct {
	body     http1.Body
	received int64          // bytes from the client
	pace     pace           // of them
	gathered []byte         // bytes that go with the head
	file     *tempfile.File // past buffers.request; nil without a file
	tail     []byte         // behind the file
	chunked  bool           // the upstream gets chunks of ours: the length was not known in time
}

// appLeg is the connection to the upstream, and how it was chosen.
type appLeg struct {
	conn        *park.Conn // nil before the request is passed on, and after the response is complete
	out         *pending   // what the upstream's kernel would not take
	head        []byte     // the request's head, until the upstream has it for good
	partialHead []byte     // of a response

	server *server // chosen, and counted there; nil before
	name   string  // of the last server, when it was let go
	tried  uint64  // a bit for each server that was
	sticky int     // index of the server that the client stays with; -1: any

	queued    bool // in the line of its loop
	connected bool
	reused    bool // the connection came from the pool
	retried   bool
	connLogin bool // the connection is logged in by its client; see bound
	keep      bool // the connection goes on
	hung      bool // the upstream's end is on its way
	interim   int  // responses so far

	asked time.Time     // when the request was passed on; zero before
	took  time.Duration // from then to the end of its response
}

// accelRedirect is what an exchange needs where apps send requests elsewhere.
type accelRedirect struct {
	head      []byte // the request's, as it came
	preserved *kept  // of the app's answer; nil without
	hops      int
}

// session is the one that a request came with, where somebody wants to know of its end.
type session struct {
	credential uint64 // zero: none
	path       string // that was asked for
}

// logEntry is the access log's line of an exchange.
type logEntry struct {
	line    []byte // begun; empty without a log
	started time.Time
	status  int // of the response
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
func (f *Front) forward(c *park.Conn, r *route, h *http1.Head, q *request.Request, rest []byte, more bool) {
	var x *exchange
	if n := len(f.free); n > 0 {
		x, f.free = f.free[n-1], f.free[:n-1]
	} else {
		x = new(exchange)
	}
	*x = exchange{
		f: f, route: r,
		client: clientLeg{conn: c, early: x.client.early[:0]},
		upload: upload{gathered: x.upload.gathered[:0]},
		app:    appLeg{head: x.app.head[:0], partialHead: x.app.partialHead[:0], sticky: -1},
		accel:  accelRedirect{head: x.accel.head[:0]},
		log:    logEntry{line: x.log.line[:0]},
	}
	f.p.inFlight.Add(1)
	x.log.started = f.loop.Now()
	x.client.keep = !h.Close
	x.client.http10 = h.Minor == 0
	x.isHead = string(h.Method) == "HEAD"
	x.idempotent = idempotentMethod(h.Method)
	x.upgrade = h.Upgrade != nil && r.folder() == nil
	x.client.touched = more
	if h.Chunked {
		x.upload.body = http1.Body{Framing: http1.ByChunks, Decode: true}
	} else {
		x.upload.body = http1.LengthBody(h.Length)
	}
	c.Hold(x)
	c.SetDeadline(0)
	x.trusted, x.from = q.Trusted, q.Client
	if f.p.o.Access != nil {
		x.log.line = f.p.o.Access.Begin(x.log.line, entryOf(h, q))
	}
	if h.Expects && !x.upload.body.Done && len(rest) == 0 {
		// Answered here: the app need not be waited for, and clients stall without.
		if send(c, &x.client.out, []byte("HTTP/1.1 100 Continue\r\n\r\n"), nil) != nil {
			x.clientGone()
			return
		}
	}
	n, used, err := x.feedRequest(rest)
	if err != nil {
		x.badRequest(err)
		return
	}
	x.client.early = append(x.client.early, rest[used:]...)
	x.knowLogin(h)
	x.knowConnectionLogin(h)
	if f.p.internal {
		x.accel.head = append(x.accel.head, h.Raw...)
	}
	x.take(h, q, rest[:n])
}

// take has the request answered by what its route says. body is what is there of the request's.
func (x *exchange) take(h *http1.Head, q *request.Request, body []byte) {
	f, r := x.f, x.route
	if r.Redirect != "" {
		x.redirect(h, q)
		return
	}
	if x.accel.hops == 0 && r.lacksSlash(h) {
		x.redirectToSlash(h)
		return
	}
	if r.folder() != nil {
		x.upload.gathered = append(x.upload.gathered, body...)
		x.resolve(h)
		return
	}
	x.app.sticky = f.p.stickyOf(r, h)
	if r.rewrites {
		x.host = r.Host
		if x.host == "" {
			x.host = string(h.Host)
		}
	}
	b := r.appendRequest(f.loop.Out()[:0], h, q)
	if !h.Chunked && (x.upload.body.Done || !f.p.gathers(h.Length)) {
		x.begin(b, body)
		return
	}
	x.app.head = append(x.app.head, b...)
	x.upload.gathered = append(x.upload.gathered, body...)
	if x.upload.body.Done || !f.p.gathers(h.Length) {
		x.frameUpload()
		x.begin(x.app.head, x.upload.gathered)
		return
	}
	x.gather()
}

// begin passes the request on, once there is an upstream to take it: its head and what is there of the
// body.
func (x *exchange) begin(head, body []byte) {
	x.app.asked = x.f.loop.Now()
	if b := x.f.bound[x.client.conn.Ref()]; b != nil && x.route.servers&(1<<b.server.index) != 0 {
		x.app.sticky = b.server.index
	}
	s, full := x.f.p.choose(x.route, x.app.tried, x.app.sticky, x.app.asked)
	if s == nil && full {
		x.remember(head, body)
		x.enqueue()
		return
	}
	x.app.server = s
	x.ask(head, body)
}

// ask sends the request to the chosen server, on a pooled connection if there is one.
func (x *exchange) ask(head, body []byte) {
	if x.app.server == nil {
		x.fail(502, errNobody)
		return
	}
	x.app.tried |= 1 << x.app.server.index
	if x.app.conn = x.upstreamConn(); x.app.conn != nil {
		x.app.reused, x.app.connected = true, true
		x.app.conn.Hold(x)
		if x.idempotent && x.upload.body.Done {
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
	if len(x.app.head) == 0 {
		x.app.head = append(x.app.head, head...)
		x.upload.gathered = append(x.upload.gathered[:0], body...)
	}
}

func (x *exchange) dial() {
	s := x.app.server
	address, err := s.dialAddress()
	if err == nil {
		x.f.p.stats.dialled.Add(1)
		x.app.conn, err = x.f.loop.Dial(s.Network, address, x)
	}
	if err != nil {
		x.app.conn = nil
		x.unreachable(502, fmt.Errorf("connect: %w", err))
		return
	}
	x.app.connected, x.app.reused, x.app.hung = false, false, false
	x.app.conn.SetDeadline(x.f.p.o.ConnectTime)
}

// unreachable tries the next server: nothing was sent, so nothing is repeated.
func (x *exchange) unreachable(status int, err error) {
	p := x.f.p
	s, full := p.choose(x.route, x.app.tried, -1, x.f.loop.Now())
	if s == nil && !full {
		x.fail(status, err)
		return
	}
	p.failed(x.app.server, x.f.loop.Now())
	p.stats.retries.Add(1)
	p.o.Log.Warn("upstream not reached; the next is asked", "upstream", x.app.server.String(), "error", err)
	if x.app.conn != nil {
		x.app.conn.Close()
		x.app.conn = nil
	}
	x.letGo()
	if full {
		x.enqueue()
		return
	}
	x.app.server = s
	x.ask(x.app.head, x.upload.gathered)
}

// Ready moves the exchange on.
func (x *exchange) Ready(c *park.Conn, ev park.Event) {
	if c == x.client.conn {
		x.clientReady(ev)
	} else if c == x.app.conn {
		x.upReady(ev)
	}
}

func (x *exchange) clientReady(ev park.Event) {
	if ev&park.Expired != 0 {
		x.clientExpired()
		return
	}
	if ev&park.Readable != 0 {
		x.client.touched = true
	}
	if ev&park.HangUp != 0 && x.upload.body.Done {
		x.clientGone()
		return
	}
	if ev&park.Writable != 0 && x.client.out != nil {
		x.client.pace.went(x.f.loop.Now())
		if !x.flushClient() {
			return
		}
		if x.cgi != nil && x.answered && x.app.conn == nil && x.client.file == nil {
			x.nextPiece()
			return
		}
		if x.app.connected && x.app.conn != nil && !x.full() {
			x.pumpDown()
			if x.client.conn == nil {
				return
			}
		}
	}
	if ev&park.Readable == 0 || x.upload.body.Done {
		return
	}
	switch {
	case x.app.conn == nil && !x.answered && !x.app.queued && (x.cgi == nil || !x.cgi.asking):
		if !x.upload.file.Writing() {
			x.gather()
		}
	case x.app.connected && x.app.conn != nil:
		x.pumpUp()
	}
}

// clientExpired ends the exchange if it is the client that was waited for.
func (x *exchange) clientExpired() {
	switch {
	case x.app.queued:
		x.f.p.stats.overloaded.Add(1)
		x.finishAfter(503, time.Second, errQueue)
	case x.client.out != nil && x.clientTook():
		x.client.pace.went(x.f.loop.Now())
		x.awaitClient()
	case x.client.out != nil:
		x.cut(errTimeout)
	case x.upload.body.Done || x.app.out != nil:
	case x.client.begun:
		x.cut(errTimeout)
	default:
		x.finishWith(408, errTimeout)
	}
}

func (x *exchange) upReady(ev park.Event) {
	if !x.app.connected {
		x.dialled(ev)
		return
	}
	if ev&park.Expired != 0 {
		switch {
		case x.full(): // it is the client that we wait for
			x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
		case !x.upload.body.Done && x.app.out == nil: // the client's body is what is missing
			x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
		default:
			x.fail(504, fmt.Errorf("response: %w", errTimeout))
		}
		return
	}
	if ev&park.HangUp != 0 {
		x.app.hung = true
	}
	if ev&park.Readable != 0 {
		x.pumpDown()
	}
	if ev&park.Writable != 0 && x.app.conn != nil && x.app.out != nil {
		x.pumpUp()
	}
}

func (x *exchange) dialled(ev park.Event) {
	if ev&park.Expired != 0 {
		x.unreachable(504, fmt.Errorf("connect: %w", errTimeout))
		return
	}
	switch err := x.app.conn.DialError(); {
	case err == park.ErrAgain:
	case err != nil:
		x.unreachable(502, err)
	default:
		x.app.connected = true
		x.app.hung = ev&park.HangUp != 0
		x.sendHead(x.app.head, x.upload.gathered)
		if x.app.conn != nil && x.app.connected && ev&(park.Readable|park.HangUp) != 0 {
			x.pumpDown() // it spoke before it was asked, and that is told once
		}
	}
}

// later goes on with step after others had their turn.
func (x *exchange) later(step func()) {
	client := x.client.conn.Ref()
	x.f.loop.Later(func() {
		if c, ok := client.Conn(); ok && c.Handler() == park.Handler(x) && x.client.conn == c && x.app.conn != nil {
			step()
		}
	})
}
