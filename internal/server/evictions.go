package server

import (
	"log/slog"
	"time"

	"holdfast/internal/throttle"
)

// evictions logs when push.history_total drops messages that their rules would keep.
type evictions struct {
	seen     uint64
	throttle throttle.Throttle // a steady rate keeps history full all the time
}

// look compares evicted, the hub's count, with the last one.
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
