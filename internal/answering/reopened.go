package answering

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/config"
)

// Reopened returns what is denied at a level and, as a list replaces a list, open at one below it. An empty list there says that
// this is meant.
func Reopened(c *config.Config) (list []string) {
	add := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	below := func(key string, b, above *config.Block, applies func(pattern string) bool) {
		for _, p := range above.Deny {
			if len(b.Deny) > 0 && !slices.Contains(b.Deny, p) && applies(p) {
				add("%s.deny: it replaces that of the level above, which has %s: add it, unless such paths may be had here", key, p)
			}
		}
		for _, a := range above.Answers.Deny {
			if len(b.Answers.Deny) > 0 && !slices.Contains(b.Answers.Deny, a) {
				add("%s.deny_addresses: it replaces that of the level above, which has %s: add it, unless it may have what is here", key, a)
			}
		}
	}
	levels := c.Levels()
	for i := range levels {
		s := &levels[i]
		below(s.Key(), &s.Block, &c.Block, func(string) bool { return true })
		for j := range s.Routes {
			r := &s.Routes[j]
			below(r.Key(), &r.Block, &s.Block, func(p string) bool { return mayMeet(r, p) })
		}
		for j := range c.Routes {
			if r := &c.Routes[j]; len(c.Sites) > 0 && !s.Own() && isClosed(c, r) && !slices.ContainsFunc(s.Routes, func(o config.Route) bool { return o.Label() == r.Label() }) {
				add("%s.routes: they replace those of the top, of which %s is not for all clients: add it, unless it may be had here", s.Key(), r.Label())
			}
		}
	}
	return list
}

// isClosed reports whether a route says that it is not for all clients.
func isClosed(c *config.Config, r *config.Route) bool {
	return r.Internal || c.Says(r.Key(), "allow", "deny_addresses", "basic_auth") && (len(r.Allow)+len(r.Answers.Deny) > 0 || r.Users() != "")
}

// mayMeet reports whether a pattern of deny may be of paths that a route has.
func mayMeet(r *config.Route, pattern string) bool {
	if !strings.HasPrefix(pattern, "/") || r.Pattern != "" {
		return true
	}
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		pattern = pattern[:i]
	}
	at := r.Label()
	return strings.HasPrefix(pattern, at) || strings.HasPrefix(at, pattern)
}
