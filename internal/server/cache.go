package server

import (
	"context"
	"log/slog"
	"time"

	"holdfast/hooks"
	"holdfast/internal/cache"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/cache/rules"
	"holdfast/internal/config"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
)

// caching is what is answered from memory. Nil is nothing.
type caching struct {
	*fetch.Cache
	useless fetch.UselessRules
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

// newHeld makes what holds polls, if a rule does.
func (s *Server) newHeld() {
	if s.cache == nil || !s.cache.Rules.Holds() {
		return
	}
	s.cache.held = heldpoll.New(heldpoll.Options{
		Store: s.cache.Store, MaxBytes: int64(s.conf().CacheLimits.HeldSize), HalfClose: time.Duration(s.conf().Timeouts.HalfClose), Log: s.log,
	})
}

// polls returns what holds polls; nil: nothing does.
func (x *caching) polls() *heldpoll.Polls {
	if x == nil {
		return nil
	}
	return x.held
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
	x.useless.Look(x.Counts(), now, log)
}
