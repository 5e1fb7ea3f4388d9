package server

import (
	"log/slog"
	"time"
)

// evictionsEvery is how often the log may say that history is full: at a steady rate it is so all the time.
const evictionsEvery = time.Minute

// evictions tells in the log when push.history_total makes messages go that their channels' rules would keep.
type evictions struct {
	told uint64
	at   time.Time
}

// look compares with the hub's count.
func (e *evictions) look(evicted uint64, now time.Time, log *slog.Logger) {
	if evicted == e.told || now.Sub(e.at) < evictionsEvery {
		return
	}
	log.Warn("history is full: messages went before their time; see push.history_total", "messages", evicted-e.told)
	e.told, e.at = evicted, now
}
