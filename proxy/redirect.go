package proxy

import (
	"errors"

	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

var errRedirected = errors.New("redirected")

// toHTTPS is the route of a request that has to come again by https.
var toHTTPS = &route.Route{Options: route.Options{Redirect: "https:", Settings: new(route.Settings)}, Table: new(route.Table)}

// insecure returns the route of a request that a trusted proxy says came by plain http, where that is to be
// redirected, or nil. Who comes without a proxy that says so is served: a redirect could lead back here for ever.
func (p *Proxy) insecure(h *http1.Head, q *request.Request) *route.Route {
	if p.o.RedirectHTTPS && q.Declared && !q.HTTPS && h.Path[0] == '/' {
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
	port := uint16(0)
	if x.f.p.o.ExternalHTTPS {
		port = x.f.p.o.ExternalPort
	}
	if location := route.HTTPSLocation(h, q.Host, port); location != nil {
		x.finishFields(status, 0, location, errRedirected)
	} else {
		x.finishWith(400, errors.New("no Host to redirect to"))
	}
}
