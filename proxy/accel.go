package proxy

import (
	"errors"
	"fmt"

	"holdfast/internal/http1"
	"holdfast/internal/route"
	"holdfast/internal/sendbuf"
)

// accelState is what an exchange keeps for X-Accel-Redirect.
type accelState struct {
	head      []byte                  // of the request, as the client sent it
	preserved *http1.PreservedHeaders // of the app's answer; nil without
	gate      *route.Gate             // of the route that the request came to
	hops      int
}

var errClosed = errors.New("X-Accel-Redirect to a route that is closed to the client")

// maxHops is how many X-Accel-Redirects one request may follow.
const maxHops = 10

// leaveApp ends the part of an app whose response goes no further. bodyless says that the response is complete.
func (x *exchange) leaveApp(bodyless bool) {
	x.app.server.Answered()
	if !x.upload.body.Done { // nobody reads what is missing
		x.client.keep, x.client.touched, bodyless = false, true, false
	}
	x.app.leave(bodyless)
	sendbuf.Drop(&x.app.out)
	x.upload.file.Close()
	x.upload.file, x.upload.tail = nil, nil
	x.upload.body = http1.Body{Done: true}
	x.app.head, x.upload.gathered, x.app.partialHead = x.app.head[:0], x.upload.gathered[:0], x.app.partialHead[:0]
	x.count()
	x.app.tried, x.app.sticky, x.app.connected, x.app.reused, x.app.retried, x.app.hung = 0, -1, false, false, false, false
}

// accelRedirect answers with what another route has for the path that the app named: an app decides who may have a file,
// and need not send it. bodyless says that the app's answer is complete. It reports false: nothing more is wanted
// of this upstream.
func (x *exchange) accelRedirect(a *http1.Answer, bodyless bool) bool {
	if x.accel.hops++; x.accel.hops > maxHops {
		x.fail(502, fmt.Errorf("X-Accel-Redirect: more than %d redirects of one request", maxHops))
		return false
	}
	x.accel.preserved = x.accel.preserved.With(a)
	raw := http1.RedirectedHead(x.accel.head, a.Redirect, x.isHead)
	x.leaveApp(bodyless)
	x.fetch.Elsewhere(x.f.loop.Now())
	x.closeFetch() // it is not of use to others
	x.idempotent, x.client.unbuffered = true, false
	x.accel.head = append(x.accel.head[:0], raw...)

	h := &x.f.head
	if r := h.Parse(x.accel.head, http1.Limits{Bytes: len(x.accel.head), Fields: x.p.o.HeaderFields}); r != nil {
		x.fail(502, fmt.Errorf("X-Accel-Redirect: %w", r))
		return false
	}
	to, r := x.route.Table.Find(h.Path)
	switch {
	case r != nil:
		x.fail(502, fmt.Errorf("X-Accel-Redirect to %.200q: %w", h.Target, r))
		return false
	case to.Redirect != "" || http1.HasDots(h.Path): // dot segments may lead out of Match; nginx refuses them, too
		x.fail(502, fmt.Errorf("X-Accel-Redirect to %.200q: no route matches this path; see routes", h.Target))
		return false
	}
	// Not now, whatever is decided: the response of the first upstream is still being read.
	x.p.Gate.Permit(x.route, to, h, x.client.from.Addr(), x.f.loop.Now(), x.poster(), func(why *http1.Refusal) { x.goTo(to, why) })
	return false
}

// goTo continues with the route that the app named; why says why the client may not have what it has.
func (x *exchange) goTo(to *route.Route, why *http1.Refusal) {
	if why != nil {
		status := max(why.Status, 403) // not 401: what the client asked for needs no login
		x.f.logRefused(x.client.from, status, "X-Accel-Redirect to a route that is closed to the client: "+why.Reason)
		x.finishAfter(status, why.After, errClosed)
		return
	}
	x.route = to
	if h := &x.f.head; h.Parse(x.accel.head, http1.Limits{Bytes: len(x.accel.head), Fields: x.p.o.HeaderFields}) == nil {
		x.take(h, x.f.readRequest(x.p, x.client.conn, h), nil)
	}
}
