package proxy

import (
	"bytes"
	"errors"
	"strconv"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

var errRedirected = errors.New("redirected")

// toHTTPS is the route of a request that is redirected to https.
var toHTTPS = &route{Route: Route{Match: "/", Redirect: "https:"}}

// insecure returns toHTTPS for a request whose client used plain http, if RedirectHTTPS is set, and otherwise nil. Only
// a trusted proxy can say so: without one, a redirect could lead back here for ever.
func (p *Proxy) insecure(h *http1.Head, q *request.Request) *route {
	if p.o.RedirectHTTPS && q.Declared && !q.HTTPS && h.Path[0] == '/' {
		return toHTTPS
	}
	return nil
}

// redirectToSlash adds the slash to a route's own path.
func (x *exchange) redirectToSlash(h *http1.Head) {
	b := append(append([]byte("Location: "), h.Path...), '/')
	b = append(append(b, h.Target[len(h.Path):]...), "\r\n"...)
	x.finishFields(301, 0, b, errRedirected)
}

// redirect responds with a redirect: 301, or 308 if a browser would otherwise change the method.
func (x *exchange) redirect(h *http1.Head, q *request.Request) {
	status := 301
	if m := string(h.Method); m != "GET" && m != "HEAD" {
		status = 308
	}
	b := []byte("Location: ")
	if x.route == toHTTPS {
		host, _ := http1.SplitHost(q.Host)
		if len(host) == 0 {
			x.finishWith(400, errors.New("no Host to redirect to"))
			return
		}
		b = append(append(b, "https://"...), host...)
		if port := x.f.p.o.ExternalPort; x.f.p.o.ExternalHTTPS && port > 0 && port != 443 {
			b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
		}
		b = append(b, h.Target...)
	} else {
		b = append(append(b, bytes.TrimRight([]byte(x.route.Redirect), "/")...), x.route.below(h.Target)...)
	}
	x.finishFields(status, 0, append(b, "\r\n"...), errRedirected)
}
