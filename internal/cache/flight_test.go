package cache

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd begins for a key n times and returns the leader's flight and those who wait.
func crowd(t testing.TB, s *Store, h *Hasher, k Key, q *Request, n int, now time.Time) (*Flight, []*waiter) {
	t.Helper()
	turn := ask(s, h, k, q, &waiter{}, now)
	if turn.Role != Leader {
		t.Fatalf("the first has role %d", turn.Role)
	}
	list := make([]*waiter, n)
	for i := range list {
		list[i] = &waiter{}
		if turn := ask(s, h, k, q, list[i], now); turn.Role != Wait {
			t.Fatalf("another has role %d", turn.Role)
		}
	}
	return turn.Flight, list
}

// all returns what all waiters are told, if that is the same.
func all(t testing.TB, list []*waiter) string {
	t.Helper()
	for _, w := range list[1:] {
		if w.outcome(t) != list[0].outcome(t) {
			t.Fatalf("told are %q and %q", list[0].outcome(t), w.outcome(t))
		}
	}
	return list[0].outcome(t)
}

// TestOneFetch: a thousand who ask for the same have one fetch, and its answer; who comes then has a hit.
func TestOneFetch(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 1000, start)
	if all(t, list) != "" {
		t.Fatal("woken before the end")
	}
	if !s.Finish(f, entryFor(t, f, q, fresh, "one", start), start) || all(t, list) != "answer one" {
		t.Errorf("told: %q", all(t, list))
	}
	if turn := ask(s, h, Key{1}, q, &waiter{}, start); turn.Role != Hit || string(turn.Entry.Body()) != "one" {
		t.Errorf("role %d after that", turn.Role)
	}
	if st := s.Stats(); st.Fetches != 1 || st.Waits != 1000 || st.Hits != 1 || st.Stored != 1 || st.Flights != 0 {
		t.Errorf("%+v", st)
	}
}

// TestNobodyQueues: if a response can't be kept, those who wait go at once, and those who come do not wait, until one can.
func TestNobodyQueues(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 10, start)
	s.Abandon(f, SetsCookie, time.Minute, start)
	if all(t, list) != "alone" || list[0].results[0].Reason != SetsCookie {
		t.Errorf("told: %q", all(t, list))
	}
	var turns []Turn
	for range 10 {
		if _, state := s.Find(Key{1}, q.Fields, start); state != Pass {
			t.Fatalf("found: %d", state)
		}
		turns = append(turns, ask(s, h, Key{1}, q, &waiter{}, start))
		if turn := turns[len(turns)-1]; turn.Role != Leader || turn.Entry != nil {
			t.Fatalf("role %d", turn.Role)
		}
	}
	s.Abandon(turns[0].Flight, SetsCookie, time.Minute, start)
	if !s.Finish(turns[1].Flight, entryFor(t, turns[1].Flight, q, fresh, "now", start), start) {
		t.Error("one that can be kept is not")
	}
	if _, state := s.Find(Key{1}, q.Fields, start); state != Fresh {
		t.Errorf("and not found: %d", state)
	}
	for _, turn := range turns[2:] {
		s.Abandon(turn.Flight, Incomplete, 0, start)
	}
	if st := s.Stats(); st.Flights != 0 || st.Alone != 10 {
		t.Errorf("%+v", st)
	}

	s = NewStore(Options{}, h)
	f, _ = crowd(t, s, h, Key{1}, q, 0, start)
	s.Abandon(f, NoStore, time.Minute, start)
	if turn := ask(s, h, Key{1}, q, &waiter{}, start.Add(time.Minute)); turn.Role != Leader || turn.Flight.alone {
		t.Error("it is remembered for too long")
	}
}

// TestErrorsAreForgotten: after a response that was cut nothing is remembered, and an error of the app does not push out what
// may answer instead.
func TestErrorsAreForgotten(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 2, start)
	s.Abandon(f, Incomplete, 0, start)
	if _, state := s.Find(Key{1}, nil, start); state != Miss || all(t, list) != "alone" {
		t.Errorf("after a cut: %d, %q", state, all(t, list))
	}
	store(t, s, h, Key{1}, q, "Cache-Control: max-age=60, stale-if-error=600")
	later := start.Add(2 * time.Minute)
	f, _ = crowd(t, s, h, Key{1}, q, 2, later)
	s.Abandon(f, Failed, time.Second, later)
	if e, state := s.Find(Key{1}, nil, later); state != Stale || !e.MayFail(later) {
		t.Errorf("after an error: %d", state)
	}
	f, _ = crowd(t, s, h, Key{1}, q, 2, later)
	s.Abandon(f, Private, time.Second, later)
	if _, state := s.Find(Key{1}, nil, later); state != Pass {
		t.Errorf("after one that is private: %d", state)
	}
}

// TestShare: an error that is good for all is given to them, and not kept.
func TestShare(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 3, start)
	r := responseOf(t, 503, "Retry-After: 5")
	v := Judge(&strict, f.Place(), q, r, start)
	s.Share(f, NewEntry(&v, r, []byte("503 Busy"), []byte("sorry"), start), start)
	if _, state := s.Find(Key{1}, nil, start); state != Miss || all(t, list) != "answer sorry" || list[0].results[0].Entry.Status() != 503 {
		t.Errorf("told %q, found %d", all(t, list), state)
	}
	for fields, told := range map[string]string{"Set-Cookie: a=b": "alone", "Vary: Accept": "alone", "Cache-Control: private": "alone"} {
		f, list = crowd(t, s, h, Key{1}, q, 2, start)
		r := responseOf(t, 503, fields)
		v := Judge(&strict, f.Place(), q, r, start)
		e := NewEntry(&v, r, []byte("503 Busy"), []byte("sorry"), start)
		s.Share(f, e, start)
		if all(t, list) != told {
			t.Errorf("an error with %s: told %q", fields, all(t, list))
		}
		f, list = crowd(t, s, h, Key{1}, q, 2, start)
		if s.Finish(f, e, start) || all(t, list) != "alone" {
			t.Errorf("an error with %s is kept, or told is %q", fields, all(t, list))
		}
	}
	f, list = crowd(t, s, h, Key{1}, q, 1, start)
	s.InvalidateURL("", "/")
	late := &waiter{}
	if turn := ask(s, h, Key{1}, q, late, start); turn.Role != Leader {
		t.Errorf("after a change, role %d", turn.Role)
	}
	s.Share(f, NewEntry(&v, r, []byte("503 Busy"), []byte("sorry"), start), start)
	if all(t, list) != "answer sorry" || late.outcome(t) != "" {
		t.Errorf("told %q", all(t, list))
	}
}

// TestFail: if the app fails, a stale entry answers the leader and those who wait, as long as it may, and unless something
// about it has changed meanwhile.
func TestFail(t *testing.T) {
	q := requestOf(t, "/", "Accept: a")
	for _, c := range []struct {
		name, fields string
		after        time.Duration
		change       func(*Store)
		want, told   string
	}{
		{"in its window", "Cache-Control: max-age=60, stale-if-error=60", 90 * time.Second, nil, "old", "answer old"},
		{"after it", "Cache-Control: max-age=60, stale-if-error=60\nETag: \"a\"", 121 * time.Second, nil, "", "alone"},
		{"without one", "Cache-Control: max-age=60\nETag: \"a\"", 90 * time.Second, nil, "", "alone"},
		{"must-revalidate", "Cache-Control: max-age=60, stale-if-error=60, must-revalidate\nETag: \"a\"", 90 * time.Second, nil, "", "alone"},
		{"nothing", "Cache-Control: max-age=60", 90 * time.Second, nil, "", "alone"},
		{"changed", "Cache-Control: max-age=60, stale-if-error=60", 90 * time.Second,
			func(s *Store) { s.InvalidateURL("", "/") }, "", "alone"},
		{"its group changed", "Cache-Control: max-age=60, stale-if-error=60\nCache-Groups: \"g\"", 90 * time.Second,
			func(s *Store) { s.InvalidateGroup("", "g") }, "", "alone"},
		{"it varies", "Cache-Control: max-age=60, stale-if-error=60\nVary: Accept", 90 * time.Second, nil, "old", "answer old"},
	} {
		h := NewHasher()
		s := NewStore(Options{}, h)
		storeAt(t, s, h, Key{1}, q, c.fields, "old", start)
		later := start.Add(c.after)
		f, list := crowd(t, s, h, Key{1}, q, 2, later)
		if c.change != nil {
			c.change(s)
		}
		got := ""
		if e := s.Fail(f, later); e != nil {
			got = string(e.Body())
		}
		if got != c.want || all(t, list) != c.told || s.Stats().Flights != 0 || s.Fail(f, later) != nil {
			t.Errorf("%s: the leader has %q, the others are told %q", c.name, got, all(t, list))
		}
		want := map[bool]Role{true: Hit, false: Leader}[c.want != ""]
		if turn := ask(s, h, Key{1}, q, &waiter{}, later.Add(passTimeError-1)); turn.Role != want {
			t.Errorf("%s: who comes at once has role %d; want %d", c.name, turn.Role, want)
		}
		if turn := ask(s, h, Key{1}, q, &waiter{}, later.Add(passTimeError)); c.want != "" && turn.Role != Leader {
			t.Errorf("%s: who comes after a second has role %d", c.name, turn.Role)
		}
	}
}

// TestZeroFresh: a response that is validated each time is not given to those who waited for another's.
func TestZeroFresh(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 2, start)
	if !s.Finish(f, entryFor(t, f, q, "Cache-Control: no-cache\nETag: \"a\"", "one", start), start) || all(t, list) != "alone" {
		t.Errorf("told %q", all(t, list))
	}
	if e, state := s.Find(Key{1}, nil, start); state != Pass || !e.HasConditions() {
		t.Errorf("found %d", state)
	}
	a, b := ask(s, h, Key{1}, q, &waiter{}, start), ask(s, h, Key{1}, q, &waiter{}, start)
	if a.Role != Leader || b.Role != Leader || a.Entry == nil || b.Entry == nil {
		t.Errorf("roles %d and %d", a.Role, b.Role)
	}
	if !s.Finish(a.Flight, entryFor(t, a.Flight, q, fresh, "two", start), start) {
		t.Error("one that is fresh is not kept")
	}
	if s.Finish(b.Flight, entryFor(t, b.Flight, q, "Cache-Control: no-cache\nETag: \"a\"", "three", start), start.Add(-time.Second)) {
		if e, _ := s.Find(Key{1}, nil, start); string(e.Body()) != "three" {
			t.Error("neither is there")
		}
	}
}

// TestStale: while one fetches, others who have something stale do not wait, and those who have not do.
func TestStale(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	store(t, s, h, Key{1}, q, "Cache-Control: max-age=60, stale-while-revalidate=60")
	later := start.Add(90 * time.Second)
	turn := ask(s, h, Key{1}, q, nil, later)
	if turn.Role != Leader || turn.Entry == nil || !turn.Entry.MayUpdate(later) {
		t.Fatalf("the first: role %d", turn.Role)
	}
	for range 3 {
		if other := ask(s, h, Key{1}, q, nil, later); other.Role != Busy || other.Entry != turn.Entry {
			t.Errorf("another: role %d", other.Role)
		}
	}
	w := &waiter{}
	if other := ask(s, h, Key{1}, q, w, later); other.Role != Wait {
		t.Errorf("one that waits: role %d", other.Role)
	}
	s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh, "new", later), later)
	if w.outcome(t) != "answer new" || s.Stats().Busy != 3 || s.Stats().Dropped[Replaced] != 1 {
		t.Errorf("told %q, %+v", w.outcome(t), s.Stats())
	}
}

// TestVaryAfterTheFact: those who waited before it was known what the response varies by look again, and then each variant
// has one fetch.
func TestVaryAfterTheFact(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	of := func(i int) *Request { return requestOf(t, "/", fmt.Sprintf("Accept-Language: %d", i%3)) }
	turn := ask(s, h, Key{1}, of(0), &waiter{}, start)
	var list []*waiter
	for i := range 30 {
		list = append(list, &waiter{})
		ask(s, h, Key{1}, of(i), list[i], start)
	}
	s.Finish(turn.Flight, entryFor(t, turn.Flight, of(0), fresh+"\nVary: Accept-Language", "0", start), start)
	if all(t, list) != "again" {
		t.Fatalf("told %q", all(t, list))
	}
	flights := map[int]*Flight{}
	hits := 0
	for i := range 30 {
		list[i] = &waiter{}
		switch turn := s.Begin(&Ask{Key: Key{1}, Fields: of(i).Fields, Place: h.NewPlace("rule", "", of(i), nil, nil), Waiter: list[i], Again: true}, start); turn.Role {
		case Hit:
			hits++
			if string(turn.Entry.Body()) != "0" || i%3 != 0 {
				t.Errorf("%d is given %q", i, turn.Entry.Body())
			}
		case Leader:
			if flights[i%3] != nil {
				t.Error("a variant has two fetches")
			}
			flights[i%3] = turn.Flight
		case Busy:
			t.Error("busy")
		}
	}
	if hits != 10 || len(flights) != 2 {
		t.Fatalf("%d hits, %d fetches", hits, len(flights))
	}
	s.Finish(flights[1], entryFor(t, flights[1], of(1), fresh+"\nVary: Accept-Language", "1", start), start)
	s.Finish(flights[2], entryFor(t, flights[2], of(2), fresh+"\nVary: Accept-Language, Accept", "2", start), start)
	for i, w := range list {
		switch got := w.outcome(t); {
		case i%3 == 0 || i < 3:
			if got != "" {
				t.Errorf("%d is told %q", i, got)
			}
		case i%3 == 1 && got != "answer 1", i%3 == 2 && got != "alone": // it varies by more now, and they have waited twice
			t.Errorf("%d is told %q", i, got)
		}
	}
}

// TestChangeDuringFetch: what a fetch brings answers those who waited before the change only, and is not kept.
func TestChangeDuringFetch(t *testing.T) {
	q := requestOf(t, "/a?b=c", "")
	group := fresh + "\nCache-Groups: \"g\", \"h\""
	for _, c := range []struct {
		name   string
		change func(*Store)
		about  bool
		known  bool // before the response comes
	}{
		{"URL", func(s *Store) { s.InvalidateURL("http://www.example.com", "/a?b=c") }, true, true},
		{"URL anywhere", func(s *Store) { s.InvalidateURL("", "/%61?b=c") }, true, true},
		{"another URL", func(s *Store) { s.InvalidateURL("", "/a") }, false, false},
		{"URL of another origin", func(s *Store) { s.InvalidateURL("http://example.com", "/a?b=c") }, false, false},
		{"prefix", func(s *Store) { s.InvalidatePrefix("", "/a") }, true, true},
		{"prefix there", func(s *Store) { s.InvalidatePrefix("http://www.example.com", "/a?b") }, true, true},
		{"another prefix", func(s *Store) { s.InvalidatePrefix("", "/b") }, false, false},
		{"prefix elsewhere", func(s *Store) { s.InvalidatePrefix("http://x", "/") }, false, false},
		{"every prefix", func(s *Store) { s.InvalidatePrefix("", "") }, true, true},
		{"rule", func(s *Store) { s.InvalidateRule("rule") }, true, true},
		{"another rule", func(s *Store) { s.InvalidateRule("other") }, false, false},
		{"session", func(s *Store) { s.InvalidateSession(7, nil) }, true, true},
		{"another session", func(s *Store) { s.InvalidateSession(8, nil) }, false, false},
		{"channel", func(s *Store) { s.InvalidateChannel("parcel.42") }, true, true},
		{"another channel", func(s *Store) { s.InvalidateChannel("parcel.4") }, false, false},
		{"group", func(s *Store) { s.InvalidateGroup("http://www.example.com", "h") }, true, false},
		{"group anywhere", func(s *Store) { s.InvalidateGroup("", "g") }, true, false},
		{"another group", func(s *Store) { s.InvalidateGroup("", "G") }, false, false},
		{"group of another origin", func(s *Store) { s.InvalidateGroup("http://x", "g") }, false, false},
		{"all", func(s *Store) { s.Clear() }, true, true},
		{"more than are remembered", func(s *Store) {
			for i := range 2 * maxLog {
				s.InvalidateURL("", fmt.Sprintf("/%d", i))
			}
		}, true, true},
	} {
		h := NewHasher()
		s := NewStore(Options{}, h)
		place := h.NewPlace("rule", "parcel.42", q, nil, []Tag{7})
		begin := func(w Waiter) Turn { return s.Begin(&Ask{Key: Key{1}, Place: place, Waiter: w}, start) }
		turn, before, after := begin(&waiter{}), &waiter{}, &waiter{}
		begin(before)
		c.change(s)
		second := begin(after)
		if want := map[bool]Role{true: Leader, false: Wait}[c.known]; second.Role != want {
			t.Errorf("%s: who comes after it has role %d; want %d", c.name, second.Role, want)
		}
		kept := s.Finish(turn.Flight, entryFor(t, turn.Flight, q, group, "old", start), start)
		_, state := s.Find(Key{1}, nil, start)
		if kept == c.about || (state == Fresh) == c.about || before.outcome(t) != "answer old" {
			t.Errorf("%s: kept %v, found %d, who waited before it is told %q", c.name, kept, state, before.outcome(t))
		}
		want := map[bool]string{true: "again", false: "answer old"}[c.about]
		if c.known {
			want = ""
		}
		if got := after.outcome(t); got != want {
			t.Errorf("%s: who waited after it is told %q; want %q", c.name, got, want)
		}
		if c.known {
			s.Finish(second.Flight, entryFor(t, second.Flight, q, group, "new", start), start)
			if e, state := s.Find(Key{1}, nil, start); state != Fresh || string(e.Body()) != "new" {
				t.Errorf("%s: what was fetched after it is not kept: %d", c.name, state)
			}
		}
		if st := s.Stats(); st.Flights != 0 || len(s.flights.byKey) != 0 || len(s.log.list) != 0 {
			t.Errorf("%s: left over: %d flights, %d in the table, %d changes", c.name, st.Flights, len(s.flights.byKey), len(s.log.list))
		}
	}
}

// TestInvalidate: what is stored is gone with each of what it is about, also if there is more of it than a call drops.
func TestInvalidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Store) int
		n      int
	}{
		{"rule", func(s *Store) int { return s.InvalidateRule("rule") }, 1000},
		{"group", func(s *Store) int { return s.InvalidateGroup("", "g") }, 1000},
		{"prefix", func(s *Store) int { return s.InvalidatePrefix("", "/") }, 1000},
		{"a part", func(s *Store) int { return s.InvalidatePrefix("", "/99") }, 11},
		{"all", func(s *Store) int { return s.Clear() }, 1000},
		{"one", func(s *Store) int { return s.InvalidateURL("", "/99") }, 1},
		{"none", func(s *Store) int { return s.InvalidateURL("", "/") }, 0},
	} {
		h := NewHasher()
		s := NewStore(Options{}, h)
		for i := range 1000 {
			store(t, s, h, Key{byte(i), byte(i >> 8), 1}, requestOf(t, fmt.Sprintf("/%d", i), ""), fresh+"\nCache-Groups: \"g\"")
		}
		if n := c.change(s); n != c.n {
			t.Errorf("%s: %d dropped; want %d", c.name, n, c.n)
		}
		store(t, s, h, Key{200, 200}, requestOf(t, "/991", ""), fresh+"\nCache-Groups: \"g\"")
		found := 0
		for i := range 1000 {
			if _, state := s.Find(Key{byte(i), byte(i >> 8), 1}, nil, start); state != Miss {
				found++
			}
		}
		if _, state := s.Find(Key{200, 200}, nil, start); state != Fresh || found != 1000-c.n || s.Stats().Entries != found+1 {
			t.Errorf("%s: %d are found, %d are there; what was fetched after it: %d", c.name, found, s.Stats().Entries, state)
		}
	}
}

// TestLeave: who leaves is not woken, whoever that is.
func TestLeave(t *testing.T) {
	h := NewHasher()
	q := requestOf(t, "/", "")
	for leaves := range 4 {
		s := NewStore(Options{}, h)
		turn := ask(s, h, Key{1}, q, &waiter{}, start)
		var list []*waiter
		var tickets []*Ticket
		for range 3 {
			list = append(list, &waiter{})
			tickets = append(tickets, ask(s, h, Key{1}, q, list[len(list)-1], start).Ticket)
		}
		for i := range leaves {
			if !s.Leave(tickets[i]) || s.Leave(tickets[i]) {
				t.Error("leaving does not work, or works twice")
			}
		}
		s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh, "one", start), start)
		for i, w := range list {
			want := map[bool]string{true: "", false: "answer one"}[i < leaves]
			if got := w.outcome(t); got != want {
				t.Errorf("%d of %d: %q; want %q", i, leaves, got, want)
			}
			if s.Leave(tickets[i]) {
				t.Error("who was woken leaves")
			}
		}
	}
}

// TestHandOver: if a leader goes away, the one who has waited longest fetches, and if nobody waits the flight ends.
func TestHandOver(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 3, start)
	s.InvalidateURL("", "/other")
	if !s.HandOver(f, start) || list[0].outcome(t) != "lead" || list[1].outcome(t) != "" || list[0].results[0].Flight != f {
		t.Fatalf("told %q and %q", list[0].outcome(t), list[1].outcome(t))
	}
	if !s.HandOver(f, start) || list[1].outcome(t) != "lead" {
		t.Fatalf("told %q", list[1].outcome(t))
	}
	late := &waiter{}
	if turn := ask(s, h, Key{1}, q, late, start); turn.Role != Wait {
		t.Errorf("who comes then has role %d", turn.Role)
	}
	if !s.Finish(f, entryFor(t, f, q, fresh, "one", start), start) || list[2].outcome(t) != "answer one" || late.outcome(t) != "answer one" {
		t.Errorf("told %q and %q", list[2].outcome(t), late.outcome(t))
	}
	s.InvalidateURL("", "/")
	f, _ = crowd(t, s, h, Key{1}, q, 0, start)
	for range 2 {
		if s.HandOver(f, start) {
			t.Error("a flight for which nobody waits is handed over")
		}
	}
	if s.Stats().Flights != 0 {
		t.Error("a flight for which nobody waits goes on")
	}
	if s.Finish(f, entryFor(t, f, q, fresh, "late", start), start) {
		t.Error("one that has ended brings something")
	}
	s.Abandon(f, Incomplete, time.Minute, start)
	s.Share(f, entryFor(t, f, q, fresh, "late", start), start)
	if _, state := s.Find(Key{1}, nil, start); state != Miss {
		t.Errorf("found %d", state)
	}

	// The fetch of the new leader begins after a change that the one before had missed.
	f, list = crowd(t, s, h, Key{1}, q, 2, start)
	s.InvalidateGroup("", "g")
	s.HandOver(f, start)
	if !s.Finish(f, entryFor(t, f, q, fresh+"\nCache-Groups: \"g\"", "new", start), start) || list[1].outcome(t) != "answer new" {
		t.Errorf("told %q", list[1].outcome(t))
	}
}

// TestCut: after a response that was cut one of those who wait tries once more, and after a second all go at once.
func TestCut(t *testing.T) {
	h := NewHasher()
	q := requestOf(t, "/", "")
	for cuts := range 3 {
		s := NewStore(Options{}, h)
		f, list := crowd(t, s, h, Key{1}, q, 3, start)
		for range cuts {
			s.Cut(f, start)
		}
		want := [...]string{"answer one", "answer one", "alone"}[cuts]
		if kept := s.Finish(f, entryFor(t, f, q, fresh, "one", start), start); kept != (cuts < 2) {
			t.Errorf("after %d cuts, kept: %v", cuts, kept)
		}
		if got := list[0].outcome(t); cuts > 0 && got != "lead" || all(t, list[1:]) != want || s.Stats().Flights != 0 {
			t.Errorf("after %d cuts the first is told %q, the others %q", cuts, got, all(t, list[1:]))
		}
	}
	s := NewStore(Options{}, h)
	f, _ := crowd(t, s, h, Key{1}, q, 0, start)
	s.Cut(f, start)
	s.Cut(f, start)
	if st := s.Stats(); st.Flights != 0 {
		t.Errorf("%d flights for which nobody waits", st.Flights)
	}
}

// TestCrowded: who comes when too many wait goes alone, and what that brings may be kept.
func TestCrowded(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{MaxWaiters: 2}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 2, start)
	turn := ask(s, h, Key{1}, q, &waiter{}, start)
	if turn.Role != Leader || s.Stats().Crowded != 1 {
		t.Fatalf("the third has role %d", turn.Role)
	}
	if !s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh, "third", start), start) || all(t, list) != "" {
		t.Error("it is not kept, or ends the first's")
	}
	s.Finish(f, entryFor(t, f, q, fresh, "first", start), start)
	if all(t, list) != "answer first" {
		t.Errorf("told %q", all(t, list))
	}
}

// TestFlightAge: nobody waits for a fetch that lasts for ever, and what it brings in the end pushes out nothing newer.
func TestFlightAge(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{FlightAge: time.Minute}, h)
	q := requestOf(t, "/", "")
	f, list := crowd(t, s, h, Key{1}, q, 1, start)
	later := start.Add(time.Minute + 1)
	turn := ask(s, h, Key{1}, q, &waiter{}, later)
	if turn.Role != Leader || turn.Flight == f {
		t.Fatalf("role %d", turn.Role)
	}
	s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh, "new", later), later)
	if s.Finish(f, entryFor(t, f, q, fresh, "old", later), later) || all(t, list) != "answer old" {
		t.Errorf("told %q", all(t, list))
	}
	if e, _ := s.Find(Key{1}, nil, later); string(e.Body()) != "new" || s.Stats().Refused[Superseded] != 1 {
		t.Errorf("found %q", e.Body())
	}
}

// TestOlderFetchDoesNotReplace: of two that go at the same time, the one that began last counts.
func TestOlderFetchDoesNotReplace(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	f, _ := crowd(t, s, h, Key{1}, q, 0, start)
	s.Abandon(f, NoStore, time.Minute, start)
	older, newer := ask(s, h, Key{1}, q, nil, start.Add(1)).Flight, ask(s, h, Key{1}, q, nil, start.Add(2)).Flight
	if !s.Finish(newer, entryFor(t, newer, q, fresh, "newer", start), start) || s.Finish(older, entryFor(t, older, q, fresh, "older", start), start) {
		t.Error("kept is the wrong one")
	}
	if e, _ := s.Find(Key{1}, nil, start.Add(3)); string(e.Body()) != "newer" {
		t.Errorf("found %q", e.Body())
	}
}

// counter is a waiter of another goroutine.
type counter struct {
	s     *Store
	woken atomic.Int32
	lead  atomic.Int32
}

func (c *counter) Wake(r Result) {
	c.woken.Add(1)
	if r.Outcome == Lead { // its client has gone too
		c.lead.Add(1)
		c.s.HandOver(r.Flight, start)
	}
}

// TestRace: many goroutines lead, wait, leave, hand over and invalidate; whoever waits is woken once, or has left.
func TestRace(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{Bytes: 50_000, MaxWaiters: 5}, h)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				q := requestOf(t, fmt.Sprintf("/%d", i%7), "")
				k := Key{byte(i % 7)}
				if i%31 == 0 {
					s.InvalidatePrefix("", fmt.Sprintf("/%d", g%7))
					s.InvalidateGroup("", "g")
					s.Sweep(10, start)
				}
				if e, state := s.Find(k, q.Fields, start); state == Fresh {
					w := &counter{s: s}
					if x := s.Watch(k, q.Fields, e, w, start); x != nil && s.Unwatch(x) && w.woken.Load() != 0 {
						t.Error("a watch that was ended in time has woken")
					}
				}
				w := &counter{s: s}
				turn := ask(s, h, k, q, w, start)
				switch turn.Role {
				case Leader:
					switch i % 5 {
					case 0:
						s.Abandon(turn.Flight, NoStore, time.Duration(i%2), start)
					case 1:
						s.HandOver(turn.Flight, start)
					default:
						s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh+"\nCache-Groups: \"g\"", strings.Repeat("x", i), start), start)
					}
				case Wait:
					left := s.Leave(turn.Ticket)
					if !left {
						for w.woken.Load() == 0 { // it is on its way
							time.Sleep(time.Microsecond)
						}
					}
					if n := w.woken.Load(); left && n != 0 || n > 1 {
						t.Errorf("left %v, woken %d times", left, n)
					}
				}
			}
		})
	}
	group.Wait()
	if st := s.Stats(); st.Flights != 0 || len(s.flights.byKey) != 0 || st.Bytes > 50_000 {
		t.Errorf("left over: %+v", st)
	}
	s.Clear()
	s.Sweep(1000, start)
	if st := s.Stats(); st.Entries != 0 || st.Bytes != 0 || len(s.tags) != 0 || len(s.lines) != 0 {
		t.Errorf("after Clear: %+v, %d tags, %d lines", st, len(s.tags), len(s.lines))
	}
}
