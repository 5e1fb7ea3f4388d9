package balance

import (
	"slices"

	"holdfast/internal/metric"
)

// Inherit has the servers that are added later continue with the state of those of an older set that are the same
// upstreams, in their order: their counts of requests, failures, addresses and idle connections.
func (s *Set) Inherit(old *Set) { s.heirs = slices.Clone(old.servers) }

// stateOf returns the state for a server that is added.
func (s *Set) stateOf(u *Upstream, fast bool) *state {
	for i, old := range s.heirs {
		if old != nil && old.Network == u.Network && old.Address == u.Address && old.TLS == u.TLS && (old.site != nil) == fast {
			s.heirs[i] = nil
			return old.state
		}
	}
	x := &state{pools: make([]*Pool, s.o.Loops)}
	for i := range x.pools {
		x.pools[i] = new(Pool)
		x.waits = append(x.waits, new(metric.Durations))
	}
	return x
}

// Begin makes a set that has inherited the one in use: what only the older one had set is undone.
func (s *Set) Begin() {
	s.heirs = nil
	for _, server := range s.servers {
		if s.o.CheckPath == "" {
			server.unhealthy.Store(false)
		}
		if s.o.MaxFails <= 0 {
			server.downTo.Store(0)
		}
	}
}
