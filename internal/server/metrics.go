package server

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/VictoriaMetrics/metrics"
)

// writeMetrics writes every room's counts in Prometheus text format.
func (s *Server) writeMetrics(out io.Writer) {
	w := &describer{w: out}
	gauge := func(name string, v int64) { fmt.Fprintf(w, "%s %d\n", name, v) }
	p := s.poller.Stats()
	gauge("holdfast_connections", p.Clients)
	gauge("holdfast_connections_accepted_total", p.Accepted)
	gauge("holdfast_connections_refused_total", p.Refused)
	gauge("holdfast_connections_over_address_limit_total", p.AddressLimited)
	gauge("holdfast_accept_errors_total", p.AcceptErrors)
	gauge("holdfast_panics_total", p.Panics)
	gauge("holdfast_workers", p.Workers)
	gauge("holdfast_workers_queued", p.Queued)
	x := s.proxy.Stats()
	gauge("holdfast_proxy_requests_total", x.Requests)
	gauge("holdfast_proxy_requests_in_flight", x.InFlight)
	gauge("holdfast_proxy_refused_total", x.Refused)
	gauge("holdfast_proxy_rate_limited_total", x.RateLimited)
	gauge("holdfast_proxy_overloaded_total", x.Overloaded)
	gauge("holdfast_proxy_upstream_errors_total", x.UpstreamErrors)
	gauge("holdfast_proxy_retries_total", x.Retries)
	gauge("holdfast_proxy_client_gone_total", x.ClientGone)
	gauge("holdfast_proxy_cut_total", x.Cut)
	gauge("holdfast_proxy_tunnels", x.Tunnels)
	gauge("holdfast_proxy_queued", x.Queued)
	for _, u := range x.Upstreams {
		fmt.Fprintf(w, "holdfast_upstream_active{upstream=%q} %d\n", u.Name, u.Active)
	}
	for _, u := range x.Upstreams {
		up := 1
		if u.Down {
			up = 0
		}
		fmt.Fprintf(w, "holdfast_upstream_up{upstream=%q} %d\n", u.Name, up)
	}
	for _, u := range x.Upstreams {
		for _, kind := range slices.Sorted(maps.Keys(u.Notices)) {
			fmt.Fprintf(w, "holdfast_upstream_notices_total{upstream=%q,kind=%q} %d\n", u.Name, kind, u.Notices[kind])
		}
	}
	gauge("holdfast_proxy_buffered_bytes", x.Buffered)
	gauge("holdfast_proxy_file_bytes", x.Spilled)
	gauge("holdfast_proxy_files_total", x.Spills)
	gauge("holdfast_proxy_file_errors_total", x.SpillErrors)
	gauge("holdfast_proxy_upstream_connects_total", x.Dialled)
	gauge("holdfast_access_log_dropped_total", s.accessLog.Dropped())
	h := s.hub.Stats()
	gauge("holdfast_channels", int64(h.Channels))
	gauge("holdfast_subscribers", int64(h.Subscribers))
	gauge("holdfast_messages_published_total", int64(h.Published))
	gauge("holdfast_messages_delivered_total", int64(h.Delivered))
	gauge("holdfast_history_messages", int64(h.HistoryMessages))
	gauge("holdfast_history_bytes", h.HistoryBytes)
	gauge("holdfast_history_evicted_total", int64(h.Evicted))
	gauge("holdfast_publish_refused_total", int64(h.Refused))
	gauge("holdfast_publish_backlog_bytes", int64(h.Backlog))
	if s.file != nil {
		gauge("holdfast_history_file_bytes", s.file.Size())
		gauge("holdfast_history_file_writes_total", int64(h.Saves))
		gauge("holdfast_history_file_errors_total", int64(h.SaveErrors))
		gauge("holdfast_history_file_waiting_bytes", h.Unsaved)
	}
	s.writeHeld(w)
	s.writeEvents(w)
	metrics.WriteProcessMetrics(out)
}

// writeHeld writes what is held by kind and what was dropped by reason.
func (s *Server) writeHeld(w io.Writer) {
	k := s.keeper.Stats()
	for _, kind := range slices.Sorted(maps.Keys(k.Held)) {
		fmt.Fprintf(w, "holdfast_held{kind=%q} %d\n", kind, k.Held[kind])
	}
	for _, reason := range slices.Sorted(maps.Keys(k.Dropped)) {
		fmt.Fprintf(w, "holdfast_held_dropped_total{reason=%q} %d\n", reason, k.Dropped[reason])
	}
	for _, policy := range slices.Sorted(maps.Keys(k.Skipped)) {
		fmt.Fprintf(w, "holdfast_messages_skipped_total{slow=%q} %d\n", policy, k.Skipped[policy])
	}
	fmt.Fprintf(w, "holdfast_hold_refused_total %d\n", k.Refused)
	fmt.Fprintf(w, "holdfast_hold_refused_user_limit_total %d\n", k.Crowded)
	fmt.Fprintf(w, "holdfast_tokens_refused_total %d\n", k.TokensRefused)
	fmt.Fprintf(w, "holdfast_authorize_errors_total %d\n", k.AuthorizeErrors)
	fmt.Fprintf(w, "holdfast_authorize_queued %d\n", k.AuthorizeQueued)
	fmt.Fprintf(w, "holdfast_authorize_queue_full_total %d\n", k.AuthorizeQueueFull)
	fmt.Fprintf(w, "holdfast_authorize_cache_hits_total %d\n", k.CacheHits)
	fmt.Fprintf(w, "holdfast_authorize_cache_misses_total %d\n", k.CacheMisses)
	fmt.Fprintf(w, "holdfast_authorize_cache_evicted_total %d\n", k.CacheEvicted)
	fmt.Fprintf(w, "holdfast_client_messages_total %d\n", k.ClientMessages)
	fmt.Fprintf(w, "holdfast_client_messages_refused_total %d\n", k.ClientFaults)
	fmt.Fprintf(w, "holdfast_client_messages_posted_total %d\n", k.Posted)
	fmt.Fprintf(w, "holdfast_client_messages_failed_total %d\n", k.PostErrors)
	fmt.Fprintf(w, "holdfast_client_messages_waiting %d\n", k.PostsWaiting)
	fmt.Fprintf(w, "holdfast_outbox_bytes %d\n", k.Outbox)
	fmt.Fprintf(w, "holdfast_receive_bytes %d\n", k.Inbound)
	fmt.Fprintf(w, "holdfast_receive_throttled_total %d\n", k.Throttled)
}
