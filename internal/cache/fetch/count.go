package fetch

import (
	"sync/atomic"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
)

// Result is what became of a request that a rule is about, in the words of nginx's $upstream_cache_status.
type Result uint8

// The results.
const (
	NoRule      Result = iota // no rule is about the request
	Hit                       // answered from memory, or with what another request has fetched
	Miss                      // the app was asked, as nothing was stored
	Expired                   // the app was asked, as what was stored is stale
	Stale                     // answered with what is stale, as the app has failed
	Updating                  // answered with what is stale, while another request fetches
	Revalidated               // the app was asked, and what is stored is still good
	Bypass                    // the request is one that is never answered from memory
	results
)

var resultTexts = [results]string{"", "HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS"}

// String returns the word; empty for NoRule.
func (r Result) String() string { return resultTexts[r] }

// Result returns what became of the request.
func (a *Answer) Result() Result {
	switch {
	case a.result != NoRule:
		return a.result
	case a.validated:
		return Revalidated
	case a.Status() >= 500: // for all who have waited
		return Miss
	}
	return Hit
}

// Result returns what became of the request, if the app's response goes to the client.
func (f *Fetch) Result() Result {
	switch f.fwd {
	case cache.FwdURIMiss, cache.FwdVary:
		return Miss
	case cache.FwdStale:
		return Expired
	}
	return Bypass
}

// Count counts a request that is over.
func (c *Cache) Count(r Result) {
	if c != nil && r != NoRule {
		c.results[r].Add(1)
	}
}

// Results returns how many requests had each result, by its word.
func (c *Cache) Results() map[string]int64 {
	m := map[string]int64{}
	for r := Hit; r < results; r++ {
		m[r.String()] = c.results[r].Load()
	}
	return m
}

// RuleCounts is what became of the requests of a rule for which nothing was stored.
type RuleCounts struct {
	Rule    *rules.Rule
	Kept    int64   // responses
	Refused []int64 // responses that are not kept, by cache.Reason
	Passed  []int64 // requests that went to the app without others waiting for the response, by cache.Reason
}

type ruleCounts struct {
	kept            atomic.Int64
	refused, passed []atomic.Int64
}

// of returns the counts of a rule.
func (c *Cache) of(r *rules.Rule) *ruleCounts {
	c.once.Do(func() {
		c.counts = map[*rules.Rule]*ruleCounts{}
		n := len(cache.Reasons())
		for _, r := range c.Rules.All() {
			c.counts[r] = &ruleCounts{refused: make([]atomic.Int64, n), passed: make([]atomic.Int64, n)}
		}
	})
	return c.counts[r]
}

// Counts returns the counts of all rules, in their order.
func (c *Cache) Counts() (list []RuleCounts) {
	for _, r := range c.Rules.All() {
		x := c.of(r)
		list = append(list, RuleCounts{Rule: r, Kept: x.kept.Load(), Refused: load(x.refused), Passed: load(x.passed)})
	}
	return list
}

func load(list []atomic.Int64) []int64 {
	n := make([]int64, len(list))
	for i := range list {
		n[i] = list[i].Load()
	}
	return n
}
