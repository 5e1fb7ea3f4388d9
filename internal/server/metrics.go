package server

import (
	"holdfast/internal/metric"
	"holdfast/internal/page"
)

// writeMetrics writes the metrics of all packages, which the API adds those of the process to. Metrics of features that are
// off are absent.
func (s *Server) writeMetrics(w *metric.Writer) {
	p := s.poller.Stats()
	w.Int("holdfast_connections", p.Clients)
	w.Int("holdfast_connections_accepted_total", p.Accepted)
	w.Int("holdfast_connections_refused_total", p.Refused)
	w.Int("holdfast_connections_over_address_limit_total", p.AddressLimited)
	w.Int("holdfast_accept_errors_total", p.AcceptErrors)
	w.Int("holdfast_panics_total", p.Panics)
	w.Int("holdfast_workers", p.Workers)
	w.Int("holdfast_workers_queued", p.Queued)
	x := s.proxy.Stats()
	x.Write(w)
	w.Int("holdfast_access_log_dropped_total", s.accessLog.Dropped())
	s.writeHub(w)
	writeHeld(s, w)
	writeEvents(s, w)
	writeCompression(w, s.conf(), s.proxy.Compression())
	writeInject(s, w)
	writeWatch(s, w)
	s.cache.write(w)
	writePushed(w, s.pushed)
	s.writeTLS(w)
	s.reloads.write(w, s.conf().Digest())
	s.succession.Write(w)
}

// timings returns what the page for people shows of how long things take.
func (s *Server) timings() page.Timings {
	x := s.proxy.Stats()
	t := page.Timings{Requests: x.Durations, Delivery: s.hub.Stats().Delays, Upstreams: map[string]metric.Histogram{}}
	for i := range x.Upstreams {
		h := t.Upstreams[x.Upstreams[i].Name] // several sites may have it
		h.Add(&x.Upstreams[i].FirstByte)
		t.Upstreams[x.Upstreams[i].Name] = h
	}
	return t
}

// writeHub writes the counts of channels, messages and history.
func (s *Server) writeHub(w *metric.Writer) {
	h := s.hub.Stats()
	w.Int("holdfast_channels", int64(h.Channels))
	w.Int("holdfast_subscribers", int64(h.Subscribers))
	w.Int("holdfast_messages_published_total", int64(h.Published))
	w.Int("holdfast_messages_delivered_total", int64(h.Delivered))
	w.Histogram("holdfast_publish_to_delivery_seconds", &h.Delays)
	w.Int("holdfast_history_messages", int64(h.HistoryMessages))
	w.Int("holdfast_history_bytes", h.HistoryBytes)
	w.Int("holdfast_history_evicted_total", int64(h.Evicted))
	w.Int("holdfast_publish_refused_total", int64(h.Refused))
	w.Int("holdfast_publish_backlog_bytes", int64(h.Backlog))
	if s.succession.History != nil {
		w.Int("holdfast_history_file_bytes", s.succession.History.Size())
		w.Int("holdfast_history_file_writes_total", int64(h.Saves))
		w.Int("holdfast_history_file_errors_total", int64(h.SaveErrors))
		w.Int("holdfast_history_file_waiting_bytes", h.Unsaved)
	}
}

// writeHeld writes the counts of held connections, of what clients send, and of authorization.
func writeHeld(s *Server, w *metric.Writer) {
	k := s.keeper.Stats()
	w.Ints("holdfast_connections_held", "transport", k.Held)
	w.Ints("holdfast_connections_closed_total", "reason", k.Dropped)
	w.Int("holdfast_long_polls_answered_total", k.Answered)
	w.Ints("holdfast_subscribe_rejected_total", "reason", k.Rejected)
	w.Ints("holdfast_messages_dropped_total", "policy", k.Skipped)
	w.Int("holdfast_tokens_refused_total", k.TokensRefused)
	w.Int("holdfast_authorize_errors_total", k.AuthorizeErrors)
	w.Int("holdfast_authorize_queued", k.AuthorizeQueued)
	w.Int("holdfast_authorize_queue_full_total", k.AuthorizeQueueFull)
	w.Int("holdfast_authorize_cache_hits_total", k.CacheHits)
	w.Int("holdfast_authorize_cache_misses_total", k.CacheMisses)
	w.Int("holdfast_authorize_cache_evicted_total", k.CacheEvicted)
	w.Int("holdfast_client_messages_total", k.ClientMessages)
	w.Int("holdfast_client_messages_refused_total", k.ClientFaults)
	w.Int("holdfast_client_messages_posted_total", k.Posted)
	w.Int("holdfast_client_messages_failed_total", k.PostErrors)
	w.Int("holdfast_client_messages_waiting", k.PostsWaiting)
	w.Int("holdfast_send_queue_bytes", k.SendQueue)
	w.Int("holdfast_receive_bytes", k.Inbound)
	w.Int("holdfast_receive_throttled_total", k.Throttled)
}

// writeEvents writes the counts of event webhooks and of presence, where they are on.
func writeEvents(s *Server, w *metric.Writer) {
	if s.events != nil {
		t := s.events.Stats()
		w.Int("holdfast_events_waiting", int64(t.Queued))
		w.Int("holdfast_events_waiting_bytes", int64(t.QueuedBytes))
		w.Int("holdfast_events_sent_total", int64(t.Sent))
		w.Int("holdfast_events_lost_total", int64(t.Lost))
		w.Int("holdfast_events_failures_total", int64(t.Failures))
	}
	if s.presence != nil {
		r := s.presence.Stats()
		w.Int("holdfast_presence_users", int64(r.Users))
		w.Int("holdfast_presence_members", int64(r.Members))
		w.Int("holdfast_presence_leaving", int64(r.Leaving))
		w.Int("holdfast_presence_grace_cut_short_total", int64(r.ExpiredEarly))
		w.Int("holdfast_presence_messages_dropped_total", int64(r.Unpublished))
	}
}

// writeInject writes the counts of pages without the tag, if there are rules.
func writeInject(s *Server, w *metric.Writer) {
	if counts := s.injection.skipped(); len(counts) > 0 {
		w.Ints("holdfast_inject_skipped_total", "reason", counts)
	}
}

// writeWatch writes the counts of watched URLs, if there are any.
func writeWatch(s *Server, w *metric.Writer) {
	if s.watcher == nil {
		return
	}
	x := s.watcher.Stats()
	w.Int("holdfast_watch_channels", int64(x.Channels))
	w.Int("holdfast_watch_channels_waiting", int64(x.Waiting))
	w.Int("holdfast_watch_channels_failing", int64(x.Failing))
	w.Int("holdfast_watch_requests_in_flight", int64(x.InFlight))
	w.Int("holdfast_watch_late_seconds", int64(x.Late.Seconds()))
	w.Int("holdfast_watch_requests_total", int64(x.Requests))
	w.Int("holdfast_watch_changes_total", int64(x.Changes))
	w.Int("holdfast_watch_unchanged_total", int64(x.Unchanged))
	w.Ints("holdfast_watch_failures_total", "reason", x.Failures)
}
