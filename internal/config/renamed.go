package config

import "strings"

// renamed lists the keys that had another name, by section: a list's items have the section's name.
var renamed = map[string]map[string]string{
	"push": {
		"live": "live_subscribe", "authorize": "authorize_path", "message": "message_path", "compress": "compress_min_size",
		"wait": "poll_wait", "max_wait": "poll_max_wait", "outbox": "send_queue", "outbox_total": "send_queue_total",
	},
	"channels": {"slow": "slow_subscriber", "events": "occupancy_events"},
	"limits": {
		"requests": "max_requests_in_flight", "rate": "requests_per_second",
		"body_rate": "min_body_rate", "send_rate": "min_send_rate",
	},
	"buffers": {"folder": "temp_dir", "file": "temp_file_size", "files": "temp_total_size"},
	"upstream_pool": {
		"check": "health_check_path", "check_every": "health_check_interval", "idle": "max_idle", "queue": "max_queue",
	},
	"upstreams": {"route": "sticky_route"},
	"routes":    {"prefix": "upstream_prefix", "host": "upstream_host"},
	"log":       {"access": "access_log"},
}

// hintKey returns what to add to "unknown key": the new name of a key that was renamed, or a key that is near.
func hintKey(section, word string, known []string) string {
	name := section[strings.LastIndexByte(section, '.')+1:]
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	if to, ok := renamed[name][word]; ok {
		return ": renamed to " + to
	}
	return suggestKey(section, word, known)
}
