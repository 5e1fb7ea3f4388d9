package hub

import (
	"testing"
	"time"
)

// TestDelays: each delivery counts with the time from its message's publish, also of members that have a part of a batch
// already, and of messages that wait while others are delivered.
func TestDelays(t *testing.T) {
	c := newClock()
	h := New(Options{Now: c.now, Rule: keep(10)})
	l := h.Lane(0)
	var all, late recorder
	l.Join(&all, []string{"kept"}, 0, false)
	say(t, h, "1", "kept")
	c.add(time.Second)
	l.Join(&late, []string{"kept"}, 0, false) // after the first message, before its delivery
	say(t, h, "2", "kept")
	c.add(time.Second)
	run(h)
	say(t, h, "3", "kept")
	c.add(time.Minute)
	run(h)
	c.add(time.Hour)
	var resumed recorder
	l.Join(&resumed, []string{"kept"}, 1, true) // what it missed is not late, but asked for
	run(h)
	want(t, "all", all.text(), "kept:1 kept:2 kept:3")
	want(t, "late", late.text(), "kept:2 kept:3")
	s := h.Stats()
	if got := s.Delays.Sum(); got != 2*time.Second+2*time.Second+2*time.Minute || s.Delays.Count() != 5 || s.Delivered != 5 {
		t.Errorf("%d deliveries, %d with times, sum %v", s.Delivered, s.Delays.Count(), got)
	}
}
