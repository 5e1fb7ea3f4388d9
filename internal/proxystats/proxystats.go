// Package proxystats has the counts of the proxy, for metrics.
package proxystats

import (
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
