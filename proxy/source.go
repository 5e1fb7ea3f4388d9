package proxy

import (
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// source provides the response of an exchange: an app, a file, or bytes in memory. The exchange calls it for events of
// the client's leg. It sends bytes with clientLeg.pass or passBody, and the end with exchange.complete; instead of a
// response, it calls exchange.finishWith or fail. Each of these may end the exchange (pass reports it), and then the
// source must do nothing more.
//
// A kind of source is a file and a line in newSource. Its methods run on the exchange's loop and never block.
type source interface {
	// start takes the request. h and q are valid during the call only. body is the part of the request's body received
	// so far, and upload.body says whether that is all.
	start(h *http1.Head, q *request.Request, body []byte)

	// bodyReady is called when the client has sent more of an incomplete body.
	bodyReady()

	// clientReady is called when everything passed was sent to the client, or is in its file.
	clientReady()

	// close ends the source, whatever its state. It may be called more than once.
	close()
}

// newSource makes who answers by what the route says.
func newSource(x *exchange) source {
	if x.route.Folder() != nil {
		return newFileSource(x)
	}
	return newHTTPSource(x)
}

// appSource is a source on a connection to an upstream. appLeg moves the bytes; what they mean is the source's.
type appSource interface {
	source

	// needsWhole reports whether the app must get whole bodies only: one that can't be collected is refused.
	needsWhole() bool

	// collected is called when the request's body is complete, or the buffers take no more of it.
	collected()

	// restart discards what was received: the request is sent to another server.
	restart()

	// frame returns a piece of the request's body in the form that the app gets.
	frame(piece []byte) []byte

	// receive takes bytes of the app. It reports whether more are wanted.
	receive(p []byte) bool

	// endsAtClose reports whether the response ends with its connection.
	endsAtClose() bool
}

// responseHead renders the head of the app's response. framed means that the response has an end without
// closing the connection.
func (x *exchange) responseHead(a *http1.Answer, framed bool) []byte {
	x.answered = true
	x.log.status = a.Status
	x.app.server.Answered()
	x.client.unbuffered = a.Stream
	if x.fetch != nil {
		x.fetch.Judge(a, x.f.loop.Now())
	}
	if a.Accel && !x.client.trusted {
		a.DropPrefix("x-accel-")
	}
	if x.route.Paths.Rewrites() {
		x.route.Paths.Rewrite(a, &x.asked, x.app.server.Host)
	}
	x.app.head, x.upload.gathered = x.app.head[:0], x.upload.gathered[:0] // too late to try again
	b := x.appendHead(x.f.loop.Out()[:0], a, framed)
	b = x.route.Servers.AppendSticky(b, x.app.server, x.app.sticky)
	if a.Status == 426 {
		b = a.AppendUpgrade(b)
	}
	if x.fetch != nil {
		b = x.fetch.AppendStatus(b)
	}
	return append(b, "\r\n"...)
}

// appendHead appends the head of a response, with what its body goes through, but without the empty line.
func (x *exchange) appendHead(b []byte, a *http1.Answer, framed bool) []byte {
	c := &x.client
	x.accel.preserved.Merge(a)
	if x.page.Head(a) {
		c.chunked = !c.http10
		framed = c.chunked
	}
	if x.fetch != nil && x.fetch.Head(a) {
		c.silent, c.chunked = true, false
		a.NotModified()
		framed = true
	}
	if x.coder.Head(a) {
		c.chunked, framed = false, true
	}
	if !framed || !x.upload.body.Done || x.p.draining.Load() {
		c.keep = false
	}
	x.route.Fields.Apply(a)
	b = a.Append(b)
	if !a.Has("date") {
		b = x.f.date.Append(b, x.f.loop.Now())
	}
	if c.chunked && !a.Has("transfer-encoding") {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return c.appendConnection(b)
}

// ownHead renders the head of a response that is Holdfast's own. fields are lines with its length.
func (x *exchange) ownHead(status int, fields []byte) []byte {
	x.answered, x.log.status = true, status
	a := &x.f.ans
	a.Set(status, fields)
	return append(x.appendHead(x.f.loop.Out()[:0], a, true), "\r\n"...)
}

// announce notes when the app's response has come, and passes it on to all who may learn of a change by it: subscribers, the
// cache, of which it may end something, and Options.Sessions.
func (x *exchange) announce(a *http1.Answer) {
	x.app.server.Responded(x.f.loop, x.f.loop.Now().Sub(x.app.sent))
	x.change.Apply(a) // before subscribers ask for what has changed
	x.push.Head(a)
	x.session.OnResponse(a)
}

// complete notes that the source has passed its whole response. The exchange continues until the client has it.
func (x *exchange) complete() {
	x.completed = true
	if x.client.out == nil && x.client.file == nil && x.passed() {
		x.finish()
	}
}

// passed reports whether all that the source has given was passed to the client's leg.
func (x *exchange) passed() bool { return x.client.rest == nil && x.coder.Done() }

// goOn has more of the response passed.
func (x *exchange) goOn() {
	if x.client.rest != nil {
		x.client.passRest()
	} else {
		x.source.clientReady()
	}
}
