// Package receive limits what clients send to Holdfast: the rate of each, and the stored bytes of all.
package receive

import (
	"sync/atomic"
	"time"

	"holdfast/internal/throttle"
)

// Burst is how far a client may be ahead of its rate.
const Burst = 2 * time.Second

const unit = 16 * time.Microsecond // of a Pace

// Pace is the time at which a client has used up what it has sent at its rate, by a clock that wraps around after 19
// hours. One goroutine uses it.
type Pace int32

func paceOf(t time.Duration) Pace { return Pace(uint32(t / unit)) }

// Lead returns how far a client is ahead of its rate. now is the time since a fixed beginning. After hours without
// data, the clock may have wrapped around.
func (p Pace) Lead(now time.Duration) time.Duration {
	d := time.Duration(p-paceOf(now)) * unit
	if d < 0 || d > 10*Burst {
		return 0
	}
	return d
}

// Ahead returns the pace of a client that is ahead of its rate by lead.
func Ahead(lead, now time.Duration) Pace { return paceOf(now) + Pace(max(0, min(lead, 10*Burst))/unit) }

// Spend counts one event that may occur rate times per second.
func (p *Pace) Spend(rate int, now time.Duration) {
	lead := p.Lead(now) + time.Second/time.Duration(rate)
	*p = paceOf(now) + Pace(lead/unit)
}

// Memory counts the bytes of all clients. Any goroutine may call its methods.
type Memory struct {
	limit int64
	total atomic.Int64
	full  throttle.Throttle
}

// NewMemory returns a memory for limit bytes; 0: any number.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Limit returns how many bytes there may be; 0: any number.
func (m *Memory) Limit() int64 { return m.limit }

// Total returns how many bytes there are.
func (m *Memory) Total() int64 { return m.total.Load() }

// Take counts n more bytes. It reports false, and counts nothing, if there is no room for them.
func (m *Memory) Take(n int) bool {
	if total := m.total.Add(int64(n)); n <= 0 || m.limit <= 0 || total <= m.limit {
		return true
	}
	m.total.Add(int64(-n))
	return false
}

// Give counts n bytes less.
func (m *Memory) Give(n int) { m.total.Add(int64(-n)) }

// Full counts a Take that failed. It returns how many have, and whether to log it.
func (m *Memory) Full(now time.Time) (total int64, due bool) { return m.full.Due(now) }
