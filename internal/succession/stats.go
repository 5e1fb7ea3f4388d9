package succession

import (
	"fmt"
	"maps"
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

// What can be lost beside notes.
const (
	lostConnection = "connection"
	lostLink       = "link"    // all that was to come
	lostUnknown    = "unknown" // a note of a name that this version does not know
)

var resultTexts = [results]string{"moved", "failed", "refused"}

// stats are the counts of a succession. They move along.
type stats struct {
	counts [results]atomic.Int64
	conns  atomic.Int64 // that have come by the last one

	lostMu sync.Mutex // guards lost
	lost   map[string]int64

	mu    sync.Mutex
	begun time.Time     // when everything began to wait
	pause time.Duration // how long it did in the last take-over
}

func (x *stats) count(r result) { x.counts[r].Add(1) }

// lose counts what one of the processes has not taken from the other, by what it was: the name of a note, or a word.
func (x *stats) lose(what string) {
	x.lostMu.Lock()
	defer x.lostMu.Unlock()
	if x.lost == nil {
		x.lost = map[string]int64{}
	}
	x.lost[what]++
}

// losses returns the counts of lose, with a zero for each of whats that is not among them.
func (x *stats) losses(whats ...string) map[string]int64 {
	x.lostMu.Lock()
	defer x.lostMu.Unlock()
	all := map[string]int64{}
	for _, what := range whats {
		all[what] = 0
	}
	maps.Copy(all, x.lost)
	return all
}

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
	w.Ints("holdfast_takeover_lost_total", "what", x.losses(lostConnection, lostLink, lostUnknown, publishNote, changedNote, responseNote, clearNote))
}
