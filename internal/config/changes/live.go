package changes

// Live are the keys that a reload applies, at the top and in every site and route. A change of any other key is
// refused, by its name.
var Live = []string{
	"upstream", "upstreams", "upstream_host", "upstream_tls", "redirect", "root", "script_root", "index", "no_scripts",
	"try_files", "follow_links", "hide_files", "serve_files", "types", "deny", "allow", "deny_addresses", "deny_status",
	"basic_auth", "basic_auth_realm", "satisfy", "headers", "expires", "fastcgi_params", "error_pages", "intercept_errors",
	"push_headers", "inject", "compress", "request_headers", "redirect_status", "trace", "trace_sample",
	"timeouts.header", "timeouts.idle", "timeouts.body", "timeouts.send", "timeouts.connect", "timeouts.upstream",
	"timeouts.half_close", "timeouts.tunnel", "timeouts.drain", "timeouts.takeover",
	"limits.header", "limits.fields", "limits.body", "limits.ascii_targets", "limits.min_body_rate", "limits.min_send_rate",
	"limits.max_requests_in_flight", "limits.requests_per_second", "limits.burst",
	"buffers.request", "buffers.stream_uploads", "buffers.response", "buffers.total", "routes", "sites",
	"listen", "trusted_proxies", "proxy_protocol", "tls.certificates", "tls.folder", "tls.hsts", "external", "redirect_https",
	"hooks.token", "hooks.hosts", "hooks.page",
	"push.authorize_timeout", "push.authorize_grace", "push.jwt", "push.origins", "push.heartbeat", "push.poll_wait",
	"push.poll_max_wait", "push.max_channels", "push.max_message", "push.message_timeout", "push.max_reply",
	"push.message_rate", "push.send_queue", "push.send_queue_total", "push.receive_timeout", "push.watch_timeout",
	"push.watch_max_reply", "push.max_connections", "events.key", "events.timeout", "channels", "upstream_pool",
	"log.level", "log.access_log",
}

// FirstTLS are those that a reload applies besides, if no listener has had TLS.
var FirstTLS = []string{"tls", "timeouts.handshake", "limits.handshakes"}

// SameResponses are the keys of which no response of the app depends. After a change of any other, what is stored may be
// another app's.
var SameResponses = []string{
	"limits", "timeouts", "buffers", "listen", "tls", "log", "push", "channels", "events", "hooks", "upstream_pool",
	"proxy_protocol", "upstream_tls", "deny", "allow", "deny_addresses", "deny_status", "basic_auth", "basic_auth_realm", "satisfy",
	"headers", "expires", "error_pages", "intercept_errors", "compress",
}
