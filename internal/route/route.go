// Package route says where requests go: which upstreams, folder or redirect is for a path, and how paths are mapped.
package route

import (
	"bytes"
	"strings"

	"holdfast/internal/balance"
	"holdfast/internal/compress"
	"holdfast/internal/http1"
	"holdfast/internal/site"
)

// Options say who answers requests at and below a path. The first route that matches decides.
type Options struct {
	Match string // an absolute path without a trailing slash, as the app reads it; "/" matches everything

	Upstreams []balance.Upstream // none: those of what no other route is for, with their Site
	Site      *site.Site         // with FastCGI upstreams, finds scripts and files
	Files     *site.Site         // files to serve instead; a path below Match is a path below their root
	Redirect  string             // URL to redirect clients to instead, followed by the path after Match

	Prefix    string         // replaces Match in requests to the app; empty: Match itself
	Host      string         // replaces the client's Host in requests to the app; empty: the client's
	Compress  *compress.Rule // which of its responses are compressed; nil: none
	Publishes bool           // its app may publish by fields of its responses
	Internal  bool           // reached only by an app's X-Accel-Redirect
}

// Route is Options in use.
type Route struct {
	Options
	Index   int // in its Table
	Servers *balance.Group
	Paths   http1.Mapping
}

// Table is all routes. The last one is for what no other is.
type Table struct {
	Routes   []*Route
	Internal bool            // there are routes for X-Accel-Redirect
	paths    http1.PathTable // of all but the last
}

// NewTable makes the routes and adds their servers to set.
func NewTable(set *balance.Set, main Options, list []Options) *Table {
	t := &Table{}
	last := &Route{Options: main, Index: len(list), Servers: set.Add(main.Upstreams, main.Site)}
	last.setOwn()
	for i, o := range list {
		r := &Route{Options: o, Index: i, Paths: http1.Mapping{Match: strings.TrimRight(o.Match, "/"), Prefix: strings.TrimRight(o.Prefix, "/"), Host: o.Host}}
		r.Paths.Mapped = o.Prefix != "" && r.Paths.Prefix != r.Paths.Match
		if len(o.Upstreams) > 0 {
			r.Servers = set.Add(o.Upstreams, o.Site)
		} else {
			r.Servers, r.Site = last.Servers, last.Site
		}
		r.setOwn()
		t.Internal = t.Internal || o.Internal
		t.Routes = append(t.Routes, r)
		t.paths = append(t.paths, http1.PathEntry{Path: r.Paths.Match, Cuts: r.Paths.Mapped || r.Files != nil || r.Redirect != ""})
	}
	t.Routes = append(t.Routes, last)
	return t
}

// setOwn notes the address of the app.
func (r *Route) setOwn() {
	if first := r.Servers.First; first != nil {
		r.Paths.Own, r.Paths.HasURL = first.Host, first.Network == "tcp" && r.Site == nil
	}
}

// Find returns the route of a path.
func (t *Table) Find(path []byte) (*Route, *http1.Refusal) {
	i, r := t.paths.Find(path)
	return t.Routes[i], r
}

// LacksSlash reports whether a GET is for Match itself, and that path is a directory's: relative links of its page
// would lead out of the route. POST and WebSockets are passed on unchanged.
func (r *Route) LacksSlash(h *http1.Head) bool {
	return r.Paths.Match != "" && string(h.Path) == r.Paths.Match && (r.Files != nil || r.Paths.Mapped && r.Paths.Prefix == "") &&
		(string(h.Method) == "GET" || string(h.Method) == "HEAD") && h.Upgrade == nil
}

// Below returns the part of a target after Match.
func (r *Route) Below(target []byte) []byte {
	rest := target[min(len(r.Paths.Match), len(target)):]
	if len(rest) == 0 || rest[0] != '/' {
		return append([]byte("/"), rest...)
	}
	return bytes.Clone(rest)
}

// Folder is where the route's paths are looked up, nil if an app does that.
func (r *Route) Folder() *site.Site {
	if r.Files != nil {
		return r.Files
	}
	return r.Site
}
