package hub

import (
	"fmt"
	"testing"
	"time"
)

// TestNewestThenJoin: what is published between the two comes once, behind what there was.
func TestNewestThenJoin(t *testing.T) {
	h := New(Options{Wildcards: true, Rule: keep(2)})
	var r recorder
	set := []string{"kept.*", "other"}
	for _, data := range []string{"1", "2", "3"} {
		say(t, h, data, "kept.a")
	}
	say(t, h, "4", "kept.b")
	newest := h.Newest(set, 1)
	say(t, h, "5", "kept.a", "kept.c")
	say(t, h, "6", "other") // is not kept, and nobody was there
	replay := h.Lane(0).JoinNewest(&r, set, newest)
	want(t, "replay", texts(replay.Messages), "kept.a:3 kept.b:4 kept.c:5")
	say(t, h, "7", "other")
	run(h)
	want(t, "then", r.text(), "other:7")
	check(t, h)
}

// TestNewestGoesBeforeJoin: what comes has no hole, although more was published between the two than is kept. What is still
// kept on another channel comes.
func TestNewestGoesBeforeJoin(t *testing.T) {
	for _, set := range [][]string{{"kept.a", "kept.b"}, {"kept.*"}} {
		h := New(Options{Wildcards: true, Rule: keep(2)})
		for _, data := range []string{"1", "2"} {
			say(t, h, data, "kept.a")
		}
		say(t, h, "3", "kept.a", "kept.b")
		newest := h.Newest(set, 2)
		for _, data := range []string{"4", "5", "6"} {
			say(t, h, data, "kept.a")
		}
		replay := h.Lane(0).JoinNewest(new(recorder), set, newest)
		want(t, set[0], texts(replay.Messages), "kept.b:3 kept.a:5 kept.a:6")
		check(t, h)
	}
}

// TestLongWorkGivesWay counts how often others can have the lock.
func TestLongWorkGivesWay(t *testing.T) {
	const channels = 3000
	now := time.Unix(1e9, 0)
	h := New(Options{Wildcards: true, Now: func() time.Time { return now }, Rule: func(string) (History, bool) {
		return History{Messages: 1, Age: time.Minute}, true
	}})
	var drafts []Draft
	for i := range channels {
		drafts = append(drafts, Draft{Channels: []string{fmt.Sprintf("a.%d", i)}, Data: []byte("x")})
	}
	var replay Replay
	for _, step := range []struct {
		name  string
		slice int
		do    func()
	}{
		{"a batch is published", acceptSlice, func() {
			if _, err := h.Publish(drafts); err != nil {
				t.Fatal(err)
			}
		}},
		{"the newest of a pattern", newestSlice, func() {
			replay = h.Lane(0).JoinNewest(new(counter), []string{"a.*"}, h.Newest([]string{"a.*"}, 1))
		}},
		{"channels are listed", listSlice, func() { h.Channels("", channels) }},
		{"histories get old", sweepSlice, func() { h.Sweep(now.Add(time.Hour)) }},
	} {
		before := h.work.slices
		step.do()
		if n, want := h.work.slices-before, uint64(channels/step.slice-1); n < want {
			t.Errorf("%s: %d times, want %d", step.name, n, want)
		}
	}
	if len(replay.Messages) != channels {
		t.Errorf("%d messages are replayed", len(replay.Messages))
	}
	if n := h.Stats().HistoryMessages; n > 0 {
		t.Errorf("%d messages are kept", n)
	}
	check(t, h)
}
