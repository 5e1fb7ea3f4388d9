// Package proxystats has the counts of the proxy, for metrics.
package proxystats

import (
	"maps"
	"slices"
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

// Write writes the metrics of forwarded requests.
func (x *Stats) Write(w *metric.Writer) {
	w.Int("holdfast_proxy_requests_total", x.Requests)
	w.Int("holdfast_proxy_requests_in_flight", x.InFlight)
	w.Ints("holdfast_responses_total", "code", x.Responses)
	w.Histogram("holdfast_request_duration_seconds", &x.Durations)
	w.Int("holdfast_proxy_refused_total", x.Refused)
	w.Ints("holdfast_access_denied_total", "reason", x.Denied)
	w.Int("holdfast_proxy_rate_limited_total", x.RateLimited)
	w.Int("holdfast_proxy_overloaded_total", x.Overloaded)
	w.Int("holdfast_proxy_upstream_errors_total", x.UpstreamErrors)
	w.Int("holdfast_proxy_retries_total", x.Retries)
	w.Int("holdfast_proxy_client_disconnects_total", x.ClientGone)
	w.Int("holdfast_proxy_responses_aborted_total", x.Cut)
	w.Int("holdfast_proxy_tunnels", x.Tunnels)
	w.Int("holdfast_proxy_queue_length", x.Queued)
	for _, u := range x.Upstreams {
		w.Int("holdfast_upstream_active", u.Active, "upstream", u.Name)
	}
	for _, u := range x.Upstreams {
		up := int64(1)
		if u.Down {
			up = 0
		}
		w.Int("holdfast_upstream_up", up, "upstream", u.Name)
	}
	for i := range x.Upstreams {
		w.Histogram("holdfast_upstream_first_byte_seconds", &x.Upstreams[i].FirstByte, "upstream", x.Upstreams[i].Name)
	}
	for _, u := range x.Upstreams {
		for _, kind := range slices.Sorted(maps.Keys(u.Notices)) {
			w.Int("holdfast_upstream_notices_total", u.Notices[kind], "upstream", u.Name, "kind", kind)
		}
	}
	w.Int("holdfast_proxy_buffered_bytes", x.Buffered)
	w.Int("holdfast_proxy_file_bytes", x.Spilled)
	w.Int("holdfast_proxy_files_total", x.Spills)
	w.Int("holdfast_proxy_file_errors_total", x.SpillErrors)
	w.Int("holdfast_proxy_upstream_connects_total", x.Dialled)
}
