package proxy

import (
	"bytes"
	"strings"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
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
	servers *balance.Group
	paths   http1.Mapping
	source  func(*exchange) source // makes who answers
}

// addRoutes makes the routes and their servers. The last one is where everything else goes.
func (p *Proxy) addRoutes(o *Options) {
	main := &route{Route: Route{Match: "/", Site: o.Site}}
	main.servers = p.servers.Add(o.Upstreams, o.Site)
	main.source = main.newSource()
	main.setOwn()
	for _, r := range o.Routes {
		x := &route{Route: r, paths: http1.Mapping{Match: strings.TrimRight(r.Match, "/"), Prefix: strings.TrimRight(r.Prefix, "/"), Host: r.Host}}
		x.paths.Mapped = r.Prefix != "" && x.paths.Prefix != x.paths.Match
		if len(r.Upstreams) > 0 {
			x.servers = p.servers.Add(r.Upstreams, r.Site)
		} else {
			x.servers, x.Site = main.servers, main.Site
		}
		x.setOwn()
		x.source = x.newSource()
		p.internal = p.internal || r.Internal
		p.routes = append(p.routes, x)
		p.table = append(p.table, http1.PathEntry{Path: x.paths.Match, Cuts: x.paths.Mapped || r.Files != nil || r.Redirect != ""})
	}
	p.routes = append(p.routes, main)
}

// setOwn notes the address of the app.
func (r *route) setOwn() {
	if first := r.servers.First; first != nil {
		r.paths.Own, r.paths.HasURL = first.Host, first.Network == "tcp" && r.Site == nil
	}
}

// newSource returns what makes the route's sources, one for each request.
func (r *route) newSource() func(*exchange) source {
	if r.folder() != nil {
		return newFileSource
	}
	return newHTTPSource
}

// find returns the route of a path.
func (p *Proxy) find(path []byte) (*route, *http1.Refusal) {
	i, r := p.table.Find(path)
	return p.routes[i], r
}

// lacksSlash reports whether a browser asks for Match itself and what is there is a folder's: relative links of its
// page would lead out of the route. What a program sends there, WebSockets and POST, is passed on as before.
func (r *route) lacksSlash(h *http1.Head) bool {
	return r.paths.Match != "" && string(h.Path) == r.paths.Match && (r.Files != nil || r.paths.Mapped && r.paths.Prefix == "") &&
		(string(h.Method) == "GET" || string(h.Method) == "HEAD") && h.Upgrade == nil
}

// below returns what of a target comes after Match.
func (r *route) below(target []byte) []byte {
	rest := target[min(len(r.paths.Match), len(target)):]
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
