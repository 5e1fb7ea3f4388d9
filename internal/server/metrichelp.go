package server

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// describer passes on lines of metrics, and writes HELP and TYPE before the first line of each name. A Write is one line;
// the lines of a name come one after the other.
type describer struct {
	w    io.Writer
	last string
}

func (d *describer) Write(line []byte) (int, error) {
	name := string(line)
	if i := bytes.IndexAny(line, "{ "); i >= 0 {
		name = name[:i]
	}
	if name != d.last {
		d.last = name
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		if _, err := fmt.Fprintf(d.w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, metricHelp[strings.TrimPrefix(name, "holdfast_")], kind); err != nil {
			return 0, err
		}
	}
	return d.w.Write(line)
}

// metricHelp is the HELP of each metric, by its name without holdfast_.
var metricHelp = map[string]string{
	"accept_errors_total":                  "Failed accepts, often the file limit.",
	"access_log_dropped_total":             "Access log lines that were lost.",
	"authorize_cache_evicted_total":        "Cached authorizations evicted early, as the cache is full.",
	"authorize_cache_hits_total":           "Authorization requests answered from push.authorize_cache.",
	"authorize_cache_misses_total":         "Authorization requests not in push.authorize_cache.",
	"authorize_errors_total":               "Failed authorization requests.",
	"authorize_queue_full_total":           "Authorization requests refused because the queue was full.",
	"authorize_queued":                     "Authorization requests that wait.",
	"channels":                             "Channels with subscribers or history.",
	"client_messages_failed_total":         "Messages sent to the app without a response.",
	"client_messages_posted_total":         "Messages sent to the app.",
	"client_messages_refused_total":        "Rejected frames.",
	"client_messages_total":                "Frames from clients.",
	"client_messages_waiting":              "Messages that wait for the app.",
	"connections":                          "Open client connections.",
	"connections_accepted_total":           "Accepted connections.",
	"connections_over_address_limit_total": "Closed because of limits.connections_per_address.",
	"connections_refused_total":            "Closed because of limits.connections.",
	"events_failures_total":                "Failed event requests.",
	"events_lost_total":                    "Dropped events.",
	"events_told_total":                    "Accepted events.",
	"events_waiting":                       "Events not yet accepted by the app.",
	"events_waiting_bytes":                 "Bytes of events not yet accepted by the app.",
	"held":                                 "Held connections, by transport.",
	"held_dropped_total":                   "Held connections that ended, by reason; answered is an ordinary long poll.",
	"history_bytes":                        "Bytes of stored messages.",
	"history_evicted_total":                "Messages dropped early because of push.history_total.",
	"history_file_bytes":                   "Size of the history file.",
	"history_file_errors_total":            "Failed writes to the history file.",
	"history_file_waiting_bytes":           "Bytes of history that are not on disk yet.",
	"history_file_writes_total":            "Writes to the history file.",
	"history_messages":                     "Stored messages.",
	"hold_refused_total":                   "Refused subscriptions.",
	"hold_refused_user_limit_total":        "Subscriptions refused because of push.max_connections_per_user.",
	"messages_delivered_total":             "Deliveries.",
	"messages_published_total":             "Published messages.",
	"messages_skipped_total":               "Messages dropped for slow clients, by policy.",
	"outbox_bytes":                         "Bytes in the send queues.",
	"receive_bytes":                        "Bytes of what clients have begun to send.",
	"receive_throttled_total":              "How often a client that sent faster than its rate was not read for a while.",
	"panics_total":                         "Errors in Holdfast; the log has the stack.",
	"presence_hurried_total":               "Grace periods that were cut short.",
	"presence_leaving":                     "Users in their grace period.",
	"presence_members":                     "Users present, counted once for each channel.",
	"presence_unsaid_total":                "Join and leave messages that were dropped.",
	"presence_users":                       "Users that are present.",
	"proxy_buffered_bytes":                 "Bodies in memory.",
	"proxy_client_gone_total":              "Clients that disconnected before the response.",
	"proxy_cut_total":                      "Responses that ended incomplete.",
	"proxy_file_bytes":                     "Bodies in temporary files.",
	"proxy_file_errors_total":              "Temporary files that failed.",
	"proxy_files_total":                    "Temporary files.",
	"proxy_overloaded_total":               "503 because of a limit or a full queue.",
	"proxy_queued":                         "Requests that wait for an upstream at max_conns.",
	"proxy_rate_limited_total":             "429 because of limits.requests_per_second.",
	"proxy_refused_total":                  "Requests refused for what they are.",
	"proxy_requests_in_flight":             "Requests in progress.",
	"proxy_requests_total":                 "Requests.",
	"proxy_retries_total":                  "Requests repeated on another connection or upstream.",
	"proxy_tunnels":                        "Upgrades that the app answers itself.",
	"proxy_upstream_connects_total":        "New connections to the app.",
	"proxy_upstream_errors_total":          "Failed requests to the app.",
	"publish_backlog_bytes":                "Bytes not yet handed to connections.",
	"publish_refused_total":                "Publishes refused with 503.",
	"subscribers":                          "Subscribers.",
	"tokens_refused_total":                 "Missing or invalid tokens; the log has the reason.",
	"upstream_active":                      "Requests in progress, per upstream.",
	"upstream_notices_total":               "What the upstream does that Holdfast works around, by kind.",
	"upstream_up":                          "1 while the upstream is used, 0 while it is marked down.",
	"workers":                              "Worker goroutines.",
	"workers_queued":                       "Tasks that wait for a worker goroutine.",
}
