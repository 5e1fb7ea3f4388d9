package proxy

import (
	"bytes"
	"strings"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/site"
)

// Route says who answers requests at and below a path. The first route that matches decides; without one, it is
// Options.Upstreams.
type Route struct {
	Match string // an absolute path without a trailing slash, as the app reads it; "/" matches everything

	Upstreams []Upstream // none: Options.Upstreams and Options.Site
	Site      *site.Site // with FastCGI upstreams, finds scripts and files
	Files     *site.Site // files to serve instead; a path below Match is a path below their root
	Redirect  string     // URL to redirect clients to instead, followed by the path after Match

	Prefix   string // replaces Match in requests to the app; empty: Match itself
	Host     string // replaces the client's Host in requests to the app; empty: the client's
	Internal bool   // reached only by an app's X-Accel-Redirect
}

// route is a Route in use.
type route struct {
	Route
	servers *balance.Group
	paths   http1.Mapping
	source  func(*exchange) source // creates the source of a request
}

// addRoutes creates the routes and their servers. The last route is for everything else.
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

// newSource returns the function that creates a source for each request of the route.
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

// lacksSlash reports whether a GET is for Match itself, and that path is a directory's: relative links of its page
// would lead out of the route. POST and WebSockets are passed on unchanged.
func (r *route) lacksSlash(h *http1.Head) bool {
	return r.paths.Match != "" && string(h.Path) == r.paths.Match && (r.Files != nil || r.paths.Mapped && r.paths.Prefix == "") &&
		(string(h.Method) == "GET" || string(h.Method) == "HEAD") && h.Upgrade == nil
}

// below returns the part of a target after Match.
func (r *route) below(target []byte) []byte {
	rest := target[min(len(r.paths.Match), len(target)):]
	if len(rest) == 0 || rest[0] != '/' {
		return append([]byte("/"), rest...)
	}
	return bytes.Clone(rest)
}

// folder returns the site in which the route's paths are looked up; nil if an app does that.
func (r *route) folder() *site.Site {
	if r.Files != nil {
		return r.Files
	}
	return r.Site
}
