// Package proxystats has the counts of the proxy, for metrics.
package proxystats

import (
	"sync/atomic"

	"holdfast/internal/balance"
	"holdfast/internal/metric"
)

// Stats are counts for metrics.
type Stats struct {
	Requests, Refused, UpstreamErrors, Retries, ClientGone, Cut, Tunnels, Dialled, InFlight, Buffered, RateLimited, Overloaded, Queued, Spills, SpillErrors, Spilled int64

	Upstreams []balance.Stats
	Denied    map[string]int64 // by reason
	Responses map[string]int64 // by status code
	Durations metric.Histogram // of requests, to the end of their response
}

// Counters are the counts that the proxy keeps itself. Any goroutine may use them.
type Counters struct {
	Requests, Refused, UpstreamErrors, Retries, ClientGone, Cut, Tunnels, Dialled, RateLimited, Overloaded atomic.Int64
}

// Load returns the counts.
func (c *Counters) Load() Stats {
	return Stats{
		Requests: c.Requests.Load(), Refused: c.Refused.Load(), UpstreamErrors: c.UpstreamErrors.Load(), Retries: c.Retries.Load(),
		ClientGone: c.ClientGone.Load(), Cut: c.Cut.Load(), Tunnels: c.Tunnels.Load(), Dialled: c.Dialled.Load(),
		RateLimited: c.RateLimited.Load(), Overloaded: c.Overloaded.Load(),
	}
}

// OverLimit counts a request that a limit refuses, by the status of its response.
func (c *Counters) OverLimit(status int) {
	switch status {
	case 429:
		c.RateLimited.Add(1)
	case 503:
		c.Overloaded.Add(1)
	}
}
