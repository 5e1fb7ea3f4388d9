package rate

import "time"

// Minimum enforces a minimum rate of a peer: no single wait for it may last longer than limit, and all waits together
// no longer than limit plus the time that the bytes so far take at the minimum rate. So a peer can't hold a connection
// for ever with a byte now and then, and other waits are not counted.
type Minimum struct {
	waited time.Duration
	since  time.Time // of the wait in progress; zero if there is none
}

// Wait begins or continues a wait, and returns how long it may last from now. It returns false if the peer is too slow
// already. With a rate of zero, the rate is not checked; a limit of zero is none.
func (p *Minimum) Wait(now time.Time, bytes int64, limit time.Duration, rate int) (time.Duration, bool) {
	if p.since.IsZero() {
		p.since = now
	}
	if limit <= 0 {
		return limit, true
	}
	this := max(limit-now.Sub(p.since), time.Millisecond) // of this wait; at its end, the caller checks again
	if rate <= 0 {
		return this, true
	}
	earned := time.Duration(min(bytes/int64(rate), 1<<30)) * time.Second
	left := limit + earned - p.waited - now.Sub(p.since)
	return min(this, left), left > 0
}

// EndWait ends a wait, if there is one: the peer has made progress.
func (p *Minimum) EndWait(now time.Time) {
	if !p.since.IsZero() {
		p.waited += now.Sub(p.since)
		p.since = time.Time{}
	}
}
