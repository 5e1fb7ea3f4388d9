package succession

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/metric"
	"holdfast/internal/plainval"
	"holdfast/internal/takeover"
)

// result is that of a take-over, as the label of a metric.
type result uint8

const (
	moved   result = iota
	failed         // the new process has not taken over
	refused        // none was started
	results
)

var resultTexts = [results]string{"moved", "failed", "refused"}

// stats are the counts of a succession. They move along.
type stats struct {
	counts [results]atomic.Int64
	conns  atomic.Int64 // that have come by the last one

	mu    sync.Mutex
	begun time.Time     // when everything began to wait
	pause time.Duration // how long it did in the last take-over
}

func (x *stats) count(r result) { x.counts[r].Add(1) }

func (x *stats) lastPause() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pause
}

// part is what moves of the counts. From its Freeze to its Thaw, everything waits.
func (x *stats) part() takeover.Part {
	return &part{
		name: "takeovers", version: 1,
		freeze: func() error {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.begun = time.Now()
			return nil
		},
		write: func(b []byte) []byte {
			e := plainval.Encoder{B: b}
			for i := range x.counts {
				e.Uint(uint64(x.counts[i].Load()))
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			e.Time(x.begun)
			return e.B
		},
		read: func(b []byte) error {
			d := plainval.NewDecoder(b)
			for i := range x.counts {
				x.counts[i].Store(int64(d.Uint()))
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.begun = d.Time()
			return d.End()
		},
		thaw: func(bool) { x.ended() },
	}
}

// ended notes the end of the pause.
func (x *stats) ended() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pause = max(time.Since(x.begun), 0)
}

// arrived notes that this process has taken connections over.
func (x *stats) arrived(conns int) {
	x.count(moved)
	x.conns.Store(int64(conns))
	x.ended()
}

// Write writes the counts.
func (s *Succession) Write(w *metric.Writer) {
	x := &s.stats
	counts := map[string]int64{}
	for r := range results {
		counts[resultTexts[r]] = x.counts[r].Load()
	}
	w.Ints("holdfast_takeovers_total", "result", counts)
	fmt.Fprintf(w, "holdfast_takeover_pause_seconds %g\n", x.lastPause().Seconds())
	w.Int("holdfast_takeover_connections", x.conns.Load())
}
