// Package receive limits what clients send to Holdfast: how fast each of them, and how many bytes of all together may
// wait to be used.
package receive

import (
	"sync/atomic"
	"time"

	"holdfast/internal/throttle"
)

// Burst is how far ahead of its rate a client may be: that much may come at once.
const Burst = 2 * time.Second

const unit = 16 * time.Microsecond // of a Pace

// Pace is when what a client has sent is paid for, by a clock that goes round after 19 hours. It is for one goroutine.
type Pace int32

func paceOf(t time.Duration) Pace { return Pace(uint32(t / unit)) }

// Lead returns how far a client is ahead of its rate. now is the time since some beginning that is always the same. Of a
// connection that has been idle for hours the difference is that of a clock that has gone round.
func (p Pace) Lead(now time.Duration) time.Duration {
	d := time.Duration(p-paceOf(now)) * unit
	if d < 0 || d > 10*Burst {
		return 0
	}
	return d
}

// Spend counts one of what may come rate times a second.
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

// Full counts that there was no room, and reports whether that is to be logged, with how often it was so until now.
func (m *Memory) Full(now time.Time) (total int64, due bool) { return m.full.Due(now) }
