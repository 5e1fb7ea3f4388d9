package config

import (
	"fmt"
	"path"
	"regexp"
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
			l := &levelCheck{d, &s.Block, s.key}
			l.answers(c)
			l.ranges()
			l.redirect(nil, false)
		}
		for i := range s.Routes {
			r := &s.Routes[i]
			all += len(r.OwnServers(c.UpstreamPool))
			if d.failed[r.key] {
				continue
			}
			d.routeMatch(s.Routes, i)
			l := &levelCheck{d, &r.Block, r.key}
			l.answers(c)
			l.ranges()
			d.routeKind(r)
		}
	}
	if all > maxUpstreams {
		d.add(d.firstGiven("routes", "sites"), fmt.Sprintf("%d upstreams, those of all sites and routes; want at most %d", all, maxUpstreams))
	}
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
	(&levelCheck{d, &r.Block, r.key}).redirect(groups, r.Match == "")
	if r.Internal && r.Redirect != "" {
		d.add(r.key+".internal", "has no effect with redirect")
	}
}

// Groups returns the names of the groups of a route's pattern; nil without a pattern.
func (r *Route) Groups() []string {
	if re, err := regexp.Compile(r.Pattern); err == nil && r.Pattern != "" {
		return re.SubexpNames()
	}
	return nil
}
