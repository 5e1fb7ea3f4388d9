// Package route says where requests go, and how they are handled: which site a Host names, which upstreams, folder or redirect
// is for a path of it, and how paths are mapped.
package route

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"holdfast/internal/balance"
	"holdfast/internal/expand"
	"holdfast/internal/http1"
	"holdfast/internal/site"
)

// Options say who answers requests for some paths. The first route that matches decides: those with Exact, then those with
// Match, then those with Pattern, each in their order.
type Options struct {
	Name    string // of its place in the configuration
	Match   string // an absolute path without a trailing slash, as the app reads it; "/" matches everything
	Exact   string // instead of Match: one path, and nothing below it
	Pattern string // instead of Match: a regular expression (RE2) for decoded paths

	Upstreams []balance.Upstream // none: those of what no other route is for, with their Site
	Site      *site.Site         // with FastCGI upstreams, finds scripts and files; nil: that of what no other route is for
	Files     *site.Site         // files to serve instead
	Below     bool               // what is after Match in a path is looked up in Site or Files; otherwise the whole path is
	Rewrite   string             // path with variables, which is looked up in Site or Files instead
	Redirect  string             // URL or path to redirect clients to instead: with variables, or followed by the path after Match
	Moved     int                // status of Redirect; 0: 301, or 308 unless it is a GET

	Prefix    string // replaces Match in requests to the app; empty: Match itself
	Host      string // replaces the client's Host in requests to the app; empty: the client's
	Whole     bool   // Prefix and Redirect are those of the whole site: Match is not cut off
	Publishes bool   // its app may publish by fields of its responses
	Internal  bool   // reached only by an app's X-Accel-Redirect

	*Settings // nil: those of what no other route is for
}

// Route is Options in use.
type Route struct {
	Options
	Index    int    // in its Table
	Table    *Table // of its site
	Servers  *balance.Group
	Paths    http1.Mapping
	pattern  *regexp.Regexp
	rewrite  *expand.Text // nil: paths are looked up as they are
	redirect *expand.Text // nil: the path after Match follows Redirect
}

// Table is the routes of a site. The last one is for what no other is.
type Table struct {
	Name     string // of the site; empty: the configuration has no sites
	Push     bool   // the push path is one of the site's
	Routes   []*Route
	Internal bool            // there are routes for X-Accel-Redirect
	paths    http1.PathTable // of all but the last
}

// NewTable makes the routes and adds their servers to set. It fails if a pattern, or a text with variables, is bad.
func NewTable(set *balance.Set, main Options, list []Options) (*Table, error) {
	return newTable(set, &Route{Options: Options{Settings: new(Settings)}}, main, list)
}

// newTable is NewTable. Where main has no upstreams, its app is that of above.
func newTable(set *balance.Set, above *Route, main Options, list []Options) (*Table, error) {
	t := &Table{Push: true}
	last, err := t.newRoute(set, above, main)
	if err != nil {
		return nil, err
	}
	for _, kind := range []func(*Options) bool{
		func(o *Options) bool { return o.Exact != "" }, func(o *Options) bool { return o.Exact == "" && o.Pattern == "" }, func(o *Options) bool { return o.Pattern != "" },
	} {
		for i := range list {
			if !kind(&list[i]) {
				continue
			}
			r, err := t.newRoute(set, last, list[i])
			if err != nil {
				return nil, err
			}
			r.Index = len(t.Routes)
			t.Internal = t.Internal || r.Internal
			t.Routes = append(t.Routes, r)
			t.paths = append(t.paths, r.entry())
		}
	}
	last.Index = len(t.Routes)
	t.Routes = append(t.Routes, last)
	return t, nil
}

// newRoute makes a route. What it does not say is as above.
func (t *Table) newRoute(set *balance.Set, above *Route, o Options) (*Route, error) {
	r := &Route{Options: o, Table: t, Paths: http1.Mapping{Prefix: strings.TrimRight(o.Prefix, "/"), Host: o.Host}}
	if !o.Whole && o.Exact == "" && o.Pattern == "" {
		r.Paths.Match = strings.TrimRight(o.Match, "/")
	}
	r.Paths.Mapped = o.Prefix != "" && r.Paths.Prefix != r.Paths.Match
	switch {
	case len(o.Upstreams) > 0:
		r.Servers = set.Add(o.Upstreams, o.Site)
	case above.Servers != nil:
		r.Servers = above.Servers
	default:
		r.Servers = set.Add(nil, nil)
	}
	if len(o.Upstreams) == 0 && r.Site == nil {
		r.Site = above.Site
	}
	if r.Settings == nil {
		r.Settings = above.Settings
	}
	r.setOwn()
	return r, r.compile()
}

// compile parses what has variables.
func (r *Route) compile() (err error) {
	var groups []string
	if r.Pattern != "" {
		if r.pattern, err = regexp.Compile(r.Pattern); err != nil {
			return fmt.Errorf("route: pattern: %w", err)
		}
		groups = r.pattern.SubexpNames()
	}
	if r.Rewrite != "" {
		if r.rewrite, err = expand.Parse(r.Rewrite, groups); err != nil {
			return fmt.Errorf("route: rewrite %w", err)
		}
	}
	if r.Redirect == "" {
		return nil
	}
	text, err := expand.Parse(r.Redirect, groups)
	if err != nil {
		return fmt.Errorf("route: redirect %w", err)
	}
	if s, plain := text.Plain(); plain && r.Exact == "" && r.Pattern == "" {
		r.Redirect = s
	} else {
		r.redirect = text
	}
	return nil
}

// entry returns what the route's paths are found by.
func (r *Route) entry() http1.PathEntry {
	switch {
	case r.pattern != nil:
		return http1.PathEntry{Pattern: r.pattern}
	case r.Exact != "":
		return http1.PathEntry{Path: r.Exact, Exact: true}
	}
	cuts := r.Paths.Match != "" && (r.Paths.Mapped || r.Files != nil && r.Below || r.Site != nil && r.Below || r.Redirect != "" && r.redirect == nil)
	return http1.PathEntry{Path: strings.TrimRight(r.Match, "/"), Cuts: cuts}
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

// Open is Find for a client, to which routes that are internal are closed.
func (t *Table) Open(path []byte) (*Route, *http1.Refusal) {
	r, refusal := t.Find(path)
	if refusal == nil && r.Internal {
		refusal = errInternal
	}
	return r, refusal
}

var errInternal = &http1.Refusal{Status: 404, Reason: "route that is internal"}

// Rest returns the route of what no other is for.
func (t *Table) Rest() *Route { return t.Routes[len(t.Routes)-1] }

// Label is the path by which messages name the route.
func (o *Options) Label() string {
	switch {
	case o.Exact != "":
		return o.Exact
	case o.Pattern != "":
		return o.Pattern
	}
	return strings.TrimRight(o.Match, "/")
}

// LacksSlash reports whether a GET is for Match itself, and that path is a directory's: relative links of its page
// would lead out of the route. POST and WebSockets are passed on unchanged.
func (r *Route) LacksSlash(h *http1.Head) bool {
	return r.Paths.Match != "" && string(h.Path) == r.Paths.Match && (r.Folder() != nil && r.Below || r.Files == nil && r.Paths.Mapped && r.Paths.Prefix == "") &&
		(string(h.Method) == "GET" || string(h.Method) == "HEAD") && h.Upgrade == nil
}

// rest returns the part of a target after Match.
func (r *Route) rest(target []byte) []byte {
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

// Lookup returns what Folder is asked for a request.
func (r *Route) Lookup(h *http1.Head) *site.Request {
	req := site.RequestOf(h)
	if r.Below {
		req.Path, req.Base = string(r.rest(h.Path)), r.Paths.Match
	}
	if r.rewrite == nil && !r.Folder().Expands() {
		return req
	}
	req.Values = r.values(h)
	if r.rewrite != nil {
		path, query, has := bytes.Cut(r.rewrite.Append(nil, req.Values), []byte("?"))
		req.Path, req.Base = string(path), ""
		if has {
			req.SetQuery(string(query))
		}
	}
	return req
}

// Upstream returns the target and the Host of a request as the app gets them; host is empty for the client's.
func (r *Route) Upstream(h *http1.Head) (target, host string) {
	return string(r.Paths.AppendTarget(nil, h.Target)), r.Paths.Host
}

// values returns what variables stand for, in memory of its own.
func (r *Route) values(h *http1.Head) *expand.Values {
	v := &expand.Values{Path: bytes.Clone(h.Path)}
	if len(h.Target) > len(h.Path) {
		v.Query = bytes.Clone(h.Target[len(h.Path)+1:])
	}
	if r.pattern != nil {
		if path, ok := http1.PlainPath(nil, h.Path); ok {
			v.Groups = r.pattern.FindSubmatch(path)
		}
	}
	return v
}
