package hub

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// owes returns a Replay as text: gaps first, with what was lost in terms of say's ids.
func owes(r Replay, names map[ID]string) string {
	var words []string
	for _, g := range r.Gaps {
		words = append(words, fmt.Sprintf("gap(%s≤%s)", g.Channel, names[g.Through]))
	}
	if len(r.Messages) > 0 {
		words = append(words, texts(r.Messages))
	}
	return strings.Join(words, " ")
}

func TestResume(t *testing.T) {
	c := newClock()
	h := New(Options{Rule: keep(3), Now: c.now})
	ids := make(map[ID]string)
	id := make(map[string]ID)
	say := func(data string, channels ...string) {
		i := say(t, h, data, channels...)
		ids[i], id[data] = data, i
	}
	ids[h.origin.start], id["start"] = "start", h.origin.start
	id["before"], id["future"] = h.origin.start-1, h.origin.start+1000

	var bare, quiet recorder // hold channels that would be forgotten
	h.Lane(0).Join(&bare, []string{"bare"}, 0, false)
	h.Lane(0).Join(&quiet, []string{"quiet"}, 0, false)
	say("1", "kept1")
	say("2", "kept2", "kept1")
	say("3", "bare")
	say("4", "kept1")
	say("5", "kept2")
	say("6", "kept1") // and 1 is evicted
	say("7", "kept2", "bare")

	for _, c := range []struct{ channels, after, want string }{
		{"kept1", "start", "gap(kept1≤1) kept1:2 kept1:4 kept1:6"},
		{"kept1", "1", "kept1:2 kept1:4 kept1:6"},
		{"kept1", "3", "kept1:4 kept1:6"},
		{"kept1", "6", ""},
		{"kept1", "7", ""},
		{"kept2", "start", "kept2:2 kept2:5 kept2:7"},
		{"kept2", "before", "gap(kept2≤start) kept2:2 kept2:5 kept2:7"},
		{"kept2", "future", "gap(kept2≤start) kept2:2 kept2:5 kept2:7"},
		{"kept1 kept2", "start", "gap(kept1≤1) kept1:2 kept1:4 kept2:5 kept1:6 kept2:7"},
		{"kept2 kept1 kept2", "2", "kept1:4 kept2:5 kept1:6 kept2:7"},
		{"bare", "start", "gap(bare≤7)"},
		{"bare", "6", "gap(bare≤7)"},
		{"bare", "7", ""},
		{"quiet", "start", ""},
		{"quiet", "before", "gap(quiet≤start)"},
		{"quiet", "future", "gap(quiet≤start)"},
		{"unheard of", "start", ""},
		{"unheard of", "before", "gap(unheard of≤start)"},
		{"bare kept1 quiet", "6", "gap(bare≤7)"},
	} {
		var s recorder
		channels := strings.Split(c.channels, " ")
		if strings.HasPrefix(c.channels, "unheard") {
			channels = []string{c.channels}
		}
		r := h.Lane(0).Join(&s, channels, id[c.after], true)
		want(t, c.channels+" after "+c.after, owes(r, ids), c.want)
		if s.membership.Position() != id["7"] {
			t.Errorf("%s after %s: position is %v", c.channels, c.after, s.membership.Position())
		}
		h.Lane(0).Leave(&s)
		if r := h.Lane(0).Join(&s, channels, id[c.after], false); r.Messages != nil || r.Gaps != nil {
			t.Errorf("%s without resume: %+v", c.channels, r)
		}
		h.Lane(0).Leave(&s)
	}
	run(h)
	check(t, h)
}

// What a forgotten channel lost is not forgotten.
func TestResumeOfForgottenChannel(t *testing.T) {
	c := newClock()
	h := New(Options{Now: c.now, Rule: func(name string) (History, bool) {
		if name == "short" {
			return History{Messages: 9, Age: time.Minute}, true
		}
		return History{}, true
	}})
	l := h.Lane(0)
	var s recorder
	gaps := func(what, channel string, after ID, want int) {
		t.Helper()
		r := l.Join(&s, []string{channel}, after, true)
		if len(r.Gaps) != want || len(r.Messages) > 0 {
			t.Errorf("%s: %+v, want %d gaps", what, r, want)
		}
		l.Leave(&s)
	}
	before := h.origin.start
	gaps("nothing happened", "a", before, 0)
	first := say(t, h, "1", "a") // to nobody
	gaps("published to nobody", "a", before, 1)
	gaps("seen it", "a", first, 0)

	l.Join(&s, []string{"b"}, 0, false)
	second := say(t, h, "2", "b")
	l.Leave(&s)
	gaps("published to one who left", "b", first, 1)
	gaps("and came back with it", "b", second, 0)

	third := say(t, h, "3", "short")
	c.add(2 * time.Minute)
	h.Sweep(c.now())
	gaps("too old by now", "short", second, 1)
	gaps("seen before it was too old", "short", third, 0)
	run(h)
	checkEmpty(t, h)
}

// The entries that forgotten channels share err on the side of a gap.
func TestForgottenChannelsShareAnEntry(t *testing.T) {
	h := New(Options{})
	for i := range 3 * lostFloors {
		say(t, h, "x", fmt.Sprint(i))
	}
	newest := h.last
	gaps := 0
	for i := range 3 * lostFloors {
		var s recorder
		r := h.Lane(0).Join(&s, []string{fmt.Sprint(i)}, h.origin.start+ID(i), true) // all before its message
		gaps += len(r.Gaps)
		h.Lane(0).Leave(&s)
		if r := h.Lane(0).Join(&s, []string{fmt.Sprint(i)}, newest, true); r.Gaps != nil {
			t.Errorf("gap after the newest")
		}
		h.Lane(0).Leave(&s)
	}
	if gaps != 3*lostFloors {
		t.Errorf("%d of %d losses told", gaps, 3*lostFloors)
	}
	checkEmpty(t, h)
}

// A subscriber that changes its channels misses nothing on those it keeps, history or not.
func TestMove(t *testing.T) {
	for _, c := range []struct {
		what, from, to string
		resume         bool
		want           string // in Replay
		later          string
	}{
		{"add", "a", "a b", false, "a:1 a:3", "a:6 b:7 a:8"},
		{"add with history", "a", "a kept", true, "kept:old a:1 a:3 kept:4", "a:6 kept:7 a:8"},
		{"remove", "a b", "b", false, "b:2 b:3", "b:7 b:8"},
		{"remove all", "a b", "", false, "", ""},
		{"from nothing", "", "a", false, "", "a:6 a:8"},
		{"other", "a", "b", false, "", "b:7 b:8"},
		{"other with history", "a", "kept", true, "kept:old kept:4", "kept:7"},
		{"lossy", "a", "bare", true, "gap(bare≤5)", "bare:8"},
		{"same", "a b", "b a", true, "a:1 b:2 a:3", "a:6 b:7 a:8"},
		{"kept stays kept", "kept", "kept a", false, "kept:4", "a:6 kept:7 a:8"},
	} {
		for _, stepped := range []bool{false, true} {
			h := New(Options{Rule: keep(10)})
			l := h.Lane(0)
			split := func(s string) []string { return strings.Fields(s) }
			var hold, s recorder
			l.Join(&hold, []string{"a", "b", "bare"}, 0, false)
			start := h.last
			say(t, h, "old", "kept")
			if r := l.Join(&s, split(c.from), 0, false); r.Messages != nil {
				t.Errorf("%s: %v", c.what, r)
			}
			say(t, h, "1", "a")
			say(t, h, "2", "b")
			say(t, h, "3", "a", "b")
			say(t, h, "4", "kept")
			lost := say(t, h, "5", "bare")
			if stepped {
				// The batch is out of pending, and s has not had its turn.
				for n := 0; n < 10 && s.membership.group != nil && s.membership.group.batch == nil; n++ {
					l.hub.mu.Lock()
					if g := s.membership.group; g.pending != nil {
						g.batch, g.pending = g.pending, nil
					}
					l.hub.mu.Unlock()
				}
			}
			r := l.Join(&s, split(c.to), start, c.resume)
			want(t, c.what, owes(r, map[ID]string{lost: "5"}), c.want)
			check(t, h)
			say(t, h, "6", "a")
			say(t, h, "7", "b", "kept")
			say(t, h, "8", "a", "b", "bare")
			run(h)
			check(t, h)
			want(t, c.what+", later", s.text(), c.later)
			l.Leave(&s)
			l.Leave(&hold)
			check(t, h)
		}
	}
}
