package rate

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	r := New(10, 2)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(1000, 0)
	step := func(addr netip.Addr, wait time.Duration, ok bool) {
		t.Helper()
		if got, admitted := r.Admit(addr, now); got != wait || admitted != ok {
			t.Fatalf("%v at %v: %v %v; want %v %v", addr, now.Sub(time.Unix(1000, 0)), got, admitted, wait, ok)
		}
	}
	step(a, 0, true)
	step(a, 0, true)
	step(a, 0, true) // one and a burst of two
	step(a, 100*time.Millisecond, false)
	step(b, 0, true) // each has its own
	now = now.Add(40 * time.Millisecond)
	step(a, 60*time.Millisecond, false) // a refusal costs nothing
	now = now.Add(60 * time.Millisecond)
	step(a, 0, true)
	step(a, 100*time.Millisecond, false)
	now = now.Add(time.Hour)
	for range 3 {
		step(a, 0, true)
	}
	step(a, 100*time.Millisecond, false)
	six := netip.MustParseAddr("2001:db8::1")
	for range 3 {
		step(six, 0, true)
		six = six.Next() // the same /64
	}
	step(six, 100*time.Millisecond, false)
	if wait, ok := (*Limiter)(nil).Admit(a, now); wait != 0 || !ok {
		t.Error("no limit refuses")
	}
}

// TestLimiterDropsIdleAddresses: addresses without requests cost no memory for long.
func TestLimiterDropsIdleAddresses(t *testing.T) {
	r := New(1000, 0)
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 200_000 {
		r.Admit(addr, now)
		addr = addr.Next()
		now = now.Add(10 * time.Microsecond)
	}
	n := 0
	for i := range r.shards {
		n += len(r.shards[i].empty)
	}
	if n > 20_000 {
		t.Errorf("%d of 200,000 addresses are remembered; at most 100 are not empty", n)
	}
}

// TestMinimum follows one wait after another on a made-up clock.
func TestMinimum(t *testing.T) {
	var p Minimum
	now := time.Unix(1000, 0)
	limit := 10 * time.Second
	step := func(bytes int64, want time.Duration, ok bool) {
		t.Helper()
		if got, alive := p.Wait(now, bytes, limit, 100); got != want || alive != ok {
			t.Fatalf("wait after %d bytes: %v %v; want %v %v", bytes, got, alive, want, ok)
		}
	}
	step(0, 10*time.Second, true)
	now = now.Add(4 * time.Second)
	p.EndWait(now)
	now = now.Add(time.Hour) // not waiting: not counted
	step(1, 6*time.Second, true)
	now = now.Add(5 * time.Second)
	p.EndWait(now)
	step(100, 2*time.Second, true) // a second earned by 100 bytes
	now = now.Add(2 * time.Second)
	step(100, 0, false)
	p = Minimum{}
	if d, ok := p.Wait(now, 0, limit, 0); d != limit || !ok {
		t.Errorf("without a rate: %v %v", d, ok)
	}
}
