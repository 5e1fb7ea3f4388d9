package hub

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"
)

// kept returns what a resume from the hub's start would bring.
func kept(h *Hub, channel string) string {
	var s recorder
	r := h.Lane(0).Join(&s, []string{channel}, h.origin.start, true)
	h.Lane(0).Leave(&s)
	return texts(r.Messages)
}

func TestHistoryRules(t *testing.T) {
	c := newClock()
	rules := map[string]History{
		"none":  {},
		"two":   {Messages: 2},
		"bytes": {Messages: 100, Bytes: 5},
		"age":   {Messages: 100, Age: time.Minute},
	}
	h := New(Options{Now: c.now, Rule: func(name string) (History, bool) { r, ok := rules[name]; return r, ok }})
	all := []string{"none", "two", "bytes", "age"}
	for i, data := range []string{"1", "22", "333", "1", "1"} {
		say(t, h, data, all...)
		if i == 2 {
			c.add(time.Minute) // not yet too old
		}
		check(t, h)
	}
	want(t, "none", kept(h, "none"), "")
	want(t, "two", kept(h, "two"), "two:1 two:1")
	want(t, "bytes", kept(h, "bytes"), "bytes:333 bytes:1 bytes:1")
	want(t, "age", kept(h, "age"), "age:1 age:22 age:333 age:1 age:1")
	h.Sweep(c.now())
	want(t, "age, at the minute", kept(h, "age"), "age:1 age:22 age:333 age:1 age:1")
	h.Sweep(c.now().Add(1))
	want(t, "age, swept", kept(h, "age"), "age:1 age:1")
	c.add(time.Minute + 1)
	say(t, h, "9", "age")
	want(t, "age, on publish", kept(h, "age"), "age:9")
	say(t, h, "123456", "bytes")
	want(t, "bytes, one too large", kept(h, "bytes"), "")
	check(t, h)
	rules["two"] = History{}
	say(t, h, "x", "two")
	want(t, "two, with another rule", kept(h, "two"), "")
	c.add(time.Hour)
	h.Sweep(c.now())
	checkEmpty(t, h)
}

// The least recently used channel gives first, and a resume is a use.
func TestHistoryTotal(t *testing.T) {
	h := New(Options{Rule: keep(100), HistoryTotal: 6*(storedCost+10) + 5})
	say10 := func(channel string, n int) { t.Helper(); say(t, h, fmt.Sprintf("%010d", n), channel) }
	for n := range 3 {
		say10("kept1", n)
		say10("kept2", n)
	}
	if s := h.Stats(); s.Evicted != 0 || s.HistoryMessages != 6 {
		t.Errorf("at the bound: %+v", s)
	}
	say10("kept3", 0)
	want(t, "kept2", kept(h, "kept2"), "kept2:0000000000 kept2:0000000001 kept2:0000000002")
	want(t, "kept1", kept(h, "kept1"), "kept1:0000000001 kept1:0000000002")
	say10("kept3", 1) // and kept2 was used before kept1
	want(t, "kept2", kept(h, "kept2"), "kept2:0000000001 kept2:0000000002")
	for n := 2; n < 20; n++ {
		say10("kept3", n)
		check(t, h)
	}
	if s := h.Stats(); s.Channels != 1 || s.HistoryMessages != 6 || s.Evicted != 20 {
		t.Errorf("after a flood on one channel: %+v", s)
	}
	var s recorder
	r := h.Lane(0).Join(&s, []string{"kept1", "kept2", "kept3"}, h.origin.start, true)
	if len(r.Gaps) != 3 {
		t.Errorf("evictions told: %+v", r.Gaps)
	}
	// A message that can never be kept costs its own channel what is before it, and others nothing.
	say10("kept1", 0)
	if _, err := h.Publish([]Draft{{Channels: []string{"kept2"}, Data: make([]byte, 2000)}}); err != nil {
		t.Fatal(err)
	}
	want(t, "kept1", kept(h, "kept1"), "kept1:0000000000")
	want(t, "kept2", kept(h, "kept2"), "")
	run(h)
	check(t, h)
}

// TestCopiesAreShared: subscribers that resume at the same time share messages and renderings. Those that nobody has any
// more stay, of limited size and for a limited time.
func TestCopiesAreShared(t *testing.T) {
	const size = 500
	h := New(Options{Rule: keep(8), HistoryTotal: copiesPart * 12 * (messageCost + 1 + 8 + size)})
	e := &Encoding{Render: func(*Message, []byte) []byte { return make([]byte, size) }}
	resume := func() (list []*Message) {
		var s recorder
		list = h.Lane(0).Join(&s, []string{"kept"}, h.origin.start, true).Messages
		h.Lane(0).Leave(&s)
		for _, m := range list {
			m.Rendered(e)
		}
		check(t, h)
		return list
	}
	for i := range 12 {
		say(t, h, fmt.Sprint(i%10), "kept")
	}
	one, two := resume(), resume()
	want(t, "resumed", texts(one), "kept:4 kept:5 kept:6 kept:7 kept:8 kept:9 kept:0 kept:1")
	if !slices.Equal(one, two) {
		t.Error("messages are read from history again")
	}
	say(t, h, "2", "kept")
	if two = resume(); !slices.Equal(one[1:], two[:7]) || two[7] == one[0] {
		t.Errorf("after a publish: %s", texts(two))
	}
	h.Sweep(h.now())
	if one = resume(); !slices.Equal(one, two) {
		t.Error("a sweep drops what is in use")
	}
	left := func() bool { // whether a message is still there when nobody has it
		m := weak.Make(two[1])
		one, two = nil, nil
		runtime.GC()
		return m.Value() != nil
	}
	if !left() {
		t.Error("messages that were just read are dropped")
	}
	two = resume()
	h.Sweep(h.now())
	h.Sweep(h.now())
	if left() {
		t.Error("messages that were not in use stay")
	}
	one, two = resume(), resume()
	want(t, "after they were dropped", texts(one), "kept:5 kept:6 kept:7 kept:8 kept:9 kept:0 kept:1 kept:2")
	if !slices.Equal(one, two) {
		t.Error("after they were dropped, messages are read from history again")
	}
	for range 8 {
		two[0].Rendered(&Encoding{Render: e.Render})
	}
	say(t, h, "3", "kept")
	resume() // at its end, all are dropped
	if left() {
		t.Error("messages stay beyond the limit")
	}
	h.evictAll(t, "kept")
	check(t, h)
}

// evictAll drops a channel's history.
func (h *Hub) evictAll(t *testing.T, name string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := h.channels[name]; ch.hist != nil; {
		h.evictLocked(ch.hist)
	}
	h.forgetLocked(h.channels[name])
}

// TestReplayKnowsChannels: a message that is in the history of several channels is replayed once, and is known to be on
// all that the subscriber has.
func TestReplayKnowsChannels(t *testing.T) {
	h := New(Options{Rule: keep(8)})
	say(t, h, "x", "kept.c", "kept.a", "kept.b", "kept.d")
	var s, moved recorder
	r := h.Lane(0).Join(&s, []string{"kept.a", "kept.b", "kept.c"}, h.origin.start, true)
	want(t, "replayed", texts(r.Messages), "kept.a:x")
	for _, names := range [][]string{{"kept.a"}, {"kept.b"}, {"kept.c"}, {"kept.d"}} {
		h.Lane(0).Join(&moved, names, 0, false)
		m := moved.membership.Group().As(r.Messages[0])
		if known := names[0] != "kept.d"; (m != nil) != known || known && m.Channel != names[0] {
			t.Errorf("on %s: %v", names[0], m)
		}
	}
}

func TestSweepMany(t *testing.T) {
	c := newClock()
	h := New(Options{Now: c.now, Rule: func(string) (History, bool) { return History{Messages: 2, Age: time.Minute}, true }})
	for i := range 3*sweepSlice + 7 {
		say(t, h, "x", fmt.Sprint(i))
	}
	c.add(30 * time.Second)
	for i := 0; i < 3*sweepSlice+7; i += 3 {
		say(t, h, "y", fmt.Sprint(i))
	}
	h.Sweep(c.now().Add(31 * time.Second))
	if s := h.Stats(); s.Channels != sweepSlice+3 || s.HistoryMessages != s.Channels {
		t.Errorf("after one sweep: %+v", s)
	}
	check(t, h)
	h.Sweep(c.now().Add(time.Hour))
	checkEmpty(t, h)
}

// TestLastAndRenew: the newest kept message is found and can be made young, and nothing else.
func TestLastAndRenew(t *testing.T) {
	c := newClock()
	h := New(Options{Now: c.now, Rule: func(name string) (History, bool) {
		return map[string]History{"state": {Messages: 2, Age: time.Minute}}[name], true
	}})
	last := func(channel string) string {
		m, id := h.Last(channel)
		if m == nil {
			return fmt.Sprint("none ", id != 0)
		}
		return fmt.Sprint(string(m.Data), " ", id == m.ID)
	}
	want(t, "nothing yet", last("state"), "none false")
	first := say(t, h, "1", "state")
	second := say(t, h, "2", "state")
	want(t, "two kept", last("state"), "2 true")
	c.add(50 * time.Second)
	want(t, "stored, and not the newest", fmt.Sprint(h.Renew("state", first)), "true")
	want(t, "the newest", fmt.Sprint(h.Renew("state", second)), "true")
	want(t, "no message", fmt.Sprint(h.Renew("state", second+1)), "false")
	want(t, "no channel", fmt.Sprint(h.Renew("none", second)), "false")
	c.add(50 * time.Second)
	h.Sweep(c.now())
	want(t, "one is young", kept(h, "state"), "state:2")
	check(t, h)
	c.add(11 * time.Second)
	h.Sweep(c.now())
	want(t, "it is old again", last("state"), "none false")
	want(t, "gone", fmt.Sprint(h.Renew("state", second)), "false")
	checkEmpty(t, h)

	var s recorder
	h.Lane(0).Join(&s, []string{"bare", "state"}, 0, false)
	id := say(t, h, "3", "bare")
	want(t, "held, without history", last("bare"), "none true")
	h.Renew("bare", id)
	say(t, h, "4", "state")
	c.add(time.Hour)
	h.Sweep(c.now())
	want(t, "held, and too old", last("state"), "none true")
	check(t, h)
}

// TestQuiet: a message that is only stored is found by those who subscribe later, and is no change.
func TestQuiet(t *testing.T) {
	c := newClock()
	var told []string
	h := New(Options{
		Now: c.now, OnPublish: func(channel string) { told = append(told, channel) },
		Rule: func(name string) (History, bool) { return map[string]History{"state": {Messages: 2}}[name], true },
	})
	var s recorder
	h.Lane(0).Join(&s, []string{"state", "bare"}, 0, false)
	say(t, h, "1", "state")
	for _, channel := range []string{"state", "bare"} {
		r, err := h.PublishOne(Draft{Channels: []string{channel}, Data: []byte("2"), Quiet: true})
		if err != nil || r.Subscribers != 0 {
			t.Fatalf("%d subscribers, %v", r.Subscribers, err)
		}
	}
	for h.Lane(0).Step(100) {
	}
	want(t, "stored", kept(h, "state"), "state:1 state:2")
	want(t, "delivered", s.text(), "state:1")
	want(t, "told", fmt.Sprint(told), "[state]")
	check(t, h)
}

// TestExact: a message for those who subscribe by name reaches no pattern, is stored nowhere, and is no gap for others.
func TestExact(t *testing.T) {
	c := newClock()
	h := New(Options{
		Now: c.now, Wildcards: true, Rule: func(string) (History, bool) { return History{Messages: 2}, true },
		OnPublish: func(channel string) { t.Errorf("told of %s", channel) },
	})
	var named, all recorder
	h.Lane(0).Join(&all, []string{"**"}, 0, false)
	id := all.membership.Position()
	publish := func(subscribers int) {
		t.Helper()
		if r, err := h.PublishOne(Draft{Channels: []string{"own"}, Data: []byte("1"), Exact: true}); err != nil || r.Subscribers != subscribers {
			t.Fatalf("%d subscribers, %v; want %d", r.Subscribers, err, subscribers)
		}
	}
	publish(0)
	h.Lane(0).Join(&named, []string{"own"}, 0, false)
	publish(1)
	for h.Lane(0).Step(100) {
	}
	want(t, "by name", named.text(), "own:1")
	want(t, "by pattern", all.text(), "")
	want(t, "stored", kept(h, "own"), "")
	var again recorder
	if replay := h.Lane(0).Join(&again, []string{"**"}, id, true); len(replay.Gaps) > 0 || len(replay.Messages) > 0 {
		t.Errorf("who comes back by pattern gets %+v", replay)
	}
	check(t, h)
}
