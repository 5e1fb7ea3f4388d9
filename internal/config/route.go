package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"holdfast/internal/expand"
)

// Route says who answers requests for some paths, and how. The first route that matches decides: those with exact, then those
// with match, then those with pattern.
type Route struct {
	Match    string `yaml:"match" eg:"/shop"`
	Exact    string `yaml:"exact" eg:"/"`
	Pattern  string `yaml:"pattern" eg:"^/old/([0-9]+)$"`
	Internal bool   `yaml:"internal"`
	Prefix   string `yaml:"upstream_prefix" eg:"/"`
	Alias    bool   `yaml:"alias"`
	Rewrite  string `yaml:"rewrite" eg:"/index.php"`
	Block    `yaml:",inline"`

	key  string // sites[0].routes[1]
	cuts bool   // what is after Match in a path is looked up in Root
}

// Key is the route's place in the file, such as sites[0].routes[1].
func (r *Route) Key() string { return r.key }

// Cuts reports whether what is after Match in a path is looked up in Root, and not the whole path.
func (r *Route) Cuts() bool { return r.cuts }

// Label is the path by which messages name the route.
func (r *Route) Label() string {
	switch {
	case r.Exact != "":
		return r.Exact
	case r.Pattern != "":
		return r.Pattern
	}
	return r.Match
}

// RouteOf returns the site's route of a path that the configuration itself names, nil for everything else.
func (s *Site) RouteOf(p string) *Route {
	p, _, _ = strings.Cut(p, "?")
	p = path.Clean(p)
	for _, matches := range []func(r *Route) bool{
		func(r *Route) bool { return r.Exact != "" && p == r.Exact },
		func(r *Route) bool {
			m := strings.TrimRight(r.Match, "/")
			return r.Match != "" && (p == m || strings.HasPrefix(p, m+"/"))
		},
		func(r *Route) bool {
			re, err := regexp.Compile(r.Pattern)
			return r.Pattern != "" && err == nil && re.MatchString(p)
		},
	} {
		for i := range s.Routes {
			if matches(&s.Routes[i]) {
				return &s.Routes[i]
			}
		}
	}
	return nil
}

// routes checks those of each site, and how many upstreams there are.
func (d *decoder) routes(c *Config) {
	all := 0
	if c.UsesTop() {
		all = len(c.Servers())
	}
	for _, s := range c.Levels() {
		all += len(s.OwnServers(c.UpstreamPool))
		if s.key != "" && !d.failed[s.key] {
			d.levelKind(c, &s.Block, s.key)
			d.redirect(&s.Block, s.key, nil, false)
		}
		for i := range s.Routes {
			r := &s.Routes[i]
			all += len(r.OwnServers(c.UpstreamPool))
			if d.failed[r.key] {
				continue
			}
			d.routeMatch(s.Routes, i)
			d.levelKind(c, &r.Block, r.key)
			d.routeKind(r)
		}
	}
	if all > maxUpstreams {
		d.add(d.firstGiven("routes", "sites"), fmt.Sprintf("%d upstreams, those of all sites and routes; want at most %d", all, maxUpstreams))
	}
}

// levelKind checks what a site or route says of who answers: an app, scripts, files or a redirect.
func (d *decoder) levelKind(c *Config, b *Block, key string) {
	own := b.OwnServers(c.UpstreamPool)
	if d.given[key+".upstream"] && len(b.Upstreams) > 0 {
		d.add(key+".upstream", "is set besides upstreams; want one of the two")
	}
	fast := len(own) > 0 && own[0].URL.FastCGI
	for j, s := range own {
		at := fmt.Sprintf("%s.upstreams[%d]", key, j)
		if s.URL.Address == "" {
			d.add(at+".url", "missing; want "+wantUpstream)
			continue
		}
		inRange(d, at+".max_conns", s.MaxConns, 1, maxConnections, "as upstream_pool.max_conns")
		at = d.firstGiven(key+".upstream", key+".upstreams")
		if l := c.Listen; sameAddress(l.Network, l.Address, s.URL.Network, s.URL.Address) {
			d.add(at, fmt.Sprintf("%s and listen %s are the same address; Holdfast would call itself", s.URL, l))
		}
		if h := c.Hooks.Listen; sameAddress(h.Network, h.Address, s.URL.Network, s.URL.Address) {
			d.add(at, fmt.Sprintf("%s and hooks.listen %s are the same address; clients would reach the API", s.URL, h))
		}
		if s.URL.FastCGI != fast {
			d.add(key+".upstreams", "some speak FastCGI and some HTTP; want one kind")
		}
	}
	if len(own) > 0 && !slices.ContainsFunc(own, func(s Server) bool { return !s.Backup }) {
		d.add(key+".upstreams", "all are backups; want at least one that is not")
	}
	hasRoot, old := d.given[key+".root"] || d.given[key+".site.root"], d.given[key+".site"]
	switch {
	case d.given[key+".redirect"] && (len(own) > 0 || hasRoot), len(own) > 0 && !fast && d.given[key+".root"]:
		d.add(key, "has more than one of upstream, root and redirect; want one")
		return
	case old && d.given[key+".root"]:
		d.add(key+".root", "is set besides site.root, as it was written before; want it once")
	case old && len(own) == 0 || old && !fast && hasRoot:
		d.add(key+".site.root", "has no effect without a fastcgi upstream of the route")
	case fast && b.Root == "":
		d.add(key+d.rootKey(key), "missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html")
	case hasRoot && !filepath.IsAbs(b.Root):
		d.add(key+d.rootKey(key), show(b.Root)+" is not an absolute path; want one such as /var/www/html")
	}
	app := !b.files && b.Redirect == "" && !b.FastCGI()
	if d.given[key+".upstream_host"] && !app {
		d.add(key+".upstream_host", "has no effect here; it is for upstreams that speak HTTP")
	}
	d.blockRanges(b, key)
}

// rootKey returns how the file writes the root of a route.
func (d *decoder) rootKey(key string) string {
	if d.given[join(key, "site")] {
		return ".site.root"
	}
	return ".root"
}

// routeMatch checks what a route matches, alone and against the routes before it.
func (d *decoder) routeMatch(list []Route, i int) {
	r := &list[i]
	m, kind, said := r.Match, ".match", 0
	for _, s := range []string{r.Match, r.Exact, r.Pattern} {
		if s != "" {
			said++
		}
	}
	switch {
	case said == 0 && (d.failed[r.key+".exact"] || d.failed[r.key+".pattern"]):
		return
	case said == 0:
		d.add(r.key+".match", "missing; want a path such as /shop")
		return
	case said > 1:
		d.add(r.key, "has more than one of match, exact and pattern; want one")
		return
	case r.Exact != "":
		m, kind = r.Exact, ".exact"
	case r.Pattern != "":
		m, kind = r.Pattern, ".pattern"
	}
	switch problem := pathProblem(strings.TrimSuffix(m, "/")); {
	case kind == ".pattern":
		if _, err := regexp.Compile(m); err != nil {
			d.add(r.key+kind, show(m)+" is no regular expression (RE2): "+strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			return
		}
	case m == "/":
	case kind == ".match" && pathProblem(m) != "":
		d.add(r.key+kind, show(m)+" "+pathProblem(m)+"; want a path such as /shop")
		return
	case problem != "":
		d.add(r.key+kind, show(m)+" "+problem+"; want a path such as /shop")
		return
	}
	for j := range list {
		e := &list[j]
		hides := false
		switch kind {
		case ".exact":
			hides = j < i && e.Exact == m
		case ".match":
			hides = j < i && e.Match != "" && isAtOrBelow(m, e.Match)
		default:
			hides = e.Match == "/" || j < i && e.Pattern == m
		}
		if hides {
			d.add(r.key+kind, fmt.Sprintf("%s is never reached, as %s at line %d matches all of it and the first match wins", show(m), show(e.Label()), d.position(d.firstGiven(e.key+".match", e.key+".exact", e.key+".pattern")).line))
			return
		}
	}
}

// routeKind checks the keys that only a route has.
func (d *decoder) routeKind(r *Route) {
	folder := r.files || r.FastCGI()
	app := !folder && r.Redirect == ""
	if r.Prefix != "" && !app {
		d.add(r.key+".upstream_prefix", "has no effect here; it is for upstreams that speak HTTP")
	} else if r.Prefix != "" && r.Match == "" {
		d.add(r.key+".upstream_prefix", "has no effect without match, which it replaces")
	} else if problem := pathProblem(strings.TrimRight(r.Prefix, "/")); r.Prefix != "" && r.Prefix != "/" && problem != "" {
		d.add(r.key+".upstream_prefix", show(r.Prefix)+" "+problem+"; want a path such as / or /app")
	}
	switch {
	case !d.given[r.key+".alias"]:
	case !folder:
		d.add(r.key+".alias", "has no effect without root")
	case r.Match == "":
		d.add(r.key+".alias", "has no effect without match, in place of which root stands")
	case r.Alias && !d.given[r.key+".root"]:
		d.add(r.key+".alias", "needs root, the folder that stands in place of match")
	}
	groups := r.Groups()
	switch {
	case r.Rewrite == "":
	case !folder:
		d.add(r.key+".rewrite", "has no effect without a root; for upstreams that speak HTTP, see upstream_prefix")
	default:
		text, err := expand.Parse(r.Rewrite, groups)
		if err != nil {
			d.add(r.key+".rewrite", show(r.Rewrite)+" "+err.Error())
		} else if start := text.Start(); !strings.HasPrefix(start, "/") && start != "" || start == "" && r.Pattern == "" {
			d.add(r.key+".rewrite", show(r.Rewrite)+" does not begin with /; want a path such as /index.php")
		}
	}
	d.redirect(&r.Block, r.key, groups, r.Match == "")
	if r.Internal && r.Redirect != "" {
		d.add(r.key+".internal", "has no effect with redirect")
	}
}

// redirect checks where a level redirects to; whole says that nothing follows it.
func (d *decoder) redirect(b *Block, key string, groups []string, whole bool) {
	if b.Redirect == "" || key != "" && !d.given[key+".redirect"] {
		return
	}
	if problem := redirectProblem(b.Redirect, groups, whole); problem != "" {
		d.add(join(key, "redirect"), show(b.Redirect)+" "+problem+"; want one such as https://www.example.com/shop, or a path such as /shop")
	}
}

// Groups returns the names of the groups of a route's pattern; nil without a pattern.
func (r *Route) Groups() []string {
	if re, err := regexp.Compile(r.Pattern); err == nil && r.Pattern != "" {
		return re.SubexpNames()
	}
	return nil
}

// redirectProblem checks a URL or a path that clients are redirected to. Variables stand in its path or query only: otherwise
// what a client sends could choose the host.
func redirectProblem(s string, groups []string, whole bool) string {
	text, err := expand.Parse(s, groups)
	if err != nil {
		return err.Error()
	}
	_, isPlain := text.Plain()
	start := text.Start()
	switch {
	case authorizeProblem("/"+s) != "":
		return "has a space, a control character, a fragment or a byte outside ASCII"
	case isPlain && !whole && strings.Contains(s, "?"):
		return "has a query, and the path after match follows it"
	case strings.HasPrefix(start, "//") || strings.HasPrefix(start, `/\`):
		return "names a host without a scheme"
	case strings.HasPrefix(start, "/"), start == "" && !isPlain: // Location begins with a slash then
		return ""
	}
	u, err := url.Parse(start)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return "is not a plain http or https URL"
	case !isPlain && !strings.HasPrefix(u.Path, "/"):
		return "has a variable in its host; want it behind the slash that follows the host"
	}
	return ""
}
