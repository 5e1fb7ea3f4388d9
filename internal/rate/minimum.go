package rate

import "time"

// Minimum watches a peer that is waited for: no single wait may last longer than limit, and all waits
// together no longer than limit plus the time that the bytes so far take at the least rate. So one byte
// now and then does not hold a connection for ever, and waiting for somebody else is not counted.
type Minimum struct {
	waited time.Duration
	since  time.Time // of the wait in progress; zero if there is none
}

// Wait begins a wait, or goes on with one, and returns how long it may last from now. It reports false
// when the peer is too slow already. A rate of zero is not watched; a limit of zero is none.
func (p *Minimum) Wait(now time.Time, bytes int64, limit time.Duration, rate int) (time.Duration, bool) {
	if p.since.IsZero() {
		p.since = now
	}
	if limit <= 0 {
		return limit, true
	}
	this := max(limit-now.Sub(p.since), time.Millisecond) // of this wait; who is told of its end looks again
	if rate <= 0 {
		return this, true
	}
	earned := time.Duration(min(bytes/int64(rate), 1<<30)) * time.Second
	left := limit + earned - p.waited - now.Sub(p.since)
	return min(this, left), left > 0
}

// EndWait says that the wait, if there was one, was not in vain.
func (p *Minimum) EndWait(now time.Time) {
	if !p.since.IsZero() {
		p.waited += now.Sub(p.since)
		p.since = time.Time{}
	}
}
