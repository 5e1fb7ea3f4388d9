package page

import (
	"cmp"
	"slices"
	"strings"
)

// cause is a reason why something was refused, dropped or has failed, and what can be done about it.
type cause struct {
	metric string // counts it
	label  string // the value of its label; empty: a cause for each value, by which it is named; of one without labels, too
	title  string

	// The line of the log that is an example: its message; and a part of its reason, unless that or its status is the label.
	line, part string

	remedy string // the key to set, or what to look at
}

const (
	rejected = "holdfast_subscribe_rejected_total"
	closed   = "holdfast_connections_closed_total"
	denied   = "holdfast_access_denied_total"
	apiCalls = "holdfast_api_requests_total"

	rejectedLine = "subscribe rejected"
	apiLine      = "API request refused"
)

// causes are in the order in which those with equal counts are shown. What happens in an ordinary day is not among them,
// such as clients that disconnect.
var causes = []cause{
	{"holdfast_panics_total", "", "Error in Holdfast", "panic in a worker", "", "Report it, with the stack that the log has."},
	{"holdfast_accept_errors_total", "", "Connection not accepted", "accept failed; trying again", "", "Raise the file limit (LimitNOFILE of systemd)."},
	{"holdfast_connections_refused_total", "", "Connection refused: too many", "", "", "Raise limits.connections, or the file limit."},
	{"holdfast_connections_over_address_limit_total", "", "Connection refused: too many of one address",
		"connection refused: too many of one address", "", "Raise limits.connections_per_address, if these are visitors behind one address."},
	{"holdfast_tls_failures_total", "", "TLS failed", "TLS connection failed", "", "See the hint below. Scanners cause some at any time."},

	{rejected, "origin", "Subscribe rejected: foreign page", rejectedLine, "rigin", "List the page's origin in push.origins; behind a TLS terminator, list that in trusted_proxies."},
	{rejected, "denied", "Subscribe rejected: not allowed", rejectedLine, "", "Look at the channel's rule in channels, at the app behind push.authorize_path, or at push.jwt."},
	{rejected, "unavailable", "Subscribe rejected: the app did not authorize", "authorization request failed (push.authorize_path)", "",
		"Look at the app behind push.authorize_path; see push.authorize_timeout and push.authorize_in_flight."},
	{rejected, "user_limit", "Subscribe rejected: too many of one user", rejectedLine, "max_connections_per_user", "Raise push.max_connections_per_user, or close old pages."},
	{rejected, "connection_limit", "Subscribe rejected: too many connections", rejectedLine, "push.max_connections reached", "Raise push.max_connections."},
	{rejected, "bad_request", "Subscribe rejected: malformed", rejectedLine, "", "Look at the page's script: GET, ?channel=NAME, no body."},
	{rejected, "internal_error", "Subscribe failed: error in Holdfast", "panic while a subscribe request was decided", "", "Report it, with the stack that the log has."},
	{"holdfast_tokens_refused_total", "", "Token refused", rejectedLine, "no valid token", "The error below has the reason; see push.jwt."},
	{"holdfast_authorize_errors_total", "", "Authorization failed", "authorization request failed (push.authorize_path)", "", "Look at the app: the error is below."},
	{"holdfast_authorize_queue_full_total", "", "Authorization queue full", "authorize queue full; is the app slow? see push.authorize_in_flight", "",
		"The app authorizes too slowly, or raise push.authorize_in_flight."},

	{closed, "slow", "Client closed: too slow", "connection closed: send queue is full", "", "Raise push.send_queue, or set slow_subscriber in the channel's rule."},
	{closed, "inbound_full", "Client closed: receive memory full", "connection closed: receive memory is full; see push.receive_total", "", "Raise push.receive_total."},
	{closed, "slow_sender", "Client closed: sends too slowly", "", "", "See push.receive_timeout."},
	{closed, "too_many_errors", "Client closed: too many bad frames", "connection closed: too many rejected frames; see push.message_rate", "", "Look at the page's script; see push.message_rate."},
	{closed, "bad_frame", "Client closed: bad WebSocket frame", "", "", "Not a WebSocket client, or a proxy that changes frames."},
	{closed, "authorize_failed", "Client closed: not authorized again", "authorization could not be renewed; retrying", "", "Look at the app behind push.authorize_path; see push.authorize_grace."},
	{closed, "message_failed", "Client closed: the app failed on its message", "client message may be lost: no response from push.message_path", "", "Look at the app behind push.message_path."},
	{closed, "gap", "Client closed: it can't hear of a gap", "", "", "Let the page use the subprotocol holdfast.v1, or raise history of the channel's rule."},
	{closed, "rule_changed", "Client closed: the rules have changed", "connection closed: the rules in channels have changed", "", "Nothing, if the rule in channels was meant to ask for more."},
	{"holdfast_messages_dropped_total", "", "Messages dropped for slow clients", "messages dropped for a slow subscriber", "", "See slow_subscriber of the channel's rule, and push.send_queue."},
	{"holdfast_client_messages_refused_total", "", "Frame of a client rejected", "", "", "Look at the page's script; see push.message_rate and push.max_message."},
	{"holdfast_client_messages_failed_total", "", "Client message without a response", "client message may be lost: no response from push.message_path", "", "Look at the app, or raise push.message_timeout."},
	{"holdfast_publish_refused_total", "", "Publish refused: too far behind", apiLine, "", "Clients are too slow, or push.history_file can't be written."},
	{"holdfast_history_evicted_total", "", "History evicted early", "history full: oldest messages evicted; see push.history_total", "", "Raise push.history_total."},
	{"holdfast_history_file_errors_total", "", "History not written", "history file not written; publishes that must be stored are refused until it is", "", "Look at the disk of push.history_file."},

	{"holdfast_proxy_refused_total", "", "Request refused", "request refused", "", "The reason is below; docs/reference/refusals.md has all of them."},
	{denied, "path", "Access denied: a path that deny names", "request refused", "path that deny", "Nothing, if deny means it: scanners look for such paths."},
	{denied, "address", "Access denied: address", "request refused", "address that allow", "List the address in allow, or take it out of deny_addresses."},
	{denied, "no_login", "Access denied: no login", "request refused", "no login", "Nothing: a browser then asks for the one of basic_auth."},
	{denied, "login", "Access denied: wrong login", "request refused", "wrong", "Compare with the file of basic_auth."},
	{denied, "guessing", "Access denied: too many wrong logins", "request refused", "too many failed logins", "Somebody guesses: look at client below."},
	{denied, "busy", "Access denied: too many logins at once", "request refused", "", "Somebody guesses, or the hashes of basic_auth cost too much."},
	{denied, "file", "Access denied: no file of users", "file of users not read; nobody has access", "", "Look at the file of basic_auth: the error is below."},
	{"holdfast_proxy_rate_limited_total", "", "Request over the rate", "request refused", "requests_per_second", "Raise limits.requests_per_second and limits.burst."},
	{"holdfast_proxy_overloaded_total", "", "Request over a limit, or the queue is full", "request refused", "in_flight", "Raise limits.max_requests_in_flight, upstream_pool.max_conns or upstream_pool.max_queue."},
	{"holdfast_proxy_upstream_errors_total", "", "Request to the app failed", "upstream failed", "", "Look at the app: the error is below. See timeouts.upstream."},
	{"holdfast_proxy_responses_aborted_total", "", "Response broken off", "", "", "The app ended it early, or the client was too slow: the access log has the reason."},
	{"holdfast_proxy_file_errors_total", "", "Temporary file failed", "temporary file not written; the body is streamed or refused", "", "Look at buffers.temp_dir and buffers.temp_total_size."},
	{"holdfast_cache_polls_not_held_total", "", "Poll not held: no memory", "poll answered at once instead of being held: no memory left; see cache_limits.held_size", "", "Raise cache_limits.held_size."},
	{"holdfast_watch_failures_total", "", "Watched URL failed", "watched URL failed; retrying", "", "Look at the app; docs/how-to/shared-poll.md has the reasons."},
	{"holdfast_push_headers_failed_total", "", "Message of a response not published", "message of a response not published", "", "Look at the app's headers; docs/how-to/response-headers.md has the reasons."},
	{"holdfast_events_lost_total", "", "Event lost", "event queue full: the oldest are dropped; see events.queue and events.queue_size", "", "Look at the app behind events.url; see events.queue."},
	{"holdfast_events_failures_total", "", "Event webhook failed", "event webhook failed; retrying", "", "Look at the app behind events.url."},
	{"holdfast_access_log_dropped_total", "", "Access log line lost", "access log not written; lines are lost", "", "Look at the disk of log.access_log."},
	{"holdfast_acme_errors_total", "", "Certificate not issued", "certificate not issued", "", "See the hint below."},
	{"holdfast_tls_certificate_errors_total", "", "Certificate not loaded", "certificate not loaded; still serving the old one", "", "The error below has the file."},

	{apiCalls, "400", "API request refused: malformed", apiLine, "", "Look at the app's publish: the reason is below."},
	{apiCalls, "401", "API request refused: token", apiLine, "", "Send hooks.token as Authorization: Bearer."},
	{apiCalls, "403", "API request refused: Host, or a browser", apiLine, "", "List the name in hooks.hosts. Browsers get this page only."},
	{apiCalls, "404", "API request refused: no such path or channel", apiLine, "", "Look at the app's URL."},
	{apiCalls, "405", "API request refused: method", apiLine, "", "Look at the app's method."},
	{apiCalls, "413", "API request refused: too large", apiLine, "", "Raise hooks.max_body."},
	{apiCalls, "415", "API request refused: compressed", apiLine, "", "Send the body as it is."},
	{apiCalls, "422", "API request refused: key used twice, or a bad reload", apiLine, "", "The reason below says which."},
	{apiCalls, "500", "API request failed: error in Holdfast", apiLine, "", "Report it, with what the log has."},
	{apiCalls, "503", "API request refused: busy", apiLine, "", "The reason below says what is full."},
}

// refusal is a cause that has happened.
type refusal struct {
	Reason string  `json:"reason"`
	Count  float64 `json:"count"`
	Recent float64 `json:"recent"` // of them, in the last seconds that are shown
	Last   *Line   `json:"last,omitempty"`
	Remedy string  `json:"remedy"`
}

// refusals returns what was refused, the most recent first, and of those without a line the most frequent.
func (p *Page) refusals(now, before *sample) []refusal {
	list := []refusal{}
	for i := range causes {
		c := &causes[i]
		for _, v := range now.series[c.metric] {
			label := ""
			if len(v.labels) > 0 {
				label = v.labels[0]
			}
			if v.value <= 0 || c.label != "" && label != c.label {
				continue
			}
			r := refusal{Reason: c.title, Count: v.value, Remedy: c.remedy, Last: p.example(c, label)}
			if c.label == "" && label != "" {
				r.Reason += ": " + label
			}
			if before != nil {
				r.Recent = max(0, v.value-before.value(c.metric, v.labels...))
			}
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(seqOf(b.Last), seqOf(a.Last)), cmp.Compare(b.Count, a.Count))
	})
	return list
}

func seqOf(l *Line) uint64 {
	if l == nil {
		return 0
	}
	return l.Seq
}

// example returns the newest line of the log about a cause; nil: there is none.
func (p *Page) example(c *cause, label string) *Line {
	if c.line == "" {
		return nil
	}
	return p.o.Lines.newest(func(l *Line) bool {
		if l.Text != c.line {
			return false
		}
		switch {
		case c.part != "":
			return strings.Contains(l.field("reason"), c.part)
		case c.metric == apiCalls:
			return l.field("status") == label
		case c.label == "" && label != "" && l.field("reason") != "":
			return l.field("reason") == label
		}
		return true
	})
}
