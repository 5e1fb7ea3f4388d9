package server

import (
	"log/slog"
	"strings"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/metric"
	"holdfast/internal/throttle"
)

// write writes the counts of polls and cache, if there are any rules.
func (x *caching) write(w *metric.Writer) {
	if x == nil {
		return
	}
	st := x.Store.Stats()
	w.Ints("holdfast_cache_requests_total", "result", x.Results())
	w.Int("holdfast_cache_waits_total", st.Waits)
	w.Int("holdfast_cache_fetches_total", st.Fetches)
	w.Int("holdfast_cache_fetches_in_flight", int64(st.Flights))
	w.Int("holdfast_cache_stored_total", st.Stored)
	passed := make([]int64, len(cache.Reasons()))
	for _, r := range x.Counts() {
		for i, n := range r.Passed {
			passed[i] += n
		}
	}
	w.Ints("holdfast_cache_passed_total", "reason", byReason(passed, cache.OtherMethod, cache.WaitedLong))
	w.Ints("holdfast_cache_not_stored_total", "reason", byReason(st.Refused[:], cache.OtherStatus, cache.NoRoom))
	w.Ints("holdfast_cache_dropped_total", "reason", byReason(st.Dropped[:], cache.Full, cache.SessionChanged))
	w.Int("holdfast_cache_invalidations_total", st.Invalidations)
	w.Int("holdfast_cache_entries", int64(st.Entries))
	w.Int("holdfast_cache_bytes", st.Bytes)
	if x.held != nil {
		held := x.held.Stats()
		w.Int("holdfast_cache_polls_held", held.Held)
		w.Int("holdfast_cache_polls_held_bytes", held.Bytes)
		w.Ints("holdfast_cache_polls_ended_total", "reason", held.Ended)
		w.Int("holdfast_cache_polls_not_held_total", held.Refused)
	}
}

// byReason returns counts by the texts of their reasons: those from one reason to another, and others that are not 0.
func byReason(counts []int64, from, to cache.Reason) map[string]int64 {
	m := map[string]int64{}
	for i, n := range counts {
		if r := cache.Reason(i); r != cache.None && (n > 0 || from <= r && r <= to) {
			m[r.String()] = n
		}
	}
	return m
}

// uselessRules logs rules whose requests all go to the app.
type uselessRules struct {
	last      []fetch.RuleCounts
	throttles []throttle.Throttle
}

// leastUseless is how many requests of a rule, with nothing stored, are no accident.
const leastUseless = 5

// look compares the counts with those of the last call. A line names the most frequent reason, and the keys to look at.
func (u *uselessRules) look(counts []fetch.RuleCounts, now time.Time, log *slog.Logger) {
	if u.last == nil {
		u.last, u.throttles = make([]fetch.RuleCounts, len(counts)), make([]throttle.Throttle, len(counts))
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
		if total < leastUseless { // they are counted with the next ones
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
