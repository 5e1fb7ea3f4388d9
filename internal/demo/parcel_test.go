package demo

import (
	"testing"
	"time"
)

func TestParcelGoesRound(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	p := newParcel(now)
	for i := range 2 * len(steps) {
		s := p.state()
		if s.Status != steps[i%len(steps)] || s.Step != i%len(steps)+1 || s.Version != i+1 {
			t.Fatalf("move %d: %+v", i, s)
		}
		if moved, ok := p.move("", now); !ok || moved != p.state() {
			t.Fatalf("move %d: moved to %+v, and is at %+v", i, moved, p.state())
		}
	}
}

// TestChangesHaveDifferentTimes: a page orders changes by their times, even if they are of one millisecond
// or the clock is set back.
func TestChangesHaveDifferentTimes(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	p := newParcel(now)
	last := p.state().ChangedAt
	for _, at := range []time.Duration{0, 0, -time.Hour, time.Second} {
		s, _ := p.move("", now.Add(at))
		if s.ChangedAt <= last {
			t.Errorf("changed at %d after %d", s.ChangedAt, last)
		}
		last = s.ChangedAt
	}
	if want := now.Add(time.Second).UnixMilli(); last != want {
		t.Errorf("changed at %d, want %d", last, want)
	}
}
