package server

import (
	"encoding/json"
	"sync"

	"holdfast/internal/config"
	"holdfast/internal/inject"
	"holdfast/upgrade/client"
)

// injection is the rules of inject, and what became of pages that have not got the tag.
type injection struct {
	s      *Server
	mu     sync.Mutex
	logged map[string]bool // rules with reasons
	counts map[inject.Reason]int64
}

func newInjection(s *Server) *injection {
	return &injection{s: s, logged: map[string]bool{}, counts: map[inject.Reason]int64{}}
}

// begin has the counts begin.
func (x *injection) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, why := range []inject.Reason{inject.Charset, inject.Encoding, inject.Download, inject.Range, inject.NoTransform, inject.Policy, inject.Fragment, inject.NoHead} {
		x.counts[why] += 0
	}
}

// newInjection returns what makes the rules for the pages of a level.
func (s *Server) newInjection() func([]config.Inject) *inject.Rules {
	return func(list []config.Inject) *inject.Rules {
		s.injection.begin()
		rules := &inject.Rules{Noted: s.injection.noted}
		for i := range list {
			r := &list[i]
			polls, err := json.Marshal(r.ShimPolls())
			if err != nil {
				panic(err) // it is a map of lists of strings
			}
			rules.Add(r.Match, inject.NewRule(s.conf().Push.Path+client.ShimPath, inject.Attr{Name: "data-polls", Value: string(polls)}))
		}
		return rules
	}
}

// noted counts a page without the tag, and logs each reason once for a rule.
func (x *injection) noted(match string, why inject.Reason) {
	x.mu.Lock()
	x.counts[why]++
	first := !x.logged[match+"\x00"+string(why)]
	x.logged[match+"\x00"+string(why)] = true
	x.mu.Unlock()
	if !first {
		return
	}
	switch why {
	case inject.Method, inject.Script, inject.Download, inject.Range, inject.Fragment:
		return // no page that a browser shows
	case inject.Policy:
		x.s.log.Warn("page not given the shim: its policy forbids the script", "inject", match, "policy", "Content-Security-Policy needs 'self' or a nonce, Integrity-Policy must not have script")
	default:
		x.s.log.Warn("page not given the shim", "inject", match, "reason", string(why))
	}
}

// skipped returns the counts of pages without the tag, by reason.
func (x *injection) skipped() map[string]int64 {
	counts := map[string]int64{}
	if x == nil {
		return counts
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for why, n := range x.counts {
		counts[string(why)] = n
	}
	return counts
}
