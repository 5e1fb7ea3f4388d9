package proxy

import (
	"errors"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/compress"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
	"holdfast/internal/inject"
	"holdfast/internal/park"
	"holdfast/internal/pushfields"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/sendbuf"
)

var (
	errTimeout  = errors.New("timed out")
	errTooSlow  = errors.New("slower than the minimum rate")
	errEarlyEnd = errors.New("closed before the response was complete")
	errHeadSize = errors.New("response head too large")
	errExtra    = errors.New("switched protocols without being asked")
	errTooLarge = errors.New("request body too large")
	errShutdown = errors.New("timeouts.drain is over")
	errNobody   = errors.New("no upstream is left to try")
)

const (
	maxAnswer    = 64 << 10 // bytes of a response's head
	smallReading = 8 << 10  // bytes read at once while more than BufferTotal is buffered
	maxTurns     = 16       // readings of one leg before others have their turn
	maxInterim   = 100      // 1xx responses before the final one
)

// exchange is one request and its response: the connections of both legs, and how far each body is. Readiness events
// advance it, and it never blocks. Each leg and each source has its methods in a file of its own; those of the exchange
// are here and in ending.go.
type exchange struct {
	f      *Front
	p      *generation // with which the request has begun
	route  *route.Route
	client clientLeg
	upload upload
	app    appLeg
	serial uint64 // counts the uses of the struct

	source    source     // provides the response; nil before it is chosen
	http      httpSource // embedded, as it is the most frequent source
	answered  bool       // the final response's head was read
	completed bool       // the source has given all of its response
	ahead     int        // bytes of both bodies in memory, counted in Proxy.buffered

	asked      http1.Asked // what the app was asked for, if its URLs are rewritten in the response
	idempotent bool
	isHead     bool // HEAD: the response has no body whatever it says

	accel   accelState
	fetch   *fetch.Fetch         // of a request that the cache knows, and has no answer to; nil: of others
	change  *fetch.Change        // what the request may change of what is cached; nil: nothing
	push    *pushfields.Response // what the app publishes by its response; nil: nothing
	stored  []byte               // of a response in memory, what was not passed yet
	page    *inject.Page         // that gets a script tag; nil: none does
	coder   *compress.Response   // that is compressed; nil: it passes as it is
	session request.Session
	was     *heldpoll.Poll // that has ended with the request; nil: it was not held
	log     logEntry
}

// forward begins an exchange. rest are the bytes after the head: body, or the next request. held: it was held before; nil: not.
func (f *Front) forward(p *generation, c *park.Conn, v *admit.Verdict, h *http1.Head, q *request.Request, rest []byte, more bool, held *heldpoll.Poll) {
	var x *exchange
	if n := len(f.free); n > 0 {
		x, f.free = f.free[n-1], f.free[:n-1]
	} else {
		x = new(exchange)
	}
	r := v.Route
	*x = exchange{
		f: f, p: p, route: r, serial: x.serial + 1,
		client: clientLeg{x: x, conn: c, early: x.client.early[:0]},
		upload: upload{x: x, gathered: x.upload.gathered[:0]},
		app:    appLeg{x: x, head: x.app.head[:0], partialHead: x.app.partialHead[:0], sticky: -1},
		accel:  accelState{head: x.accel.head[:0], gate: r.Gate},
		asked:  http1.Asked{Host: x.asked.Host[:0], Client: x.asked.Client[:0]},
		log:    logEntry{line: x.log.line[:0], trace: r.Trace.Of(h.Fields)},
	}
	whole := false
	defer x.abandonUnless(&whole, x.serial)
	p.inFlight.Add(1)
	x.accel.gate.Enter()
	x.log.started = f.loop.Now()
	x.client.keep = !h.Close
	x.client.http10 = h.Minor == 0
	x.client.trailers = h.Trailers && !x.client.http10
	x.isHead = string(h.Method) == "HEAD"
	x.idempotent = http1.Idempotent(h.Method)
	x.client.touched = more
	x.upload.body = h.Body()
	if held != nil { // its body has no chunks any more
		x.log.started, x.was, x.upload.body = held.Began, held, http1.LengthBody(int64(len(held.Body)))
	}
	c.Hold(x)
	c.SetDeadline(0)
	x.client.trusted, x.client.from, x.client.user = q.Trusted, q.Client, v.User
	if p.o.Access != nil {
		x.log.line = p.o.Access.Begin(x.log.line, accesslog.RequestOf(h, q.Client.Addr()))
	}
	switch { // Holdfast responds to Expect itself: clients wait for this line, and it must not depend on the app.
	case held != nil && held.Gone, h.Expects && !x.upload.body.Done && len(rest) == 0 && v.Answer == nil &&
		sendbuf.Send(c, &x.client.out, []byte("HTTP/1.1 100 Continue\r\n\r\n"), nil) != nil:
		x.clientGone()
	default:
		n, used, err := x.upload.feed(rest)
		if err != nil {
			x.badRequest(err)
			break
		}
		x.client.early = append(x.client.early, rest[used:]...)
		x.session = request.SessionOf(x.p.o.Sessions, h)
		x.app.connLogin = http1.LogsIn(h.Fields)
		if r.Table.Internal {
			x.accel.head = append(x.accel.head, h.Raw...)
		}
		if v.Answer != nil {
			x.finishEarly(v.Answer, h)
		} else {
			x.take(h, q, rest[:n])
		}
	}
	whole = true
}

// take gives the request to the source of its route. body is the part of the request's body received so far.
func (x *exchange) take(h *http1.Head, q *request.Request, body []byte) {
	r := x.route
	if x.accel.hops == 0 {
		x.page = r.Inject.Page(h, q.Scheme(), q.Host)
	}
	x.coder = r.Compress.Begin(x.f.coders, h, &x.client)
	if !x.cached(h, q, body) {
		x.start(h, q, body)
	}
}

// start gives the request to the source of its route without a look at the cache.
func (x *exchange) start(h *http1.Head, q *request.Request, body []byte) {
	x.page.Request(h)
	x.coder.Request(h)
	x.push = x.p.o.Push.Request(h, x.route.Publishes)
	x.source = x.p.newSource(x)
	x.source.start(h, q, body)
}

// Ready advances the exchange.
func (x *exchange) Ready(c *park.Conn, ev park.Event) {
	whole := false
	defer x.abandonUnless(&whole, x.serial)
	if c == x.client.conn {
		x.clientReady(ev)
	} else if c == x.app.conn {
		x.app.ready(ev)
	}
	whole = true
}

func (x *exchange) clientReady(ev park.Event) {
	if ev&park.Expired != 0 {
		x.clientExpired()
		return
	}
	if ev&park.Readable != 0 {
		x.client.touched = true
	}
	if ev&park.HangUp != 0 && x.upload.body.Done && !x.isHalfClose(ev) {
		x.clientGone()
		return
	}
	if ev&park.Writable != 0 && x.client.out != nil {
		x.client.pace.EndWait(x.f.loop.Now())
		if !x.client.flush() {
			return
		}
		x.goOn()
		if x.client.conn == nil {
			return
		}
	}
	if ev&park.Readable != 0 && !x.upload.body.Done {
		x.source.bodyReady()
	}
}

// isHalfClose reports whether a client that has ended its side may still wait for the response: it ended it soon after
// its request, or before the request was sent to the app. A client that has disconnected looks the same until it is
// sent something.
func (x *exchange) isHalfClose(ev park.Event) bool {
	grace := x.route.HalfClose
	if grace <= 0 || ev&park.Broken != 0 {
		return false
	}
	now, asked := x.f.loop.Now(), x.app.asked
	return asked.IsZero() || now.Sub(asked) < grace || now.Sub(x.upload.ended) < grace
}

// clientExpired ends the exchange if the client has missed its deadline.
func (x *exchange) clientExpired() {
	switch {
	case x.fetch != nil && x.fetch.StopWaiting():
	case x.app.queued:
		x.p.stats.Overloaded.Add(1)
		x.finishAfter(503, time.Second, balance.ErrQueueTime)
	case x.client.out != nil && x.client.progressed():
		x.client.pace.EndWait(x.f.loop.Now())
		x.client.await()
	case x.client.out != nil:
		x.tooSlow(errTimeout)
	case x.upload.body.Done || x.app.out != nil:
	default:
		x.finishWith(408, errTimeout)
	}
}

// later runs step after the loop's other connections have had their turn.
func (x *exchange) later(step func()) {
	ifCurrent := x.ifCurrent()
	x.f.loop.Later(func() { ifCurrent(step) })
}

// ifCurrent returns a function that runs a step on the loop, if the request is still in progress then, and reports whether it
// was: the same struct may serve the client's next one.
func (x *exchange) ifCurrent() func(step func()) bool {
	client, serial := x.client.conn.Ref(), x.serial
	return func(step func()) bool {
		c, ok := client.Conn()
		if ok = ok && c.Handler() == park.Handler(x) && x.serial == serial; ok {
			x.run(step)
		}
		return ok
	}
}

// run makes a step of the request. If it panics, the exchange ends.
func (x *exchange) run(step func()) {
	whole := false
	defer x.abandonUnless(&whole, x.serial)
	step()
	whole = true
}
