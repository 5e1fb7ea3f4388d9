package throttle

import "time"

// PerSecond lets some lines of a second through, so that a flood does not become a flood of lines. One goroutine uses it.
type PerSecond struct {
	Lines int // of a second

	second       int64
	let, skipped int
}

// Due reports whether one more is to be logged, and how many of the seconds before were not: that is told once.
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
