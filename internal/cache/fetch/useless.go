package fetch

import (
	"log/slog"
	"strings"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/throttle"
)

// UselessRules logs rules whose requests all go to the app.
type UselessRules struct {
	last      []RuleCounts
	throttles []throttle.Throttle
}

// LeastUseless is how many requests of a rule, with nothing stored, are no accident.
const LeastUseless = 5

// Look compares the counts with those of the last call. A line names the most frequent reason, and the keys to look at.
func (u *UselessRules) Look(counts []RuleCounts, now time.Time, log *slog.Logger) {
	if u.last == nil {
		u.last, u.throttles = make([]RuleCounts, len(counts)), make([]throttle.Throttle, len(counts))
		for i := range u.throttles {
			u.throttles[i].Every = time.Hour
		}
	}
	for i := range counts {
		c, last := &counts[i], &u.last[i]
		if c.Kept > last.Kept {
			*last = *c
			continue
		}
		total, most, why := int64(0), int64(0), cache.None
		for r := range c.Refused {
			n := c.Refused[r] + c.Passed[r]
			if len(last.Refused) > 0 {
				n -= last.Refused[r] + last.Passed[r]
			}
			switch cache.Reason(r) {
			case cache.OtherMethod, cache.PassDue:
				continue
			case cache.OtherForm: // other forms have the same URL; but if nothing was ever stored, the field may be a wrong one
				if c.Kept > 0 {
					continue
				}
			}
			if total += n; n > most {
				most, why = n, cache.Reason(r)
			}
		}
		if total < LeastUseless { // they are counted with the next ones
			continue
		}
		*last = *c
		if _, due := u.throttles[i].DueOf(total, now); due {
			log.Warn("rule of polls or cache stores nothing: its requests go to the app", "rule", c.Rule.Name, "match", c.Rule.Match,
				"requests", total, "reason", why.String(), "see", remedyOf(why, c.Rule.Name))
		}
	}
}

// remedyOf returns what an operator can do so that responses are stored.
func remedyOf(why cache.Reason, rule string) string {
	switch why {
	case cache.SetsCookie:
		return "drop_cookies"
	case cache.NoStore, cache.Private, cache.NotFresh, cache.Malformed:
		return "ignore_app, fresh"
	case cache.HasSession, cache.Authorized:
		return "session in key, or shared"
	case cache.HasBody:
		return "body in key"
	case cache.OtherForm:
		return "form"
	case cache.TooLarge:
		return "max_size"
	case cache.OtherStatus:
		if strings.HasPrefix(rule, "cache") {
			return "statuses"
		}
	case cache.NoRoom, cache.SessionFull, cache.Full:
		return "cache_limits"
	case cache.WaitedLong:
		return "cache_limits.wait"
	}
	return "docs/how-to/absorb-polls.md"
}
