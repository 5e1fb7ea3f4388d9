package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDue: the first is due, then the first after each period, and all are counted.
func TestDue(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, every := range []time.Duration{0, time.Second} {
		throttle := Throttle{Every: every}
		period := every
		if period == 0 {
			period = time.Minute
		}
		for i, tt := range []struct {
			after time.Duration
			due   bool
		}{
			{0, true}, {0, false}, {period - 1, false}, {period, true}, {period + 1, false}, {10 * period, true}, {11*period - 1, false},
		} {
			if total, due := throttle.Due(start.Add(tt.after)); total != int64(i+1) || due != tt.due {
				t.Errorf("every %v, after %v: %v with a total of %d, want %v and %d", period, tt.after, due, total, tt.due, i+1)
			}
		}
		if throttle.Total() != 7 {
			t.Errorf("%d in total", throttle.Total())
		}
	}
}

// TestDueOnce: of many goroutines one logs.
func TestDueOnce(t *testing.T) {
	var throttle Throttle
	var lines atomic.Int64
	var group sync.WaitGroup
	now := time.Now()
	for range 8 {
		group.Go(func() {
			for range 1000 {
				if _, due := throttle.Due(now); due {
					lines.Add(1)
				}
			}
		})
	}
	group.Wait()
	if lines.Load() != 1 || throttle.Total() != 8000 {
		t.Errorf("%d lines of %d", lines.Load(), throttle.Total())
	}
}
