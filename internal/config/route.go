package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Route says who answers requests at and below a path. The first route that matches decides.
type Route struct {
	Match     string   `yaml:"match" eg:"/shop"`
	Upstream  Upstream `yaml:"upstream"`                                      // none: Upstreams
	Upstreams []Server `yaml:"upstreams" eg:"[{url: http://127.0.0.1:8082}]"` // none: those of everything else
	Site      Site     `yaml:"site"`
	Root      string   `yaml:"root" eg:"/var/www/assets"`
	Redirect  string   `yaml:"redirect" eg:"https://www.example.com/shop"`
	Prefix    string   `yaml:"upstream_prefix" eg:"/"`
	Host      string   `yaml:"upstream_host" eg:"shop.internal"`
	Internal  bool     `yaml:"internal"`
	Headers   bool     `yaml:"push_headers"`
}

// Servers returns the route's own upstreams; without any, requests go to those of everything else.
func (r *Route) Servers(pool UpstreamPool) []Server {
	list := slices.Clone(r.Upstreams)
	if len(list) == 0 && r.Upstream.Address != "" {
		list = []Server{{URL: r.Upstream}}
	}
	for i := range list {
		if list[i].MaxConns == 0 {
			list[i].MaxConns = pool.MaxConns
		}
	}
	return list
}

// RouteOf returns the route of a path that the configuration itself names, nil for everything else.
func (c *Config) RouteOf(p string) *Route {
	p, _, _ = strings.Cut(p, "?")
	p = path.Clean(p)
	for i := range c.Routes {
		if m := strings.TrimRight(c.Routes[i].Match, "/"); p == m || strings.HasPrefix(p, m+"/") {
			return &c.Routes[i]
		}
	}
	return nil
}

// routes checks each and what one hides.
func (d *decoder) routes(c *Config) {
	all := len(c.Servers())
	for i := range c.Routes {
		r, key := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		if d.failed[key] {
			continue
		}
		d.routeMatch(c, i, key)
		own := r.Servers(c.UpstreamPool)
		all += len(own)
		if r.Upstream.Address != "" && len(r.Upstreams) > 0 {
			d.add(key+".upstream", "is set besides upstreams; want one of the two")
		}
		for j, s := range own {
			if s.URL.Address == "" {
				d.add(fmt.Sprintf("%s.upstreams[%d].url", key, j), "missing; want "+wantUpstream)
				continue
			}
			inRange(d, fmt.Sprintf("%s.upstreams[%d].max_conns", key, j), s.MaxConns, 1, maxConnections, "as upstream_pool.max_conns")
			if l := c.Listen; sameAddress(l.Network, l.Address, s.URL.Network, s.URL.Address) {
				d.add(d.given(key+".upstream", key+".upstreams"), fmt.Sprintf("%s and listen %s are the same address; Holdfast would call itself", s.URL, l))
			}
			if h := c.Hooks.Listen; sameAddress(h.Network, h.Address, s.URL.Network, s.URL.Address) {
				d.add(d.given(key+".upstream", key+".upstreams"), fmt.Sprintf("%s and hooks.listen %s are the same address; clients would reach the API", s.URL, h))
			}
		}
		if len(own) > 0 && !slices.ContainsFunc(own, func(s Server) bool { return !s.Backup }) {
			d.add(key+".upstreams", "all are backups; want at least one that is not")
		}
		d.routeKind(c, r, own, key)
	}
	if all > maxUpstreams {
		d.add("routes", fmt.Sprintf("%d upstreams, those outside of routes included; want at most %d", all, maxUpstreams))
	}
}

// routeMatch checks match alone and against the routes before it.
func (d *decoder) routeMatch(c *Config, i int, key string) {
	m := c.Routes[i].Match
	if m == "" {
		d.add(key+".match", "missing; want a path such as /shop")
		return
	}
	if problem := pathProblem(m); problem != "" && m != "/" {
		d.add(key+".match", show(m)+" "+problem+"; want a path such as /shop")
		return
	}
	for j := range c.Routes[:i] {
		if e := c.Routes[j].Match; e == "/" || m == e || strings.HasPrefix(m, e+"/") {
			d.add(key+".match", fmt.Sprintf("%s is never reached, as %s at line %d matches all of it and the first match wins", show(m), show(e),
				d.position(fmt.Sprintf("routes[%d].match", j)).line))
			return
		}
	}
}

// routeKind checks that a route is one thing: an app, scripts, files or a redirect.
func (d *decoder) routeKind(c *Config, r *Route, own []Server, key string) {
	fast := len(own) > 0 && own[0].URL.FastCGI || len(own) == 0 && c.Servers()[0].URL.FastCGI
	for _, s := range own {
		if s.URL.FastCGI != fast {
			d.add(key+".upstreams", "some speak FastCGI and some HTTP; want one kind")
		}
	}
	kinds := 0
	for _, is := range []bool{len(own) > 0, r.Root != "", r.Redirect != ""} {
		if is {
			kinds++
		}
	}
	if kinds > 1 {
		d.add(key, "has more than one of upstream, root and redirect; want one")
		return
	}
	switch scripts := len(own) > 0 && fast; {
	case scripts && r.Site.Root == "":
		d.add(key+".site.root", "missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html")
	case !scripts && r.Site.Root != "":
		d.add(key+".site.root", "has no effect without a fastcgi upstream of the route")
	case scripts && !filepath.IsAbs(r.Site.Root):
		d.add(key+".site.root", show(r.Site.Root)+" is not an absolute path; want one such as /var/www/html")
	}
	if r.Root != "" && !filepath.IsAbs(r.Root) {
		d.add(key+".root", show(r.Root)+" is not an absolute path; want one such as /var/www/assets")
	}
	app := r.Root == "" && r.Redirect == "" && !fast
	if r.Prefix != "" && !app {
		d.add(key+".upstream_prefix", "has no effect here; it is for upstreams that speak HTTP")
	} else if problem := pathProblem(strings.TrimRight(r.Prefix, "/")); r.Prefix != "" && r.Prefix != "/" && problem != "" {
		d.add(key+".upstream_prefix", show(r.Prefix)+" "+problem+"; want a path such as / or /app")
	}
	if r.Host != "" && !app {
		d.add(key+".upstream_host", "has no effect here; it is for upstreams that speak HTTP")
	} else if r.Host != "" {
		host := r.Host
		if h, _, err := splitHostPort(host); err == nil {
			host = h
		}
		if err := checkHost(host); err != nil {
			d.add(key+".upstream_host", err.Error()+"; want a name with or without a port, such as shop.internal")
		}
	}
	if r.Headers && len(own) == 0 {
		d.add(key+".push_headers", "has no effect here; it is for a route with an upstream of its own")
	}
	if r.Redirect == "" {
		return
	}
	if u, err := url.Parse(r.Redirect); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || authorizeProblem("/"+r.Redirect) != "" {
		d.add(key+".redirect", show(r.Redirect)+" is not a plain http or https URL; want one such as https://www.example.com/shop")
	}
	if r.Internal {
		d.add(key+".internal", "has no effect with redirect")
	}
}
