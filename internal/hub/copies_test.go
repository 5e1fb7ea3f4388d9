package hub

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// resume returns what a new subscriber of a channel gets that has nothing yet.
func resume(h *Hub, channels ...string) []*Message {
	var s recorder
	list := h.Lane(0).Join(&s, channels, h.origin.start, true).Messages
	h.Lane(0).Leave(&s)
	return list
}

// TestCopiesInUseAreShared: what a slow client still has to get is not copied for the next one, however much it is.
func TestCopiesInUseAreShared(t *testing.T) {
	const size = 100
	h := New(Options{Rule: keep(64), HistoryTotal: 64 * (storedCost + size)}) // of which copies may take 7
	for range 64 {
		say(t, h, strings.Repeat("x", size), "kept")
	}
	one := resume(h, "kept")
	for range 3 {
		runtime.GC()
		h.Sweep(h.now())
		if two := resume(h, "kept"); len(two) != 64 || !slices.Equal(one, two) {
			t.Fatalf("%d messages that are in use are read again", len(two))
		}
	}
	check(t, h)
	h.evictAll(t, "kept")
	check(t, h)
}

// TestCopiesOfManyMessages: a channel whose messages are as many as there may be is read without a new list for each.
func TestCopiesOfManyMessages(t *testing.T) {
	const n = 1<<13 + 1
	h := New(Options{Rule: keep(n), HistoryTotal: n * (storedCost + 1)})
	for range n {
		say(t, h, "x", "kept")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if list := resume(h, "kept"); len(list) != n {
		t.Fatalf("%d messages", len(list))
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) / n; took > 1000 {
		t.Errorf("%d bytes were allocated for each message", took)
	}
}

// TestJoinGivesWay: others have the lock while much is read for one subscriber. It misses nothing of what they publish
// meanwhile, and its messages are the newest of each channel, without a hole.
func TestJoinGivesWay(t *testing.T) {
	const size, n = 10 << 10, 100
	for _, channels := range [][]string{{"kept.a"}, {"kept.a", "kept.b"}, {"kept.*"}} {
		h := New(Options{Rule: keep(n), Wildcards: true})
		numbers := make(map[string]int)
		publish := func() {
			for _, name := range []string{"kept.a", "kept.b"} {
				data := fmt.Appendf(nil, "%d %s", numbers[name], strings.Repeat("x", size))
				numbers[name]++
				if _, err := h.PublishOne(Draft{Channels: []string{name}, Data: data}); err != nil {
					t.Error(err)
				}
			}
		}
		for range n {
			publish()
		}
		stop, stopped := make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					publish()
				}
			}
		}()
		var s recorder
		r := h.Lane(0).Join(&s, channels, h.origin.start, true)
		h.mu.Lock()
		turns := h.work.slices
		h.mu.Unlock()
		close(stop)
		<-stopped
		publish()
		run(h)
		if want := uint64(n * size / slice); turns < want {
			t.Errorf("%v: the lock was given away %d times, want %d", channels, turns, want)
		}
		next := make(map[string]int)
		for i, m := range append(r.Messages, s.got...) {
			var number int
			fmt.Sscan(string(m.Data), &number)
			if want, known := next[m.Channel]; known && number != want || !known && i >= len(r.Messages) {
				t.Fatalf("%v: %s has message %d, want %d", channels, m.Channel, number, want)
			}
			next[m.Channel] = number + 1
		}
		for name, number := range next {
			if number != numbers[name] {
				t.Errorf("%v: %s ends before message %d, want %d", channels, name, number, numbers[name])
			}
		}
		check(t, h)
	}
}

// TestSweepGivesWay: others have the lock while the many messages of one channel get old, and while they move together.
func TestSweepGivesWay(t *testing.T) {
	const n, size = 4000, 1000
	for _, age := range []time.Duration{time.Minute, 0} {
		h := New(Options{Rule: func(name string) (History, bool) {
			if name == "gone" {
				return History{Messages: 2 * n, Age: time.Minute}, true
			}
			return History{Messages: n, Age: age}, true
		}})
		for range n {
			say(t, h, strings.Repeat("x", size), "gone")
			say(t, h, strings.Repeat("x", size), "gone")
			say(t, h, strings.Repeat("x", size), "stays")
		}
		before := h.work.slices
		h.Sweep(h.now().Add(time.Hour))
		h.Sweep(h.now().Add(time.Hour))
		if got, want := h.work.slices-before, uint64(3*n*size/slice); got < want {
			t.Errorf("age %v: the lock was given away %d times, want %d", age, got, want)
		}
		check(t, h)
	}
}
