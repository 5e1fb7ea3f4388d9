package proxy

import (
	"fmt"
	"net/http"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// source is who answers an exchange: an app, a file, or what is in memory. It is told what happens on the client's leg
// and gives its response there: bytes by clientLeg.pass or passBody, the end by exchange.complete, and instead of a response
// exchange.finishWith or fail. Each of these may end the exchange, and pass says so; nothing is done after that.
//
// A kind of source is a file and a line in addRoutes. Its methods run on the exchange's loop and never block.
type source interface {
	// start takes the request. The head and what was read of it are valid during the call only; body is what there is
	// of the request's body, and upload.body says whether that is all.
	start(h *http1.Head, q *request.Request, body []byte)

	// bodyReady is called when the client has sent more of a body that is not complete.
	bodyReady()

	// clientReady is called when the client has taken everything that was passed, or may take it from a file.
	clientReady()

	// close ends the source's part, whatever it was doing. It may be called more than once.
	close()
}

// appSource is a source on a connection to an upstream. appLeg moves the bytes; what they mean is the source's.
type appSource interface {
	source

	// needsWhole reports whether the app is never sent a part of a body: what cannot be collected is refused.
	needsWhole() bool

	// collected is called when as much of the request's body as may be was collected.
	collected()

	// restart forgets what was received: the request is sent to another server.
	restart()

	// frame returns a piece of the request's body as the app is sent it.
	frame(piece []byte) []byte

	// receive takes bytes of the app. It reports whether more are wanted.
	receive(p []byte) bool

	// endsAtClose reports whether the end of the connection is that of the response.
	endsAtClose() bool
}

// responseHead renders the response's head but for the empty line. framed says that its end can be told
// without closing the connection.
func (x *exchange) responseHead(a *http1.Answer, framed bool) []byte {
	x.answered = true
	x.log.status = a.Status
	x.app.server.Answered()
	x.client.unbuffered = a.Stream
	if a.Accel && !x.trusted {
		a.DropPrefix("x-accel-")
	}
	if x.route.paths.Rewrites() {
		x.route.paths.Rewrite(a, &x.asked, x.app.server.Host)
	}
	x.accel.preserved.Override(a)
	if !framed || !x.upload.body.Done || x.f.p.draining.Load() {
		x.client.keep = false
	}
	x.app.head, x.upload.gathered = x.app.head[:0], x.upload.gathered[:0] // too late to try again
	b := x.accel.preserved.Append(x.route.servers.AppendSticky(a.Append(x.f.loop.Out()[:0]), x.app.server, x.app.sticky))
	if a.Status == 426 {
		b = a.AppendUpgrade(b)
	}
	if !a.Has("date") {
		b = x.f.date.Append(b, x.f.loop.Now())
	}
	return x.client.appendConnection(b)
}

// ownHead renders the head of a response that no app gives, with field lines that tell its length, and with what stays
// of the response of an app that sent the request here.
func (x *exchange) ownHead(status int, fields []byte) []byte {
	x.answered, x.log.status = true, status
	if !x.upload.body.Done || x.f.p.draining.Load() {
		x.client.keep = false
	}
	b := fmt.Appendf(x.f.loop.Out()[:0], "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	b = x.f.date.Append(b, x.f.loop.Now())
	b = x.accel.preserved.Append(x.accel.preserved.AppendWithout(b, fields))
	b = append(x.client.appendConnection(b), "\r\n"...)
	x.client.heads += int64(len(b))
	return b
}

// complete notes that the source has given all of its response; the client's part goes on until it has everything.
func (x *exchange) complete() {
	x.completed = true
	if x.client.out == nil && x.client.file == nil {
		x.finish()
	}
}
