package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/hooks"
	"holdfast/internal/cache"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/cache/rules"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
)

// caching is what is answered from memory. Nil is nothing.
type caching struct {
	*fetch.Cache
	useless uselessRules
	behind  chan struct{} // holds one: Store.Sweep has something to do at once
	held    *heldpoll.Polls
}

// newCache returns nil if the configuration has no rule of polls or cache.
func newCache(c *config.Config) (*caching, error) {
	list := c.CacheRules()
	if len(list) == 0 {
		return nil, nil
	}
	h := cache.NewHasher()
	set, err := rules.New(list, c.Push.Logout.Cookies, h)
	if err != nil {
		return nil, err // config has checked them
	}
	x := &caching{behind: make(chan struct{}, 1)}
	x.Cache = &fetch.Cache{
		Rules: set, Pending: int64(c.CacheLimits.Size) / 4, Wait: time.Duration(c.CacheLimits.Wait),
		EndsSession: http1.NewPathSet(c.Push.Logout.Paths), Excludes: http1.NewPathSet(ownPaths(&c.Push)),
		Store: cache.NewStore(cache.Options{
			Bytes: int64(c.CacheLimits.Size), SessionBytes: int64(c.CacheLimits.SessionSize),
			FlightAge: time.Duration(c.CacheLimits.Wait), Behind: x.isBehind,
		}, h),
	}
	return x, nil
}

// newHeld makes what holds polls, and returns it; nil if no rule does.
func (s *Server) newHeld() *heldpoll.Polls {
	if s.cache == nil || !s.cache.Rules.Holds() {
		return nil
	}
	s.cache.held = heldpoll.New(heldpoll.Options{
		Store: s.cache.Store, MaxBytes: int64(s.config.CacheLimits.HeldSize), HalfClose: time.Duration(s.config.Timeouts.HalfClose), Log: s.log,
	})
	return s.cache.held
}

// isBehind has serve drop what is left. Any goroutine may call it.
func (x *caching) isBehind() {
	select {
	case x.behind <- struct{}{}:
	default:
	}
}

// serve drops what large invalidations leave, at once, as requests may be held until it is.
func (x *caching) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.behind:
			for x.Store.Sweep(0, time.Now()) >= cache.MaxSwept {
			}
		}
	}
}

// source returns what the proxy asks; nil: nothing.
func (x *caching) source() *fetch.Cache {
	if x == nil {
		return nil
	}
	return x.Cache
}

// changes returns what the API drops responses of; nil: nothing is stored.
func (x *caching) changes() hooks.Cache {
	if x == nil {
		return nil
	}
	return byQuestion{x.Store, x.Rules}
}

// byQuestion drops what is stored of a URL also where it was stored for another one that is the same question for its rule.
type byQuestion struct {
	*cache.Store
	rules *rules.Set
}

// InvalidateURL drops the responses of a URL.
func (x byQuestion) InvalidateURL(origin, target string) (dropped int) {
	dropped = x.Store.InvalidateURL(origin, target)
	for _, other := range x.rules.Asked(target) {
		dropped += x.Store.InvalidateURL(origin, other)
	}
	return dropped
}

// onPublish returns what ends the stored responses of a channel, which a rule or the response itself has named; nil if nothing
// is stored.
func (x *caching) onPublish() func(channel string) {
	if x == nil {
		return nil
	}
	return func(channel string) { x.Store.InvalidateChannel(channel) }
}

// onDisconnect returns what ends the stored responses of the sessions whose connections the app has closed; nil if nothing
// is stored.
func (x *caching) onDisconnect() func(credentials []uint64) {
	if x == nil {
		return nil
	}
	return func(credentials []uint64) {
		for _, c := range credentials {
			x.Store.InvalidateSession(x.Rules.SessionTag(c), nil)
		}
	}
}

// sweep drops what is of no more use in the store, and logs which rules are of none.
func (x *caching) sweep(now time.Time, log *slog.Logger) {
	if x == nil {
		return
	}
	const slice = 2048 // entries that one call looks at
	for left := x.Store.Stats().Entries; left > 0; {
		if x.Store.Sweep(slice, now) < cache.MaxSwept {
			left -= slice
		}
	}
	x.useless.look(x.Counts(), now, log)
}

// CacheWarnings returns what the rules of polls and cache of c are likely not meant to do, in a sentence each.
func CacheWarnings(c *config.Config) (list []string) {
	all := c.CacheRules()
	for i := range all {
		r := &all[i]
		warn := func(format string, args ...any) { list = append(list, r.Name+": "+fmt.Sprintf(format, args...)) }
		named := len(c.Push.Logout.Cookies) > 0
		switch {
		case r.Shared && (named || c.Push.Authorize != ""):
			warn("\"shared: true\" gives everybody the same response, whoever is logged in: it must not depend on the user")
		case !r.Shared && !named:
			warn("requests with any cookie go to the app, as push.logout.cookies names none: name the session cookie there, or set \"shared: true\" if the response is everybody's")
		case !r.Shared && len(r.Parts) > 0 && !slices.Contains(r.Parts, "session"):
			warn("requests of a session go to the app, as key has no session: add it, or set \"shared: true\" if the response is everybody's")
		}
		if levels := c.Levels(); len(levels) == 1 {
			switch route := levels[0].RouteOf(r.Match); {
			case route == nil:
			case route.Internal:
				warn("%s is of the internal route %s, which clients can't reach", r.Match, route.Label())
			case route.Redirect != "":
				warn("%s is of the route %s, which redirects: nothing is stored", r.Match, route.Label())
			case route.Files():
				warn("%s is of the route %s, whose files Holdfast serves itself: nothing is gained", r.Match, route.Label())
			}
		}
		if stars, ok := starsOf(r.Channel); ok && !slices.ContainsFunc(c.Channels, func(o config.Channel) bool {
			return channel.ValidRule(o.Match) == nil && channel.Overlaps(o.Match, stars)
		}) {
			warn("channel %q matches no rule of channels, so nothing can be published on it", r.Channel)
		}
	}
	return append(list, watchedFromMemory(c, all)...)
}

// watchedFromMemory returns a warning for each watched URL that is requested through Holdfast's own listener, as those of
// FastCGI are, and that a rule has answered from memory.
func watchedFromMemory(c *config.Config, all []rules.Options) (list []string) {
	for i := range c.Watch {
		path, _, _ := strings.Cut(c.Watch[i].URL, "?")
		site := c.Levels()[0]
		fast := site.FastCGI()
		if route := site.RouteOf(path); route != nil {
			fast = route.FastCGI()
		}
		for j := range all {
			match := strings.TrimRight(all[j].Match, "/")
			if fast && (path == match || strings.HasPrefix(path, match+"/")) {
				list = append(list, fmt.Sprintf("%s: watch[%d] requests %s too and gets what is stored: changes are seen later by up to fresh", all[j].Name, i, path))
				break
			}
		}
	}
	return list
}

// starsOf returns a channel's template as a pattern, in which * stands for each segment with braces. ok is false without one.
func starsOf(template string) (stars string, ok bool) {
	var b bytes.Buffer
	depth := false
	for _, c := range template { // dots in braces are no separators
		switch {
		case c == '{':
			depth = true
		case c == '}':
			depth = false
		}
		if depth && c == '.' {
			c = '{'
		}
		b.WriteRune(c)
	}
	segments := strings.Split(b.String(), ".")
	for i := range segments {
		if strings.Contains(segments[i], "{") {
			segments[i] = "*"
		}
	}
	stars = strings.Join(segments, ".")
	return stars, template != "" && channel.ValidRule(stars) == nil
}
