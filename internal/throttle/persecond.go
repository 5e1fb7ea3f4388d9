package throttle

import (
	"log/slog"
	"time"
)

// PerSecond lets some lines of a second through, so that a flood does not become a flood of lines. One goroutine uses it.
type PerSecond struct {
	Lines int // of a second

	second       int64
	let, skipped int
}

// Due reports whether to log one more line, and returns once how many of the last second were not logged.
func (p *PerSecond) Due(now time.Time) (due bool, skipped int) {
	if second := now.Unix(); second != p.second {
		skipped = p.skipped
		p.second, p.let, p.skipped = second, 0, 0
	}
	if p.let == p.Lines {
		p.skipped++
		return false, skipped
	}
	p.let++
	return true, skipped
}

// Log writes the line if it is due, and before it, as more, how many lines of the seconds before were left out.
func (p *PerSecond) Log(now time.Time, log *slog.Logger, event, more string, fields ...any) {
	due, skipped := p.Due(now)
	if skipped > 0 {
		log.Info(more, "skipped", skipped)
	}
	if due {
		log.Info(event, fields...)
	}
}
