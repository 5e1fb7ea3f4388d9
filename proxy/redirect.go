package proxy

import (
	"bytes"
	"errors"

	"holdfast/internal/syntax"
)

var errRedirected = errors.New("redirected")

// toHTTPS is the route of a request that has to come again by https.
var toHTTPS = &route{Route: Route{Match: "/", Redirect: "https:"}}

// insecure returns the route of a request that a trusted proxy says came by plain http, where that is to be
// redirected, or nil. Who comes without a proxy that says so is served: a redirect could lead back here for ever.
func (p *Proxy) insecure(h *head, who caller) *route {
	if p.o.RedirectHTTPS && who.trusted && syntax.EqualFold(h.forwards[forwardProto], "http") && h.path[0] == '/' {
		return toHTTPS
	}
	return nil
}

// redirect sends the client elsewhere. The method is kept if it is one that a browser would change.
func (x *exchange) redirect(h *head, who caller) {
	status := 301
	if m := string(h.method); m != "GET" && m != "HEAD" {
		status = 308
	}
	b := []byte("Location: ")
	if x.route == toHTTPS {
		host := h.host
		if said := h.forwards[forwardHost]; who.trusted && validHost(said) {
			host = said
		}
		if host = withoutPort(host); len(host) == 0 {
			x.finishWith(400, errors.New("no Host to redirect to"))
			return
		}
		b = append(append(append(b, "https://"...), host...), h.target...)
	} else {
		b = append(append(b, bytes.TrimRight([]byte(x.route.Redirect), "/")...), x.route.below(h.target)...)
	}
	x.finishFields(status, 0, append(b, "\r\n"...), errRedirected)
}

func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}
