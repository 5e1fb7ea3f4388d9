// Package explain says what a configuration does with a request, without sending it: which site and route it is for, what
// answers it, which rules and settings apply, and where each of these has its value from.
package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"holdfast/internal/cache"
	"holdfast/internal/config"
	"holdfast/internal/http1"
	"holdfast/internal/route"
	"holdfast/internal/server"
)

// Request explains a request such as "GET https://app.test/a/b.php?x". It looks at files, as an answer would, and at nothing
// else outside of c.
func Request(c *config.Config, text string) (string, error) {
	x := &explanation{c: c}
	head, err := x.parse(text)
	if err != nil {
		return "", err
	}
	sites, err := server.Sites(c)
	if err != nil {
		return "", err
	}
	var h http1.Head
	if r := h.Parse(head, http1.Limits{Bytes: int(c.Limits.Header), Fields: c.Limits.Fields, Ascii: c.Limits.ASCII}); r != nil {
		x.answer("%s", r)
		return x.String(), nil
	}
	x.find(sites, &h)
	return x.String(), nil
}

// explanation is lines of a name and what there is to say.
type explanation struct {
	strings.Builder
	c     *config.Config
	https bool
}

func (x *explanation) line(name, format string, args ...any) {
	fmt.Fprintf(x, "%-9s "+format+"\n", append([]any{name}, args...)...)
}

func (x *explanation) answer(format string, args ...any) { x.line("answer", format, args...) }

// parse returns the head of a request.
func (x *explanation) parse(text string) ([]byte, error) {
	method, target, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		method, target = http.MethodGet, method
	}
	scheme, rest, ok := strings.Cut(strings.TrimSpace(target), "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" || strings.ContainsAny(rest, " \r\n") {
		return nil, fmt.Errorf("explain: %.200q is not a request such as 'GET https://app.test/a/b.php?x'", text)
	}
	x.https = scheme == "https"
	host := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, rest = rest[:i], rest[i:]
	} else {
		rest = "/"
	}
	if rest[0] == '?' {
		rest = "/" + rest
	}
	rest, _, _ = strings.Cut(rest, "#") // which no client sends
	x.line("request", "%s %s", method, rest)
	x.line("host", "%s", host)
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, rest, host), nil
}

// find explains who answers a request.
func (x *explanation) find(sites *route.Sites, h *http1.Head) {
	if x.c.RedirectHTTPS && !x.https {
		x.line("note", "redirect_https: sent to https if a trusted proxy says http, as here")
	}
	table, refusal := sites.Find(h.Host, h.Host)
	if refusal != nil {
		x.answer("%s", refusal)
		return
	}
	levels := x.c.Levels()
	site := &levels[slices.Index(sites.Tables, table)]
	if len(x.c.Sites) > 0 {
		x.line("site", "%s (%s, line %d)", site.Name(), site.Key(), x.c.Line(site.Key()))
	}
	for _, p := range x.c.Push.AllPaths() {
		if path := string(h.Path); site.Push && (path == p || strings.HasPrefix(path, p+"/")) {
			x.answer("by Holdfast itself: the push path %s", p)
			return
		}
	}
	r, refusal := table.Open(h.Path)
	if refusal != nil && !r.Internal {
		x.answer("%s", refusal)
		return
	}
	l := &level{x.c, &site.Block, []string{site.Key(), ""}}
	if i := slices.IndexFunc(site.Routes, func(o config.Route) bool { return o.Key() == r.Name }); i >= 0 && r != table.Rest() {
		o := &site.Routes[i]
		l = &level{x.c, &o.Block, []string{o.Key(), site.Key(), ""}}
		x.line("route", "%s (%s, line %d)", o.Label(), o.Key(), x.c.Line(o.Key()))
	} else {
		x.line("route", "none of %d", len(site.Routes))
	}
	if r.Access != nil {
		x.line("access", "for some clients only: see allow, deny_addresses and basic_auth")
	}
	x.route(r, h, refusal)
	x.rules(l, r, h)
	for _, s := range l.settings() {
		fmt.Fprintf(x, "  %-32s %-28s %s\n", s.key, s.value, s.from)
	}
}

// route explains what a route answers.
func (x *explanation) route(r *route.Route, h *http1.Head, refusal *http1.Refusal) {
	switch {
	case refusal != nil:
		x.answer("%s", refusal)
	case r.Deny.Denies(h.Path):
		x.answer("404, as deny names the path")
	case r.Redirect != "":
		x.answer("%d to %s", r.RedirectStatus(h.Method), location(r.Location(h)))
	case r.LacksSlash(h):
		x.answer("301 to %s", location(route.SlashLocation(h)))
	case r.Folder() != nil:
		x.file(r, h)
	default:
		target, host := r.Upstream(h)
		if host == "" {
			host = string(h.Host)
		}
		x.answer("%s %s with Host %s, by %s", h.Method, target, host, upstreams(r))
	}
}

func location(fields []byte) string {
	return strings.TrimSpace(strings.TrimPrefix(string(fields), "Location:"))
}

// file explains what a path means in a folder.
func (x *explanation) file(r *route.Route, h *http1.Head) {
	req := r.Lookup(h)
	if req.Path != string(h.Path) {
		x.line("path", "%s", req.Path)
	}
	a, err := r.Folder().Serve(req)
	if a.File != nil {
		defer a.File.Close() //nolint:errcheck // read only
	}
	switch {
	case err != nil:
		x.answer("500: %v", err)
	case a.Script != nil:
		s := a.Script
		x.answer("by the script %s", s.Filename)
		x.line("script", "SCRIPT_NAME %s, PATH_INFO %q, DOCUMENT_ROOT %s, by %s", s.Name, s.PathInfo, s.Root, upstreams(r))
		if s.HasQuery {
			x.line("", "QUERY_STRING %q", s.Query)
		}
	case a.Reason != "":
		x.answer("%d: %s", a.Status, a.Reason)
	case a.File != nil:
		x.answer("%d, the file %s, %d bytes", a.Status, a.File.Name(), a.Length)
	case a.Status >= 300 && a.Status < 400:
		x.answer("%d to %s", a.Status, location(a.Head))
	case a.Status == 200:
		x.answer("200, the head of a file")
	default:
		x.answer("%d %s", a.Status, http.StatusText(a.Status))
	}
}

// upstreams names those of a route.
func upstreams(r *route.Route) string {
	var list []string
	for _, s := range r.Servers.All() {
		list = append(list, s.String())
	}
	if len(list) == 0 {
		return "no upstream"
	}
	return strings.Join(list, " or ")
}

// rules explains which rule of polls and cache, and which of inject, are about a request.
func (x *explanation) rules(l *level, r *route.Route, h *http1.Head) {
	q := cache.RequestOf(h)
	q.HTTPS = x.https
	if rule := r.Rules.Match(&q); rule != nil {
		if _, why := rule.Key(&q); why != cache.None {
			x.line("rule", "%s %s, which passes it on: %s", rule.Name, rule.Match, why)
		} else {
			x.line("rule", "%s %s, answered from memory while that is fresh", rule.Name, rule.Match)
		}
	}
	var table http1.PathTable
	for i := range l.block.Inject {
		table = append(table, http1.PathEntry{Path: strings.TrimRight(l.block.Inject[i].Match, "/")})
	}
	if i, no := table.Find(h.Path); no == nil && i < len(table) {
		x.line("inject", "%s[%d] %s", x.c.Source("inject", l.at...), i, l.block.Inject[i].Match)
	}
}
