package proxy

import (
	"bytes"
	"math/bits"
	"strings"

	"holdfast/internal/site"
)

// Route says where requests at and below a path go. The first that matches counts; what none matches goes to
// Options.Upstreams.
type Route struct {
	Match string // an absolute path without a slash at its end, as the app reads it; "/" is everything

	Upstreams []Upstream // none: Options.Upstreams and Options.Site
	Site      *site.Site // with FastCGI upstreams, what a path means
	Files     *site.Site // files to be served instead; a path below Match is one below its root
	Redirect  string     // where clients are sent instead: what comes after Match is appended

	Prefix   string // what the app is asked for instead of Match; empty: Match itself
	Host     string // what the app is asked for instead of the client's Host; empty: that
	Internal bool   // no client gets here but by an app's X-Accel-Redirect
}

// route is a Route in use.
type route struct {
	Route
	servers  uint64 // a bit for the index of each
	first    *server
	prefix   string // Prefix without a slash at its end
	match    string // Match without a slash at its end
	mapped   bool   // the app is asked for another path
	cuts     bool   // what comes after Match is looked at by itself
	rewrites bool   // what the app says of its paths and names is not what clients see
}

// addRoutes makes the routes and their servers. The last one is where everything else goes.
func (p *Proxy) addRoutes(o *Options) {
	main := &route{Route: Route{Match: "/", Site: o.Site}}
	p.addServers(main, o.Upstreams)
	for _, r := range o.Routes {
		x := &route{Route: r, match: strings.TrimRight(r.Match, "/"), prefix: strings.TrimRight(r.Prefix, "/")}
		x.mapped = r.Prefix != "" && x.prefix != x.match
		x.cuts = x.mapped || r.Files != nil || r.Redirect != ""
		x.rewrites = x.mapped || r.Host != ""
		if len(r.Upstreams) > 0 {
			p.addServers(x, r.Upstreams)
		} else {
			x.servers, x.first, x.Site = main.servers, main.first, main.Site
		}
		p.internal = p.internal || r.Internal
		p.routes = append(p.routes, x)
	}
	p.main = main
}

func (p *Proxy) addServers(r *route, list []Upstream) {
	for _, u := range list {
		s := &server{Upstream: u, index: len(p.servers), alone: len(list) == 1, fastcgi: r.Site != nil}
		if r.first == nil {
			r.first = s
		}
		r.servers |= 1 << s.index
		p.servers = append(p.servers, s)
	}
}

func (r *route) several() bool { return bits.OnesCount64(r.servers) > 1 }

// matches reports whether a canonical path is at or below the route's. A session's ";jsessionid=…" behind it is
// no part of the name, whoever reads it.
func (r *route) matches(path []byte) bool {
	n := len(r.match)
	return len(path) >= n && string(path[:n]) == r.match && (len(path) == n || path[n] == '/' || path[n] == ';')
}

// find returns the route of a path. A path that an app could read as another's is refused, so that no reading of
// it gets to an app that the rules keep it from.
func (p *Proxy) find(path []byte) (*route, *refusal) {
	if len(p.routes) == 0 || len(path) == 0 || path[0] != '/' {
		return p.main, nil
	}
	if isPlain(path) {
		return p.first(path), nil
	}
	var found *route
	var buf [256]byte
	dotted := false
	all := reading(readings)
	if !mayBeOverlong(path) {
		all = overlong
	}
	for how := range all {
		read, dots, ok := canonical(buf[:0], path, how)
		if !ok {
			return nil, refuse(400, "path with control bytes, or with more .. than segments; with routes every path must be readable")
		}
		r := p.first(read)
		if how > 0 && r != found {
			return nil, refuse(400, "path that apps may read as one of two of the routes")
		}
		found, dotted = r, dotted || dots
	}
	if found.cuts && (dotted || !found.matches(path)) {
		return nil, refuse(400, "path whose beginning cannot be replaced by the upstream_prefix, root or redirect of routes: it is encoded, or has dot segments")
	}
	return found, nil
}

func (p *Proxy) first(path []byte) *route {
	for _, r := range p.routes {
		if r.matches(path) {
			return r
		}
	}
	return p.main
}

// appendTarget writes the target as the app is asked for it.
func (r *route) appendTarget(b, target []byte) []byte {
	if !r.mapped {
		return append(b, target...)
	}
	rest := target[len(r.match):]
	b = append(b, r.prefix...)
	if r.prefix == "" && (len(rest) == 0 || rest[0] != '/') {
		b = append(b, '/')
	}
	return append(b, rest...)
}

// lacksSlash reports whether a browser asks for Match itself and what is there is a folder's: relative links of its
// page would lead out of the route. What a program sends there, WebSockets and POST, is passed on as before.
func (r *route) lacksSlash(h *head) bool {
	return r.match != "" && string(h.path) == r.match && (r.Files != nil || r.mapped && r.prefix == "") &&
		(string(h.method) == "GET" || string(h.method) == "HEAD") && h.upgrade == nil
}

// below returns what of a target comes after Match.
func (r *route) below(target []byte) []byte {
	rest := target[min(len(r.match), len(target)):]
	if len(rest) == 0 || rest[0] != '/' {
		return append([]byte("/"), rest...)
	}
	return bytes.Clone(rest)
}

// folder is where the route's paths are looked up, nil if an app does that.
func (r *route) folder() *site.Site {
	if r.Files != nil {
		return r.Files
	}
	return r.Site
}
