package cache

import (
	"fmt"
	"testing"
	"time"
)

// TestWatch: what ends an entry wakes who watches it, once, and nothing else does.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *Store, h *Hasher, q *Request)
		want string
	}{
		{"nothing", func(*Store, *Hasher, *Request) {}, ""},
		{"a hit", func(s *Store, _ *Hasher, _ *Request) { s.Find(Key{1}, nil, start) }, ""},
		{"its time", func(s *Store, _ *Hasher, _ *Request) { s.Find(Key{1}, nil, start.Add(90*time.Second)) }, ""},
		{"the end of its use", func(s *Store, _ *Hasher, _ *Request) { s.Find(Key{1}, nil, start.Add(time.Hour)) }, "again"},
		{"a change", func(s *Store, _ *Hasher, _ *Request) { s.InvalidateURL("", "/") }, "again"},
		{"another change", func(s *Store, _ *Hasher, _ *Request) { s.InvalidateURL("", "/x") }, ""},
		{"its group", func(s *Store, _ *Hasher, _ *Request) { s.InvalidateGroup("", "g") }, "again"},
		{"a prefix", func(s *Store, _ *Hasher, _ *Request) { s.InvalidatePrefix("", "/") }, "again"},
		{"everything", func(s *Store, _ *Hasher, _ *Request) { s.Clear() }, "again"},
		{"a newer one", func(s *Store, h *Hasher, q *Request) {
			later := start.Add(70 * time.Second)
			f := ask(s, h, Key{1}, q, nil, later).Flight
			s.Finish(f, entryFor(t, f, q, fresh, "new", later), later)
		}, "again"},
		{"a newer one that is not kept", func(s *Store, h *Hasher, q *Request) {
			s.Abandon(ask(s, h, Key{1}, q, nil, start.Add(70*time.Second)).Flight, NoStore, time.Minute, start.Add(70*time.Second))
		}, "again"},
		{"an error", func(s *Store, h *Hasher, q *Request) {
			s.Fail(ask(s, h, Key{1}, q, nil, start.Add(70*time.Second)).Flight, start.Add(70*time.Second))
		}, ""},
	} {
		h := NewHasher()
		s := NewStore(Options{}, h)
		q := requestOf(t, "/", "")
		store(t, s, h, Key{1}, q, "Cache-Control: max-age=60, stale-if-error=60\nCache-Groups: \"g\"")
		e, _ := s.Find(Key{1}, nil, start)
		var list []*waiter
		var watches []*Watch
		for range 3 {
			list = append(list, &waiter{})
			watches = append(watches, s.Watch(Key{1}, nil, e, list[len(list)-1], start))
		}
		gone := &waiter{}
		if x := s.Watch(Key{1}, nil, e, gone, start); !s.Unwatch(x) || s.Unwatch(x) {
			t.Error("a watch does not end, or ends twice")
		}
		c.do(s, h, q)
		if got := all(t, list); got != c.want || gone.outcome(t) != "" {
			t.Errorf("%s: told %q; want %q", c.name, got, c.want)
		}
		for _, x := range watches {
			if s.Unwatch(x) != (c.want == "") {
				t.Errorf("%s: who was woken ends its watch, or who was not can't", c.name)
			}
		}
		if s.Stats().Watches != 0 {
			t.Errorf("%s: %d watches are left", c.name, s.Stats().Watches)
		}
	}
}

// TestWatchWhatAnswers: only what answers the request now can be watched.
func TestWatchWhatAnswers(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	store(t, s, h, Key{1}, q, fresh)
	e, _ := s.Find(Key{1}, nil, start)
	if s.Watch(Key{1}, nil, e, &waiter{}, start.Add(time.Minute)) != nil || s.Watch(Key{2}, nil, e, &waiter{}, start) != nil {
		t.Error("watched is what is stale, or another's")
	}
	s.InvalidateURL("", "/")
	store(t, s, h, Key{1}, q, fresh)
	if s.Watch(Key{1}, nil, e, &waiter{}, start) != nil {
		t.Error("watched is what was replaced")
	}
}

// TestManyWatches: of a change that ends more than one call drops, all are woken in the end, and nothing that is new is.
func TestManyWatches(t *testing.T) {
	h := NewHasher()
	behind := 0
	s := NewStore(Options{Behind: func() { behind++ }}, h)
	var list []*waiter
	put := func(i int) {
		k := Key{byte(i), byte(i >> 8), 1}
		q := requestOf(t, fmt.Sprintf("/%d", i), "")
		store(t, s, h, k, q, fresh+"\nCache-Groups: \"g\"")
		e, _ := s.Find(k, nil, start)
		list = append(list, &waiter{})
		s.Watch(k, nil, e, list[len(list)-1], start)
	}
	for i := range 1000 {
		put(i)
	}
	s.InvalidateGroup("", "g")
	if n := s.Stats().Watches; n == 0 || n > 1000-maxDrops {
		t.Errorf("after one call %d watch", n)
	}
	if s.InvalidateGroup("", "another"); behind != 1 {
		t.Errorf("told %d times that Sweep has to be called", behind)
	}
	put(2000)
	calls := 0
	for s.Sweep(0, start) >= maxDrops && calls < 100 {
		calls++
	}
	if n := s.Stats().Watches; n != 1 || calls > 4 || all(t, list[:1000]) != "again" || list[1000].outcome(t) != "" || len(s.dying) != 0 {
		t.Errorf("after %d more calls %d watch, %d lists are dying", calls, n, len(s.dying))
	}
	if st := s.Stats(); st.Entries != 1 {
		t.Errorf("%d entries", st.Entries)
	}
}
