package changes

import (
	"fmt"
	"slices"

	"holdfast/internal/channel"
	"holdfast/internal/config"
)

// Observed reports whether two configurations differ in which channels have presence or occupancy events.
func Observed(a, b *config.Config) bool { return !slices.Equal(observed(a, b), observed(b, a)) }

// observed returns what the rules of c say of presence and occupancy, of those that may decide about a channel for which
// any rule of c or other says something.
func observed(c, other *config.Config) (list []string) {
	says := func(r *config.Channel) bool {
		return r.Events || r.Presence != "" && r.Presence != channel.PresenceOff
	}
	all := slices.Concat(c.Channels, other.Channels)
	for i := range c.Channels {
		r := &c.Channels[i]
		if slices.ContainsFunc(all, func(o config.Channel) bool { return says(&o) && channel.Overlaps(o.Match, r.Match) }) {
			list = append(list, fmt.Sprint(r.Match, r.Events, r.Presence))
		}
	}
	return list
}
