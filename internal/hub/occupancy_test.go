package hub

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func watchW(name string) bool { return strings.HasPrefix(name, "w") }

func occupied(list []Occupancy) string {
	word := map[bool]string{true: "held", false: "empty"}
	var words []string
	for _, o := range list {
		words = append(words, o.Channel+":"+word[o.Was]+"-"+word[o.Is])
	}
	return strings.Join(words, " ")
}

func TestOccupancy(t *testing.T) {
	h := New(Options{Lanes: 2, Watch: watchW, Rule: keep(1)})
	calls := 0
	h.OnOccupancy(func() {
		if !h.mu.TryLock() {
			t.Error("OnOccupancy was called with the lock held")
		} else {
			h.mu.Unlock()
		}
		calls++
	})
	a, b := h.Lane(0), h.Lane(1)
	var r, s recorder
	expect := func(what, list string) {
		t.Helper()
		want(t, what, occupied(h.TakeOccupancy()), list)
	}
	a.Join(&r, []string{"x", "w1", "w2"}, 0, false)
	expect("first subscriber", "w1:empty-held w2:empty-held")
	b.Join(&s, []string{"w1"}, 0, false)
	expect("second subscriber", "")
	a.Join(&r, []string{"w3", "w1"}, 0, false)
	expect("a move", "w3:empty-held w2:held-empty")
	b.Leave(&s)
	expect("not the last one", "")
	a.Leave(&r)
	a.Leave(&r)
	expect("the last one", "w1:held-empty w3:held-empty")
	a.Join(&r, []string{"w1"}, 0, false)
	a.Leave(&r)
	expect("both at once", "w1:empty-empty")
	a.Join(&r, []string{"w1", "w1"}, 0, false)
	a.Join(&r, nil, 0, false)
	b.Join(&s, []string{"w1"}, 0, false)
	expect("empty in between", "w1:empty-held")
	b.Leave(&s)
	b.Join(&s, []string{"w1"}, 0, false)
	expect("held again", "w1:held-held")
	calls = 0
	a.Join(&r, []string{"x", "w1"}, 0, false)
	a.Join(&r, []string{"y"}, 0, false)
	if calls > 0 {
		t.Errorf("OnOccupancy was called %d times for nothing", calls)
	}
	a.Join(&r, []string{"w9"}, 0, false)
	if calls != 1 {
		t.Errorf("OnOccupancy was called %d times for one change", calls)
	}
}

// A channel that history has made is watched when somebody comes.
func TestOccupancyAfterHistory(t *testing.T) {
	h := New(Options{Watch: func(string) bool { return true }, Rule: keep(1)})
	say(t, h, "1", "kept")
	want(t, "history", occupied(h.TakeOccupancy()), "")
	var r recorder
	h.Lane(0).Join(&r, []string{"kept"}, 0, false)
	want(t, "subscriber", occupied(h.TakeOccupancy()), "kept:empty-held")
}

// Whatever many lanes do at a time: what is told of one channel follows from what was told before, and in
// the end it is so.
func TestOccupancyProperty(t *testing.T) {
	const lanes, channels, steps = 4, 5, 4000
	h := New(Options{Lanes: lanes, Watch: watchW})
	var mu sync.Mutex
	is := make(map[string]bool)
	told := 0
	h.OnOccupancy(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range h.TakeOccupancy() {
			if told++; o.Was != is[o.Channel] || !watchW(o.Channel) {
				t.Errorf("%+v after %v was told", o, is[o.Channel])
			}
			is[o.Channel] = o.Is
		}
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var group sync.WaitGroup
	for i := range lanes {
		group.Go(func() {
			l, random := h.Lane(i), rand.New(rand.NewPCG(seed, uint64(i)))
			var members [3]recorder
			for range steps {
				m := &members[random.IntN(len(members))]
				if random.IntN(2) == 0 {
					l.Leave(m)
					continue
				}
				var names []string
				for range random.IntN(3) {
					names = append(names, fmt.Sprintf("%c%d", "wx"[random.IntN(2)], random.IntN(channels)))
				}
				l.Join(m, names, 0, false)
			}
			if i%2 == 0 {
				for j := range members {
					l.Leave(&members[j])
				}
			}
		})
	}
	group.Wait()
	if told < steps/10 {
		t.Errorf("only %d changes were told", told)
	}
	for i := range channels {
		name := fmt.Sprintf("w%d", i)
		if info, _ := h.Channel(name); is[name] != (info.Subscribers > 0) {
			t.Errorf("%s: %d subscribers, told %v", name, info.Subscribers, is[name])
		}
	}
}
