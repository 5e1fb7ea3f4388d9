package proxy

import (
	"errors"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

var errRedirected = errors.New("redirected")

// toHTTPS is the route of a request that has to come again by https.
var toHTTPS = &route.Route{Options: route.Options{Redirect: "https:", Settings: new(route.Settings)}, Table: new(route.Table)}

// insecure returns the route of a request by plain http that is to be redirected, or nil. c is marked if its listener
// redirects. On others only a trusted proxy can say that a client used plain http, as a redirect could lead back here.
func (p *Proxy) insecure(c *park.Conn, h *http1.Head, q *request.Request) *route.Route {
	if !(q.Declared && q.HTTPS) && (park.Marked(c) || p.o.RedirectHTTPS && q.Declared && h.Path[0] == '/') {
		return toHTTPS
	}
	return nil
}

// redirect sends the client elsewhere.
func (x *exchange) redirect(h *http1.Head, q *request.Request) {
	status := route.RedirectStatus(h.Method)
	if x.route != toHTTPS {
		x.finishFields(status, 0, x.route.Location(h), errRedirected)
		return
	}
	if location := route.HTTPSLocation(h, q.Host, x.f.p.o.HTTPSPort); location != nil {
		x.finishFields(status, 0, location, errRedirected)
	} else {
		x.finishWith(400, errors.New("no Host, or no path, to redirect to"))
	}
}
