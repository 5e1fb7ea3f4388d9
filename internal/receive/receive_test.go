package receive

import (
	"testing"
	"time"
)

// TestPace: a client that sends faster than its rate is ahead of it, also while the clock goes round.
func TestPace(t *testing.T) {
	for _, start := range []time.Duration{0, time.Hour, 1<<31*unit - time.Millisecond, 1<<32*unit - time.Millisecond, 100 * time.Hour} {
		var p Pace
		now := start
		p.Spend(10, now)
		for range 9 {
			p.Spend(10, now)
		}
		if lead := p.Lead(now); lead < time.Second-20*unit || lead > time.Second+2*time.Millisecond { // a new one may be ahead by what is left until the clock goes round
			t.Errorf("from %v: %v ahead after ten at once; want a second", start, lead)
		}
		if now += 400 * time.Millisecond; p.Lead(now) > 603*time.Millisecond {
			t.Errorf("from %v: %v ahead 400 ms later", start, p.Lead(now))
		}
		if now += 2 * time.Second; p.Lead(now) != 0 {
			t.Errorf("from %v: %v ahead when it has paid", start, p.Lead(now))
		}
		if now += 10 * time.Hour; p.Lead(now) != 0 {
			t.Errorf("from %v: %v ahead after hours", start, p.Lead(now))
		}
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory(100)
	for i, step := range []struct {
		take int
		ok   bool
		want int64
	}{{60, true, 60}, {41, false, 60}, {40, true, 100}, {1, false, 100}, {-50, true, 50}, {50, true, 100}} {
		if ok := m.Take(step.take); ok != step.ok || m.Total() != step.want {
			t.Errorf("step %d: %v with %d bytes; want %v with %d", i, ok, m.Total(), step.ok, step.want)
		}
	}
	if m.Give(100); m.Total() != 0 {
		t.Errorf("%d bytes are left", m.Total())
	}
	if !NewMemory(0).Take(1 << 40) {
		t.Error("no limit refuses")
	}
	now := time.Unix(1_800_000_000, 0)
	if n, due := m.Full(now); n != 1 || !due {
		t.Errorf("the first time: %d, %v", n, due)
	}
	if _, due := m.Full(now.Add(time.Second)); due {
		t.Error("due again after a second")
	}
}

// TestAhead checks that a pace is that of another process's clock.
func TestAhead(t *testing.T) {
	for _, now := range []time.Duration{0, time.Hour, 100 * time.Hour} {
		for _, lead := range []time.Duration{0, time.Second, 3 * time.Second} {
			if got := Ahead(lead, now).Lead(now); (got - lead).Abs() > 2*unit {
				t.Errorf("ahead by %v at %v, not by %v", got, now, lead)
			}
		}
	}
	if got := Ahead(-1, 0).Lead(0); got != 0 {
		t.Errorf("ahead by %v", got)
	}
}
