package hub

import (
	"slices"
	"strings"
	"testing"
)

// TestLargeMessageIsRenderedFirst: its groups wait, in order, and no other does.
func TestLargeMessageIsRenderedFirst(t *testing.T) {
	h := New(Options{Lanes: 2})
	type task struct {
		m    *Message
		done func()
	}
	var tasks []task
	h.OnLarge(func(m *Message, done func()) bool {
		tasks = append(tasks, task{m, done})
		return true
	})
	woken := 0
	h.Lane(1).OnWork(func() { woken++ })
	var a, both, other, gone recorder
	h.Lane(0).Join(&a, []string{"a"}, 0, false)
	h.Lane(1).Join(&both, []string{"a", "b"}, 0, false)
	h.Lane(1).Join(&other, []string{"b"}, 0, false)
	h.Lane(0).Join(&gone, []string{"a", "c"}, 0, false)
	large := strings.Repeat("l", largeData)
	say(t, h, "1", "a")
	say(t, h, large, "a")
	say(t, h, "2", "a", "b")
	run(h)
	if len(tasks) != 1 || string(tasks[0].m.Data) != large {
		t.Fatalf("%d messages are to be rendered", len(tasks))
	}
	want(t, "group of the large message", a.text()+both.text(), "")
	want(t, "another group", other.text(), "b:2")
	say(t, h, "3", "a")
	run(h)
	h.Lane(0).Leave(&gone)
	before := woken
	tasks[0].done()
	if woken != before+1 {
		t.Errorf("the lane is woken %d times", woken-before)
	}
	run(h)
	all := "a:1 a:" + large + " a:2 a:3"
	if a.text() != all || both.text() != all {
		t.Errorf("%d and %d messages came", len(a.got), len(both.got))
	}
	if len(tasks) != 1 || len(h.rendering) > 0 || h.Stats().Backlog != 0 {
		t.Errorf("rendered %d times; %d wait; backlog %d", len(tasks), len(h.rendering), h.Stats().Backlog)
	}
	check(t, h)
}

// TestJoinWhileRendering: who joins, moves or comes back while a large message is being rendered has it once.
func TestJoinWhileRendering(t *testing.T) {
	h := New(Options{Wildcards: true, Rule: keep(9)})
	lane := h.Lane(0)
	var done func()
	h.OnLarge(func(_ *Message, f func()) bool { done = f; return true })
	set := []string{"kept.a"}
	var stays, moves, returns, resumes, newest, pattern, late recorder
	early := h.Newest(set, 5)
	position := h.Position()
	for _, r := range []*recorder{&stays, &moves, &returns} {
		lane.Join(r, set, 0, false)
	}
	say(t, h, "1", set...)
	say(t, h, strings.Repeat("l", largeData), set...)
	say(t, h, "2", set...)
	run(h)
	if done == nil || len(stays.got) > 0 {
		t.Fatalf("%d messages came before all are rendered", len(stays.got))
	}
	replayed := func(r *recorder, replay Replay) {
		if len(replay.Gaps) > 0 {
			t.Errorf("gaps: %v", replay.Gaps)
		}
		r.got = append(r.got, replay.Messages...)
	}
	replayed(&moves, lane.Join(&moves, []string{"kept.a", "other"}, 0, false))
	lane.Leave(&returns)
	replayed(&returns, lane.Join(&returns, set, returns.membership.Position(), true))
	replayed(&resumes, lane.Join(&resumes, set, position, true))
	replayed(&newest, lane.JoinNewest(&newest, set, early))
	replayed(&pattern, lane.JoinNewest(&pattern, []string{"kept.*"}, h.Newest([]string{"kept.*"}, 5)))
	lane.Join(&late, set, 0, false)
	say(t, h, "3", set...)
	run(h)
	done()
	run(h)
	for i, r := range []*recorder{&stays, &moves, &returns, &resumes, &newest, &pattern} {
		sizes := make([]int, len(r.got))
		for j, m := range r.got {
			sizes[j] = len(m.Data)
		}
		if !slices.Equal(sizes, []int{1, largeData, 1, 1}) {
			t.Errorf("subscriber %d has messages of %v bytes", i, sizes)
		}
	}
	want(t, "who came late", late.text(), "kept.a:3")
	check(t, h)
}

// TestLargeMessageWithoutWorker: if nobody can render it now, it is delivered all the same.
func TestLargeMessageWithoutWorker(t *testing.T) {
	h := New(Options{})
	asked := 0
	h.OnLarge(func(*Message, func()) bool { asked++; return false })
	var r recorder
	h.Lane(0).Join(&r, []string{"a"}, 0, false)
	say(t, h, strings.Repeat("l", largeData), "a")
	say(t, h, strings.Repeat("s", largeData-1), "a")
	run(h)
	if len(r.got) != 2 || asked != 1 {
		t.Errorf("%d came; %d were to be rendered", len(r.got), asked)
	}
}

// TestStepIsBoundedByBytes: a step comes to as many members as have the same bytes to be written.
func TestStepIsBoundedByBytes(t *testing.T) {
	for data, most := range map[int]int{1: 64, stepData: 32, 1 << 20: 1} {
		h := New(Options{})
		l := h.Lane(0)
		members := make([]counter, 100)
		for i := range members {
			l.Join(&members[i], []string{"a"}, 0, false)
		}
		say(t, h, strings.Repeat("x", data), "a")
		for more := true; more; {
			before := h.Stats().Delivered
			more = l.Step(64)
			if n := h.Stats().Delivered - before; n > uint64(most) {
				t.Fatalf("%d bytes: %d members in one step, want %d at most", data, n, most)
			}
		}
		if n := h.Stats().Delivered; n != 100 {
			t.Errorf("%d bytes: %d members have it", data, n)
		}
	}
}
