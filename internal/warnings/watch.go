package warnings

import (
	"fmt"

	"holdfast/internal/channel"
	"holdfast/internal/config"
)

// Watch returns what the watches of c are likely not meant to do, in a sentence each.
func Watch(c *config.Config) (list []string) {
	for i := range c.Watch {
		w, key := &c.Watch[i], fmt.Sprintf("watch[%d]", i)
		n := w.Rule(c)
		if n < 0 {
			continue // config refuses it
		}
		r := &c.Channels[n]
		warn := func(format string, args ...any) {
			list = append(list, fmt.Sprintf("%s: the rule %q of channels ", key, r.Match)+fmt.Sprintf(format, args...))
		}
		if r.Access == channel.Public && (w.As.Get("Cookie") != "" || w.As.Get("Authorization") != "") {
			warn("has \"access: public\": everybody sees what the login in %s.as sees", key)
		}
		switch {
		case r.History.Messages == 0:
			warn("keeps no history: subscribers other than the first receive nothing before the next change")
		case r.History.Age < 2*w.Every:
			warn("has history.age %v, less than twice %s.every: a subscriber in between receives nothing before the next change", r.History.Age, key)
		}
	}
	return list
}
