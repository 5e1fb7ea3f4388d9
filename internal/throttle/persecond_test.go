package throttle

import (
	"testing"
	"time"
)

// TestPerSecond: two lines of a second go through, and the next second tells how many did not.
func TestPerSecond(t *testing.T) {
	p := PerSecond{Lines: 2}
	for i, tt := range []struct {
		at      int64 // ms
		due     bool
		skipped int
	}{
		{1000, true, 0}, {1001, true, 0}, {1002, false, 0}, {1999, false, 0},
		{2000, true, 2}, {2001, true, 0}, {2002, false, 0},
		{9000, true, 1}, {10000, true, 0},
	} {
		if due, skipped := p.Due(time.UnixMilli(tt.at)); due != tt.due || skipped != tt.skipped {
			t.Errorf("line %d: due %v, skipped %d; want %v, %d", i, due, skipped, tt.due, tt.skipped)
		}
	}
}
