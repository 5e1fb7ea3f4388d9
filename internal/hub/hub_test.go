package hub

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDeliver(t *testing.T) {
	h := New(Options{Lanes: 2})
	var a, b, both, other recorder
	h.Lane(0).Join(&a, []string{"a"}, 0, false)
	h.Lane(0).Join(&b, []string{"b"}, 0, false)
	h.Lane(1).Join(&both, []string{"b", "a", "b"}, 0, false)
	h.Lane(1).Join(&other, []string{"c"}, 0, false)
	say(t, h, "1", "a")
	say(t, h, "2", "b")
	r, err := h.Publish([]Draft{{Channels: []string{"b", "x", "a", "b"}, Data: []byte("3")}})
	if err != nil || r[0].Subscribers != 3 {
		t.Errorf("one message on two channels goes to %d subscribers, %v; want 3", r[0].Subscribers, err)
	}
	check(t, h)
	run(h)
	check(t, h)
	want(t, "a", a.text(), "a:1 a:3")
	want(t, "b", b.text(), "b:2 b:3")
	want(t, "both", both.text(), "a:1 b:2 b:3") // once, under the first name of the draft
	want(t, "other", other.text(), "")
	if a.got[1] == b.got[1] || a.got[1].ID != b.got[1].ID || &a.got[1].Data[0] != &b.got[1].Data[0] {
		t.Errorf("a message on two channels must be two with one id and one data")
	}
	if got := both.membership.Group().Channels(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("group holds %q", got)
	}
	if s := h.Stats(); s.Delivered != 7 || s.Published != 3 || s.Groups != 4 || s.Channels != 3 || s.Subscribers != 4 {
		t.Errorf("stats: %+v", s)
	}
	h.Lane(0).Leave(&a)
	h.Lane(0).Leave(&b)
	h.Lane(1).Leave(&both)
	h.Lane(1).Leave(&other)
	h.Lane(1).Leave(&other)
	checkEmpty(t, h)
	if a.membership.Group() != nil || a.membership.Position() != a.got[1].ID {
		t.Errorf("after Leave: in group %v, at %v", a.membership.Group(), a.membership.Position())
	}
}

func TestPublishRefuses(t *testing.T) {
	h := New(Options{Backlog: 1, Rule: func(name string) (History, bool) {
		return History{Messages: 1}, name != "forbidden"
	}})
	var s recorder
	h.Lane(0).Join(&s, []string{"a"}, 0, false)
	good := Draft{Channels: []string{"a"}}
	for _, c := range []struct {
		what   string
		drafts []Draft
		err    error
		text   string
	}{
		{"no channel", []Draft{good, {}}, ErrNoChannel, "message 2: "},
		{"no rule", []Draft{good, good, {Channels: []string{"a", "forbidden"}}}, ErrNoRule, `message 3: channel "forbidden": `},
		{"no rule alone", []Draft{{Channels: []string{"forbidden"}}}, ErrNoRule, `channel "forbidden": `},
	} {
		r, err := h.Publish(c.drafts)
		if r != nil || !errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%s: %v, %v", c.what, r, err)
		}
	}
	if r, err := h.Publish(nil); len(r) != 0 || err != nil {
		t.Errorf("no drafts: %v, %v", r, err)
	}
	run(h)
	want(t, "after refusals", s.text(), "")
	say(t, h, "1", "a") // the backlog is over its bound now, with this one
	if _, err := h.Publish([]Draft{good, good}); !errors.Is(err, ErrBusy) {
		t.Errorf("backlog full: %v", err)
	}
	run(h)
	say(t, h, "2", "a")
	run(h)
	want(t, "around ErrBusy", s.text(), "a:1 a:2")
	if st := h.Stats(); st.Refused != 2 || st.Published != 2 || st.Backlog != 0 {
		t.Errorf("stats: %+v", st)
	}
	check(t, h)
}

func TestBinary(t *testing.T) {
	h := New(Options{})
	var s recorder
	h.Lane(0).Join(&s, []string{"a"}, 0, false)
	say(t, h, "text é", "a")
	say(t, h, "\xff\xfe", "a")
	run(h)
	if s.got[0].Binary || !s.got[1].Binary {
		t.Errorf("binary: %v, %v; want false, true", s.got[0].Binary, s.got[1].Binary)
	}
}

// OnWork comes once for work that comes to an idle lane, and to no other lane.
func TestOnWork(t *testing.T) {
	h := New(Options{Lanes: 3})
	var calls [3]int
	for i := range calls {
		h.Lane(i).OnWork(func() {
			if !h.mu.TryLock() {
				t.Error("OnWork was called with the lock held")
			} else {
				h.mu.Unlock()
			}
			calls[i]++
		})
	}
	var s [3]recorder
	h.Lane(0).Join(&s[0], []string{"a"}, 0, false)
	h.Lane(1).Join(&s[1], []string{"a", "b"}, 0, false)
	h.Lane(1).Join(&s[2], []string{"b"}, 0, false)
	expect := func(what string, n ...int) {
		t.Helper()
		if !slices.Equal(calls[:], n) {
			t.Errorf("%s: OnWork calls %v, want %v", what, calls, n)
		}
	}
	say(t, h, "1", "a")
	expect("first", 1, 1, 0)
	say(t, h, "2", "a")
	say(t, h, "3", "b")
	expect("while there is work", 1, 1, 0)
	if !h.Lane(1).Step(1) {
		t.Fatal("Step is through with one of two groups")
	}
	say(t, h, "4", "b")
	expect("while it is being done", 1, 1, 0)
	run(h)
	say(t, h, "5", "b")
	expect("after it was done", 1, 2, 0)
	// The work may go away; whoever was called still has to find that out.
	h.Lane(1).Leave(&s[1])
	h.Lane(1).Leave(&s[2])
	if h.Lane(1).Step(1) {
		t.Error("Step has more to do for groups that are gone")
	}
	check(t, h)
	want(t, "s[1]", s[1].text(), "a:1 a:2 b:3 b:4")
}

// Groups take turns, whatever their sizes.
func TestStepTakesTurns(t *testing.T) {
	h := New(Options{})
	l := h.Lane(0)
	big := make([]recorder, 1000)
	for i := range big {
		l.Join(&big[i], []string{"big"}, 0, false)
	}
	var small [3]recorder
	for i := range small {
		l.Join(&small[i], []string{"small"}, 0, false)
	}
	say(t, h, "1", "big")
	say(t, h, "1", "small")
	delivered := func() int { return int(h.Stats().Delivered) }
	l.Step(10)
	if delivered() != 10 || small[0].text() != "" {
		t.Errorf("after the first step: %d delivered, small has %q", delivered(), small[0].text())
	}
	l.Step(10)
	if delivered() != 20 || small[2].text() != "small:1" {
		t.Errorf("after the second step: %d delivered, small has %q", delivered(), small[2].text())
	}
	// What comes during the pass is for the next pass, also for members that this one has yet to reach.
	say(t, h, "2", "big")
	steps := 2
	for l.Step(10) {
		steps++
		check(t, h)
	}
	if steps < 199 || steps > 203 {
		t.Errorf("%d steps of 10 for 2,003 deliveries", steps)
	}
	for i := range big {
		if big[i].text() != "big:1 big:2" || big[i].batches != 2 {
			t.Fatalf("member %d: %q in %d batches", i, big[i].text(), big[i].batches)
		}
	}
	if s := l.Step(0); s {
		t.Error("Step has more to do after it was through")
	}
}

// Members leave, join and move while a pass is at work, from within Deliver and between steps. Whoever
// stays gets everything once.
func TestLeaveInDeliver(t *testing.T) {
	const n = 12
	for leaver := range n {
		for gone := range n {
			for _, budget := range []int{1, 5, 100} {
				h := New(Options{})
				l := h.Lane(0)
				members := make([]recorder, n)
				for i := range members {
					l.Join(&members[i], []string{"a"}, 0, false)
				}
				var late recorder
				members[leaver].then = func([]*Message) {
					l.Leave(&members[gone])
					l.Leave(&members[(gone+5)%n])
					if late.membership.Group() == nil {
						l.Join(&late, []string{"a"}, 0, false)
					}
				}
				say(t, h, "1", "a")
				for l.Step(budget) {
					check(t, h)
				}
				say(t, h, "2", "a")
				run(h)
				check(t, h)
				for i := range members {
					got := members[i].text()
					if left := members[i].membership.Group() == nil; got != "a:1 a:2" && !(left && (got == "" || got == "a:1")) {
						t.Fatalf("%d makes %d leave, budget %d: member %d has %q", leaver, gone, budget, i, got)
					}
				}
				want(t, "late member", late.text(), "a:2")
			}
		}
	}
}

func TestEverybodyLeavesInDeliver(t *testing.T) {
	h := New(Options{})
	l := h.Lane(0)
	members := make([]recorder, 100)
	for i := range members {
		l.Join(&members[i], []string{"a"}, 0, false)
		members[i].then = func([]*Message) {
			for j := range members {
				l.Leave(&members[j])
			}
		}
	}
	say(t, h, "1", "a")
	say(t, h, "2", "a")
	run(h)
	if got := h.Stats().Delivered; got != 2 {
		t.Errorf("%d delivered, want 2", got)
	}
	checkEmpty(t, h)
}

// Deliver may publish and join again, as a long poll that is answered and comes back does.
func TestPublishAndRejoinInDeliver(t *testing.T) {
	h := New(Options{Rule: keep(10)})
	l := h.Lane(0)
	var s recorder
	s.then = func(batch []*Message) {
		l.Leave(&s)
		if len(s.got) < 5 {
			say(t, h, strings.Repeat("x", len(s.got)+1), "kept")
		}
		r := l.Join(&s, []string{"kept"}, batch[len(batch)-1].ID, true)
		if r.Gaps != nil {
			t.Errorf("gap %v", r.Gaps)
		}
		s.got = append(s.got, r.Messages...)
	}
	l.Join(&s, []string{"kept"}, 0, false)
	say(t, h, "x", "kept")
	run(h)
	say(t, h, "y", "kept")
	run(h)
	want(t, "s", s.text(), "kept:x kept:xx kept:y kept:xxxx")
	check(t, h)
}

func TestOtherLanePanics(t *testing.T) {
	h := New(Options{Lanes: 2})
	var s recorder
	h.Lane(0).Join(&s, []string{"a"}, 0, false)
	defer func() {
		if recover() == nil {
			t.Error("Leave on another lane went unnoticed")
		}
	}()
	h.Lane(1).Leave(&s)
}

func TestRendered(t *testing.T) {
	for _, m := range []*Message{
		{Data: []byte("x")},                      // never kept
		{Data: []byte("x"), copies: new(copies)}, // from history
	} {
		calls := 0
		render := func(m *Message, _ []byte) []byte { calls++; return append([]byte{'<'}, m.Data...) }
		for i := range 10 {
			e := &Encoding{Render: render}
			one, two := m.Rendered(e), m.Rendered(e)
			if !bytes.Equal(one, []byte("<x")) || &one[0] != &two[0] || calls != i+1 {
				t.Errorf("encoding %d: %q, %q, rendered %d times", i, one, two, calls)
			}
		}
		// One that loses the race drops its own.
		var inner []byte
		racing, inside := new(Encoding), false
		racing.Render = func(m *Message, _ []byte) []byte {
			if inside {
				return []byte("first")
			}
			inside = true
			inner = m.Rendered(racing)
			return []byte("second")
		}
		outer := m.Rendered(racing)
		if string(outer) != "first" || &inner[0] != &outer[0] {
			t.Errorf("after a race: %q and %q", inner, outer)
		}
	}
}

func TestChannels(t *testing.T) {
	h := New(Options{Rule: keep(2)})
	var s, other recorder
	h.Lane(0).Join(&s, []string{"a.1", "a.2", "b"}, 0, false)
	h.Lane(0).Join(&other, []string{"a.2"}, 0, false)
	say(t, h, "123", "kept")
	id := say(t, h, "1234", "kept", "b")
	names := func(prefix string, limit int) string {
		list, more := h.Channels(prefix, limit)
		var names []string
		for _, i := range list {
			names = append(names, i.Name)
		}
		if more {
			names = append(names, "…")
		}
		return strings.Join(names, " ")
	}
	want(t, "all", names("", 10), "a.1 a.2 b kept")
	want(t, "exactly", names("", 4), "a.1 a.2 b kept")
	want(t, "first two", names("", 2), "a.1 a.2 …")
	want(t, "prefix", names("a.", 2), "a.1 a.2")
	want(t, "none", names("c", 2), "")
	want(t, "limit 0", names("", 0), "…")
	if i, ok := h.Channel("kept"); !ok || i != (Info{"kept", 0, 2, 7, id}) {
		t.Errorf("kept: %+v, %v", i, ok)
	}
	if i, ok := h.Channel("a.2"); !ok || i != (Info{Name: "a.2", Subscribers: 2}) {
		t.Errorf("a.2: %+v, %v", i, ok)
	}
	if i, ok := h.Channel("nobody's"); ok {
		t.Errorf("nobody's: %+v", i)
	}
	// Many, so that the list is made in several pieces.
	members := make([]recorder, 5000)
	for i := range members {
		h.Lane(0).Join(&members[i], []string{"m" + ID(i+1).String()}, 0, false)
	}
	list, more := h.Channels("m", 100)
	if len(list) != 100 || !more || list[0].Name != "m"+ID(1).String() || list[99].Name != "m"+ID(100).String() {
		t.Errorf("first 100 of 5,000: %d from %q, more %v", len(list), list[0].Name, more)
	}
	check(t, h)
}

// TestPublishGivesWay: a batch lets others have the lock after a number of messages, whatever number of channels its
// drafts have.
func TestPublishGivesWay(t *testing.T) {
	for channels, want := range map[int]uint64{1: 200 / 64, 3: 200 / 22, 1000: 200} {
		h := New(Options{})
		d := Draft{Data: []byte("x")}
		for i := range channels {
			d.Channels = append(d.Channels, fmt.Sprint("c.", i))
		}
		drafts := slices.Repeat([]Draft{d}, 200)
		if _, err := h.Publish(drafts); err != nil {
			t.Fatal(err)
		}
		if n := h.work.slices; n != want {
			t.Errorf("200 drafts of %d channels: the lock is given away %d times; want %d", channels, n, want)
		}
	}
}
