package warnings

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/cache/rules"
	"holdfast/internal/channel"
	"holdfast/internal/config"
)

// Cache returns what the rules of polls and cache of c are likely not meant to do, in a sentence each.
func Cache(c *config.Config) (list []string) {
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
