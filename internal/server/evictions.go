package server

import (
	"log/slog"
	"time"

	"holdfast/internal/throttle"
)

// evictions tells in the log when push.history_total makes messages go that their channels' rules would keep.
type evictions struct {
	seen     uint64
	throttle throttle.Throttle // at a steady rate history is full all the time
}

// look compares with the hub's count.
func (e *evictions) look(evicted uint64, now time.Time, log *slog.Logger) {
	if evicted == e.seen {
		return
	}
	total, due := e.throttle.DueOf(int64(evicted-e.seen), now)
	e.seen = evicted
	if due {
		log.Warn("history full: oldest messages evicted; see push.history_total", "total", total)
	}
}
