package server

import (
	"fmt"
	"time"

	"holdfast/internal/answering"
	"holdfast/internal/config"
	"holdfast/internal/deny"
	"holdfast/internal/inject"
	"holdfast/internal/route"
	"holdfast/internal/site"
	"holdfast/proxy"
)

// routing makes what the configuration says of sites and routes. What several levels have from the same place is made once.
type routing struct {
	c       *config.Config
	answers *answering.Maker
	cache   *caching                                 // nil: nothing is stored
	rules   func(list []config.Inject) *inject.Rules // makes those of inject
	secure  *secureUpstreams                         // nil: no upstream has TLS
	gates   map[string]*route.Gate                   // by the level that has the limits, and these
	before  map[string]*route.Gate                   // those of the configuration before
	injects map[string]*inject.Rules                 // by the key that has them
}

func newRouting(c *config.Config, cache *caching, rules func([]config.Inject) *inject.Rules, answers *answering.Maker) *routing {
	return &routing{answers: answers, c: c, cache: cache, rules: rules, gates: map[string]*route.Gate{}, injects: map[string]*inject.Rules{}}
}

// sites returns the sites, and the app of those that have no other.
func (x *routing) sites() (app proxy.Route, list []route.SiteOptions, err error) {
	c := x.c
	if c.FastCGI() && c.Root != "" {
		if app.Site, err = newFolder(&c.Block, nil); err != nil {
			return app, nil, err
		}
	}
	app.Upstreams = x.secure.list(&c.Block, c.Servers())
	levels := c.Levels()
	for i := range levels {
		s := &levels[i]
		o := route.SiteOptions{Name: s.Name(), Hosts: s.Hosts, Default: s.Default, Push: s.Push}
		if o.Main, err = x.route(&s.Block, nil, s.Key(), ""); err != nil {
			return app, nil, err
		}
		o.Main.Match = "/"
		for j := range s.Routes {
			r := &s.Routes[j]
			made, err := x.route(&r.Block, r, r.Key(), s.Key(), "")
			if err != nil {
				return app, nil, fmt.Errorf("routes, %s: %w", r.Label(), err)
			}
			o.Routes = append(o.Routes, made)
		}
		list = append(list, o)
	}
	return app, list, nil
}

// route returns what a level says of its requests; r is nil for a site. at are as those of config.Config.Source.
func (x *routing) route(b *config.Block, r *config.Route, at ...string) (o proxy.Route, err error) {
	o = proxy.Route{Name: at[0], Upstreams: x.secure.list(b, b.OwnServers(x.c.UpstreamPool)), Host: b.Host, Publishes: b.Headers, Redirect: b.Redirect, Moved: b.Moved}
	var groups []string
	if r != nil {
		o.Match, o.Exact, o.Pattern, o.Internal, o.Prefix = r.Match, r.Exact, r.Pattern, r.Internal, r.Prefix
		o.Below, o.Rewrite, o.Whole, groups = r.Cuts(), r.Rewrite, !r.Own() && r.Prefix == "", r.Groups()
	}
	if o.Settings, err = x.settings(b, at...); err != nil || b.Redirect != "" {
		return o, err
	}
	switch {
	case b.Files():
		o.Files, err = newFiles(b, o.Internal && b.Own(), groups)
	case b.FastCGI() && b.Root != "":
		o.Site, err = newFolder(b, groups)
	}
	return o, err
}

// settings returns the settings of a level.
func (x *routing) settings(b *config.Block, at ...string) (s *route.Settings, err error) {
	s = &route.Settings{
		BodyTime: time.Duration(b.Timeouts.Body), SendTime: time.Duration(b.Timeouts.Send),
		ConnectTime: time.Duration(b.Timeouts.Connect), UpstreamTime: time.Duration(b.Timeouts.Upstream),
		HalfClose: time.Duration(b.Timeouts.HalfClose), TunnelTime: time.Duration(b.Timeouts.Tunnel),
		BodyBytes: int64(b.Limits.Body), BodyRate: int(b.Limits.BodyRate), SendRate: int(b.Limits.SendRate),
		Gate:          x.gate(b, at...),
		RequestBuffer: int(b.Buffers.Request), ResponseBuffer: int(b.Buffers.Response), StreamUploads: b.Buffers.Stream,
		Inject: x.inject(b, at...),
	}
	if x.cache != nil {
		s.Rules = x.cache.Rules.Scope(x.c.RuleNames(b, at...)...)
	}
	if s.Compress, err = compression(&b.Compress); err != nil {
		return s, err
	}
	if s.Deny, err = deny.New(b.Deny); err != nil {
		return s, err
	}
	return s, x.answers.Set(s, b)
}

// gate returns the limits of a level's requests. Levels that have them from one place share them.
func (x *routing) gate(b *config.Block, at ...string) *route.Gate {
	owner := ""
	for _, level := range at {
		if x.c.Says(level, "limits.max_requests_in_flight", "limits.requests_per_second", "limits.burst") {
			owner = level
			break
		}
	}
	l := &b.Limits
	key := fmt.Sprint(owner, " ", l.Requests, l.Rate, l.Burst)
	g, ok := x.gates[key]
	if !ok {
		if g, ok = x.before[key]; !ok {
			g = route.NewGate(l.Requests, l.Rate, l.Burst)
		}
		x.gates[key] = g
	}
	return g
}

// inject returns the rules for pages of a level; nil: there are none.
func (x *routing) inject(b *config.Block, at ...string) *inject.Rules {
	if len(b.Inject) == 0 || x.rules == nil {
		return nil
	}
	key := x.c.Source("inject", at...)
	rules, ok := x.injects[key]
	if !ok {
		rules = x.rules(b.Inject)
		x.injects[key] = rules
	}
	return rules
}

// newFolder returns the folder of a FastCGI upstream.
func newFolder(b *config.Block, groups []string) (*site.Site, error) {
	age, err := b.MaxAge()
	if err != nil {
		return nil, err
	}
	return site.New(site.Options{
		Root: b.Root, ScriptRoot: b.ScriptRoot, Index: b.Index, NoScripts: b.NoScripts,
		TryFiles: b.TryFiles, Groups: groups, Follow: b.FollowLinks,
		Hide: b.HideFiles, Serve: b.ServeFiles, Types: b.Types, MaxAge: age,
	})
}

// newFiles returns a folder of files only. Those that are plain may be programs.
func newFiles(b *config.Block, plain bool, groups []string) (*site.Site, error) {
	age, err := b.MaxAge()
	if err != nil {
		return nil, err
	}
	return site.New(site.Options{
		Root: b.Root, Index: b.Index, NoScripts: []string{"/"}, Plain: plain,
		TryFiles: b.TryFiles, Groups: groups, Follow: b.FollowLinks,
		Hide: b.HideFiles, Serve: b.ServeFiles, Types: b.Types, MaxAge: age,
	})
}
