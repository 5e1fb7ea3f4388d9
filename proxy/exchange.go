package proxy

import (
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/park"
)

var (
	errTimeout   = errors.New("timed out")
	errEarlyEnd  = errors.New("closed before the response was complete")
	errHeadSize  = errors.New("response head too large")
	errExtra     = errors.New("switched protocols without being asked")
	errTooLarge  = errors.New("request body too large")
	maxAnswer    = 64 << 10 // bytes of a response's head
	maxTurns     = 16       // readings of one leg before others have their turn
	maxInterim   = 100      // 1xx responses before the final one
	retryMethods = map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "PUT": true, "DELETE": true}
)

// exchange is one request and its response: both legs' connections and where each body stands. It is
// moved on by readiness and never blocks.
type exchange struct {
	f      *Front
	client *park.Conn
	up     *park.Conn

	req, resp  body
	toUp       *pending // what the upstream's kernel would not take
	toClient   *pending
	head       []byte // the request's head, until the upstream has it for good
	early      []byte // bytes of the client's after the head, before the upstream was connected
	answerHead []byte // an incomplete response head
	received   int64  // body bytes from the client

	connected  bool
	reused     bool // the upstream connection came from the pool
	retried    bool
	idempotent bool
	isHead     bool // HEAD: the response has no body whatever it says
	http10     bool
	keep       bool // the client's connection goes on
	upKeep     bool // the upstream's connection goes on
	upgrade    bool // asked for
	begun      bool // the client has bytes of the response
	answered   bool // the final response's head was read
	touched    bool // the client sent something, or hung up, and that was not read
	upHung     bool // the upstream's end is on its way
	interim    int
	started    time.Time
}

// forward begins an exchange. rest are the bytes after the head: body, or the next request.
func (f *Front) forward(c *park.Conn, h *head, rest []byte, more bool) {
	var x *exchange
	if n := len(f.free); n > 0 {
		x, f.free = f.free[n-1], f.free[:n-1]
	} else {
		x = new(exchange)
	}
	*x = exchange{f: f, client: c, head: x.head[:0], early: x.early[:0], answerHead: x.answerHead[:0]}
	f.p.inFlight.Add(1)
	x.started = f.loop.Now()
	x.keep = !h.close
	x.http10 = h.minor == 0
	x.isHead = string(h.method) == "HEAD"
	x.idempotent = retryMethods[string(h.method)]
	x.upgrade = h.upgrade != nil
	x.touched = more
	switch {
	case h.chunked:
		x.req = body{framing: byChunks}
	default:
		x.req = lengthBody(h.length)
	}
	c.Hold(x)
	c.SetDeadline(0)
	if h.expects && !x.req.done && len(rest) == 0 {
		// Answered here: the app need not be waited for, and clients stall without.
		if send(c, &x.toClient, []byte("HTTP/1.1 100 Continue\r\n\r\n"), nil) != nil {
			x.clientGone()
			return
		}
	}
	b := f.p.appendRequest(f.loop.Out()[:0], h, c.RemoteAddr())
	x.early = append(x.early, rest...)
	if x.up = f.pool.get(); x.up != nil {
		x.reused, x.connected = true, true
		x.up.Hold(x)
		if x.idempotent && x.req.done {
			x.head = append(x.head, b...)
		}
		x.sendHead(b)
		return
	}
	x.head = append(x.head, b...)
	x.dial()
}

func (x *exchange) dial() {
	u := &x.f.p.o.Upstream
	address, err := u.dialAddress()
	if err == nil {
		x.f.p.stats.dialled.Add(1)
		x.up, err = x.f.loop.Dial(u.Network, address, x)
	}
	if err != nil {
		x.fail(502, fmt.Errorf("connect: %w", err))
		return
	}
	x.connected, x.reused, x.upHung = false, false, false
	x.up.SetDeadline(x.f.p.o.ConnectTime)
}

// sendHead sends the request's head and as much of the body as is there.
func (x *exchange) sendHead(b []byte) {
	x.up.SetDeadline(x.f.p.o.UpstreamTime)
	n, used, err := x.feedRequest(x.early)
	if err != nil {
		x.badRequest(err)
		return
	}
	if err := send(x.up, &x.toUp, b, x.early[:n]); err != nil {
		x.upFailed(err)
		return
	}
	if used > 0 {
		x.early = x.early[:copy(x.early, x.early[used:])]
	}
	x.pumpUp()
}

// feedRequest checks body bytes of the client and counts them.
func (x *exchange) feedRequest(p []byte) (n, used int, err error) {
	n, used, err = x.req.feed(p)
	x.received += int64(n)
	if max := x.f.p.o.BodyBytes; err == nil && max > 0 && x.received > max {
		err = errTooLarge
	}
	return n, used, err
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
	switch {
	case ev&park.Expired != 0 && x.toClient != nil:
		x.cut(errTimeout)
		return
	case ev&park.Expired != 0 && !x.req.done && x.toUp == nil:
		if x.begun {
			x.cut(errTimeout)
		} else {
			x.finishWith(408)
		}
		return
	case ev&park.Expired != 0:
		return
	}
	if ev&park.Readable != 0 {
		x.touched = true
	}
	if ev&park.HangUp != 0 && x.req.done {
		x.clientGone()
		return
	}
	if ev&park.Writable != 0 && x.toClient != nil {
		if !x.flushClient() {
			return
		}
		if x.connected {
			x.pumpDown()
			if x.client == nil {
				return
			}
		}
	}
	if ev&park.Readable != 0 && x.connected && x.up != nil {
		x.pumpUp()
	}
}

func (x *exchange) upReady(ev park.Event) {
	if !x.connected {
		x.dialled(ev)
		return
	}
	if ev&park.Expired != 0 {
		switch {
		case x.toClient != nil: // it is the client that we wait for
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		case !x.req.done && x.toUp == nil: // the client's body is what is missing
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
		x.fail(504, fmt.Errorf("connect: %w", errTimeout))
		return
	}
	switch err := x.up.DialError(); {
	case err == park.ErrAgain:
	case err != nil:
		x.fail(502, err)
	default:
		x.connected = true
		x.sendHead(x.head)
	}
}

// pumpUp moves the request's body from the client to the upstream.
func (x *exchange) pumpUp() {
	in := x.f.loop.In()
	for turn := 0; ; turn++ {
		if x.toUp != nil {
			err := flush(x.up, &x.toUp)
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				x.upFailed(err)
				return
			}
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		}
		if x.req.done {
			x.client.SetDeadline(0)
			return
		}
		if turn == maxTurns {
			x.later(x.pumpUp)
			return
		}
		n, err := x.client.Read(in)
		if err == park.ErrAgain {
			if x.toClient == nil {
				x.client.SetDeadline(x.f.p.o.BodyTime)
			}
			return
		}
		if err != nil {
			x.clientGone()
			return
		}
		out, used, err := x.feedRequest(in[:n])
		if err != nil {
			x.badRequest(err)
			return
		}
		if used < n {
			x.early = append(x.early[:0], in[used:n]...)
		}
		if out > 0 {
			if err := send(x.up, &x.toUp, in[:out], nil); err != nil {
				x.upFailed(err)
				return
			}
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		}
	}
}

// pumpDown moves the response from the upstream to the client.
func (x *exchange) pumpDown() {
	in := x.f.loop.In()
	for turn := 0; ; turn++ {
		if x.toClient != nil && !x.flushClient() {
			return
		}
		if x.up == nil {
			return
		}
		if turn == maxTurns {
			x.later(x.pumpDown)
			return
		}
		n, err := x.up.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			x.upEnded(err)
			return
		}
		x.up.SetDeadline(x.f.p.o.UpstreamTime)
		if !x.respond(in[:n]) {
			return
		}
		if n < len(in) && x.toClient == nil && !x.upHung {
			return // what was there has been read; the next bytes, and the end, bring an event
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

// respond takes bytes of the upstream. It reports whether more are wanted.
func (x *exchange) respond(p []byte) bool {
	if x.answered {
		return x.respondBody(nil, p)
	}
	if len(x.answerHead) > 0 {
		seen := len(x.answerHead)
		x.answerHead = append(x.answerHead, p...)
		return x.respondHead(x.answerHead, seen)
	}
	return x.respondHead(p, 0)
}

// respondHead looks for a complete head in p.
func (x *exchange) respondHead(p []byte, seen int) bool {
	for {
		n, r := headEnd(p, seen)
		switch {
		case r != nil || n > 0 && p[0] == '\r':
			x.fail(502, bad("line ends in a bare LF, or no status line"))
			return false
		case n == 0 && len(p) > maxAnswer:
			x.fail(502, errHeadSize)
			return false
		case n == 0:
			if len(p) > 0 && (len(x.answerHead) == 0 || &x.answerHead[0] != &p[0]) {
				x.answerHead = append(x.answerHead[:0], p...)
			}
			return true
		}
		a := &x.f.ans
		if err := a.parse(p[:n]); err != nil {
			x.fail(502, err)
			return false
		}
		rest := p[n:]
		if a.status == 101 {
			return x.switchProtocols(a, rest)
		}
		if a.status >= 200 {
			return x.answer(a, rest)
		}
		if x.interim++; x.interim > maxInterim {
			x.fail(502, bad("too many interim responses"))
			return false
		}
		if a.status != 100 && !x.http10 { // 100 was answered here
			b := append(appendAnswer(x.f.loop.Out()[:0], a), "\r\n"...)
			if err := send(x.client, &x.toClient, b, nil); err != nil {
				x.clientGone()
				return false
			}
		}
		p, seen = append([]byte(nil), rest...), 0
		x.answerHead = x.answerHead[:0]
		if len(p) == 0 {
			return true
		}
	}
}

// answer sends the final response's head, with what is there of the body.
func (x *exchange) answer(a *answer, rest []byte) bool {
	x.answered = true
	x.upKeep = !a.close
	switch {
	case x.isHead || a.status == 204 || a.status == 304:
		x.resp = body{done: true}
	case a.chunked:
		x.resp = body{framing: byChunks, trailers: true, decode: x.http10}
	case a.length >= 0:
		x.resp = lengthBody(a.length)
	default:
		x.resp = body{framing: byClose}
		x.upKeep = false
	}
	if x.resp.framing == byClose || x.resp.decode || !x.req.done || x.f.p.draining.Load() {
		x.keep = false
	}
	if x.http10 {
		for i := range a.fields {
			if n := a.fields[i].name; equalFold(n, "transfer-encoding") || equalFold(n, "trailer") {
				a.fields[i].drop = true
			}
		}
	}
	b := appendAnswer(x.f.loop.Out()[:0], a)
	switch {
	case !x.keep:
		b = append(b, "Connection: close\r\n"...)
	case x.http10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, "\r\n"...)
	x.head = x.head[:0] // too late to try again
	return x.respondBody(b, rest)
}

// respondBody sends head, if any, and body bytes to the client.
func (x *exchange) respondBody(head, p []byte) bool {
	n, used, err := x.resp.feed(p)
	if err == nil && used < len(p) { // stray bytes: the response stands, the connection does not
		x.upKeep = false
	}
	if len(head)+n > 0 {
		x.begun = true
		if err := send(x.client, &x.toClient, head, p[:n]); err != nil {
			x.clientGone()
			return false
		}
		if x.toClient != nil {
			x.client.SetDeadline(x.f.p.o.SendTime)
		}
	}
	if err != nil {
		x.fail(502, err)
		return false
	}
	if x.resp.done {
		x.responded()
		return false
	}
	return true
}

// responded lets the upstream go; the client's part goes on until it has everything.
func (x *exchange) responded() {
	if x.upKeep && !x.upHung && x.req.done && x.toUp == nil {
		x.f.pool.put(x.up)
	} else {
		x.up.Close()
	}
	x.up = nil
	if x.toClient == nil {
		x.finish()
	}
}

// flushClient reports whether nothing is pending and the exchange goes on.
func (x *exchange) flushClient() bool {
	err := flush(x.client, &x.toClient)
	switch {
	case err == park.ErrAgain:
		x.client.SetDeadline(x.f.p.o.SendTime)
		return false
	case err != nil:
		x.clientGone()
		return false
	}
	x.client.SetDeadline(0)
	if x.answered && x.resp.done && x.up == nil {
		x.finish()
		return false
	}
	return true
}

// upEnded settles the end of the upstream's side.
func (x *exchange) upEnded(err error) {
	if x.answered && x.resp.framing == byClose && errors.Is(err, io.EOF) {
		x.resp.done = true
		x.responded()
		return
	}
	if errors.Is(err, io.EOF) {
		err = errEarlyEnd
	}
	x.upFailed(err)
}

// upFailed tries again if that is safe, and fails otherwise.
func (x *exchange) upFailed(err error) {
	if x.toUp != nil || !x.req.done {
		// The app may have answered before it closed on a body that it does not want: read that first.
		if !x.answered && x.salvage() {
			return
		}
	}
	if x.reused && !x.retried && !x.answered && !x.begun && len(x.answerHead) == 0 && x.idempotent && x.req.done && len(x.head) > 0 {
		x.f.p.stats.retries.Add(1)
		x.retried = true
		x.up.Close()
		drop(&x.toUp)
		x.dial()
		return
	}
	x.fail(502, err)
}

// salvage reads a response that came although the request could not be sent. It reports whether one
// has begun.
func (x *exchange) salvage() bool {
	drop(&x.toUp)
	n, err := x.up.Read(x.f.loop.In())
	if err != nil || n == 0 {
		return false
	}
	x.upKeep = false
	if x.respond(x.f.loop.In()[:n]) && x.up != nil {
		x.pumpDown()
	}
	return true
}

// badRequest answers a body that is not what its head says, or too large. The upstream must not take
// what it has for a whole request.
func (x *exchange) badRequest(err error) {
	x.f.p.stats.refused.Add(1)
	x.f.p.o.Log.Info("request refused", "reason", err, "client", x.client.RemoteAddr())
	if x.begun {
		x.cut(err)
		return
	}
	if errors.Is(err, errTooLarge) {
		x.finishWith(413)
		return
	}
	x.finishWith(400)
}

// clientGone ends the exchange because the client did.
func (x *exchange) clientGone() {
	x.f.p.stats.clientGone.Add(1)
	c := x.client
	x.release()
	c.Close()
}

// fail ends the exchange because of the upstream. A response that has begun is cut, never finished and
// never followed by a page.
func (x *exchange) fail(status int, err error) {
	x.f.p.stats.upstreamErrors.Add(1)
	x.f.p.o.Log.Error("upstream failed", "upstream", x.f.p.o.Upstream.String(), "status", status, "error", err,
		"begun", x.begun, "reused", x.reused, "after", x.f.loop.Now().Sub(x.started).Round(time.Millisecond))
	if x.begun || x.toClient != nil {
		x.cut(err)
		return
	}
	x.finishWith(status)
}

// cut resets the client's connection: a plain end could be taken for the whole.
func (x *exchange) cut(error) {
	x.f.p.stats.cut.Add(1)
	c := x.client
	if x.toClient != nil {
		flush(c, &x.toClient)
	}
	x.release()
	c.Abort()
}

// finishWith answers with a page of our own.
func (x *exchange) finishWith(status int) {
	c, keep := x.client, x.keep && x.req.done
	c.Write(page(status, !keep, !x.isHead))
	early, touched, f := x.early, x.touched, x.f
	x.release()
	if keep {
		f.resume(c, early, touched)
		return
	}
	linger(c)
}

// finish gives the client's connection back after a complete response.
func (x *exchange) finish() {
	c, f, keep, reqDone := x.client, x.f, x.keep, x.req.done
	early, touched := x.early, x.touched
	x.release()
	switch {
	case keep:
		f.resume(c, early, touched)
	case reqDone && len(early) == 0 && !touched:
		c.Close()
	default:
		linger(c)
	}
}

// release lets go of everything but the client's connection.
func (x *exchange) release() {
	x.client.SetDeadline(0)
	if x.up != nil {
		if x.connected && !x.req.done {
			x.up.Abort() // the app must not take a part of the body for the whole
		} else {
			x.up.Close()
		}
	}
	drop(&x.toUp)
	drop(&x.toClient)
	x.f.p.inFlight.Add(-1)
	f := x.f
	x.client, x.up = nil, nil
	if len(f.free) < 64 && cap(x.early) <= 64<<10 && cap(x.answerHead) <= 64<<10 {
		f.free = append(f.free, x)
	}
}
