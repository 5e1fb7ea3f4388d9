package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/plainval"
)

// told is what a tracker makes of events.
type told struct{ list []string }

func (l *told) take() string {
	slices.Sort(l.list)
	text := strings.Join(l.list, " ")
	l.list = nil
	return text
}

func (l *told) options(present func(string) bool) Options {
	add := func(e Event) { l.list = append(l.list, fmt.Sprintf("%s:%s:%s", e.Type, e.Channel, e.User)) }
	return Options{
		Grace: time.Hour, Users: true, Present: present, Notify: add, Publish: func(e Event) bool { add(e); return true },
	}
}

// TestTrackerMoves checks that nobody is told of those who move, that grace periods go on, and who has left.
func TestTrackerMoves(t *testing.T) {
	all := func(string) bool { return true }
	var before, after told
	old := New(before.options(all))
	old.Begin("ann", []string{"a", "b"})
	old.Begin("ann", []string{"a"})
	old.Begin("bob", []string{"a"})
	old.Begin("cat", []string{"b"})
	old.Begin("dan", []string{"d"})
	old.End("cat", []string{"b"})
	b := old.Export(nil)

	tr := New(after.options(func(name string) bool { return name != "d" }))
	if err := tr.Import(b); err != nil {
		t.Fatal(err)
	}
	tr.Begin("ann", []string{"a", "b"})
	tr.Begin("ann", []string{"a"})
	tr.Begin("dan", []string{"d"})
	tr.Adopted()
	if got := after.take(); got != "" {
		t.Errorf("told of %s by a move", got)
	}
	s := tr.Stats()
	if s.Users != 4 || s.Members != 4 || s.Leaving != 4 { // cat, and bob who has not moved; d is not tracked any more
		t.Errorf("%+v", s)
	}
	tr.Begin("cat", []string{"b"}) // in time
	tr.Begin("eve", []string{"a"})
	if got := after.take(); got != "join:a:eve online::eve" {
		t.Errorf("told of %s", got)
	}
	tr.End("ann", []string{"a"})
	tr.Close()
	if got := after.take(); got != "offline::bob" { // joins and leaves are not published after Close
		t.Errorf("told of %s in the end", got)
	}
}

// TestHeldTracker checks that nothing is told while a tracker is held, and nothing ever by one that has moved.
func TestHeldTracker(t *testing.T) {
	for _, moved := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var l told
			o := l.options(func(string) bool { return true })
			o.Grace = time.Second
			tr := New(o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go tr.Serve(ctx)
			tr.Begin("ann", []string{"a"})
			synctest.Wait()
			l.take()
			tr.Hold()
			tr.End("ann", []string{"a"})
			time.Sleep(time.Minute)
			if got := l.take(); got != "" {
				t.Errorf("told of %s while held", got)
			}
			tr.Release(moved)
			time.Sleep(time.Minute)
			synctest.Wait()
			want := "leave:a:ann offline::ann"
			if moved {
				want = ""
			}
			if got := l.take(); got != want {
				t.Errorf("moved %t: told of %q; want %q", moved, got, want)
			}
		})
	}
}

// TestBadPresence checks what Export does not write.
func TestBadPresence(t *testing.T) {
	var l told
	old := New(l.options(func(string) bool { return true }))
	old.Begin("ann", []string{"a"})
	old.Begin("bob", []string{"a"})
	old.End("bob", []string{"a"})
	old.unpublished = []Event{{Join, time.Unix(1, 2), "a", "ann"}}
	b := old.Export(nil)
	again := New(l.options(func(string) bool { return true }))
	if err := again.Import(b); err != nil || len(again.unpublished) != 1 {
		t.Fatal(err, again.unpublished)
	}
	for n := range b {
		if err := New(l.options(nil)).Import(b[:n]); !errors.Is(err, plainval.ErrBad) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	old.unpublished[0].Type = Online
	if err := New(l.options(nil)).Import(old.Export(nil)); !errors.Is(err, plainval.ErrBad) {
		t.Errorf("an event that is not published: %v", err)
	}
}
