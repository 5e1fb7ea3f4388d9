package cache

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// waiter notes what it is woken with.
type waiter struct {
	results []Result
}

func (w *waiter) Wake(r Result) { w.results = append(w.results, r) }

// outcome returns what it was told, "" if it waits.
func (w *waiter) outcome(t testing.TB) string {
	t.Helper()
	switch len(w.results) {
	case 0:
		return ""
	case 1:
		r := w.results[0]
		text := [...]string{"answer", "lead", "again", "alone"}[r.Outcome]
		if r.Outcome == Answer {
			text += " " + string(r.Entry.Body())
		}
		return text
	}
	t.Fatalf("woken %d times", len(w.results))
	return ""
}

// ask begins for a key.
func ask(s *Store, h *Hasher, k Key, q *Request, w Waiter, now time.Time) Turn {
	return s.Begin(&Ask{Key: k, Fields: q.Fields, Place: h.NewPlace("rule", "", q, nil, nil), Waiter: w}, now)
}

// entryFor makes an entry of what a flight brings.
func entryFor(t testing.TB, f *Flight, q *Request, fields, body string, now time.Time) *Entry {
	t.Helper()
	r := responseOf(t, 200, fields)
	v := Judge(&strict, f.Place(), q, r, now)
	if v.Reason != None {
		t.Fatalf("not kept: %v", v.Reason)
	}
	return NewEntry(&v, r, []byte("200 OK"), []byte(body), now)
}

// store fetches and stores a response.
func store(t testing.TB, s *Store, h *Hasher, k Key, q *Request, fields string) bool {
	t.Helper()
	return storeAt(t, s, h, k, q, fields, "body", start)
}

func storeAt(t testing.TB, s *Store, h *Hasher, k Key, q *Request, fields, body string, now time.Time) bool {
	t.Helper()
	turn := ask(s, h, k, q, nil, now)
	if turn.Role != Leader {
		t.Fatalf("role %d", turn.Role)
	}
	return s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fields, body, now), now)
}

const fresh = "Cache-Control: max-age=60"

// TestFind: the life of an entry.
func TestFind(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/a", "")
	k := Key{1}
	if e, state := s.Find(k, nil, start); e != nil || state != Miss {
		t.Fatalf("an empty store has %v, %d", e, state)
	}
	if !store(t, s, h, k, q, "Cache-Control: max-age=60, stale-if-error=10") {
		t.Fatal("not kept")
	}
	for _, c := range []struct {
		after time.Duration
		want  State
	}{
		{0, Fresh}, {59 * time.Second, Fresh}, {60 * time.Second, Stale}, {69 * time.Second, Stale}, {70 * time.Second, Miss},
	} {
		if e, state := s.Find(k, nil, start.Add(c.after)); state != c.want || (e == nil) != (c.want == Miss) {
			t.Errorf("after %v: %d; want %d", c.after, state, c.want)
		}
	}
	if st := s.Stats(); st.Entries != 0 || st.Bytes != 0 || st.Dropped[Expired] != 1 || len(s.lines) != 0 || len(s.tags) != 0 {
		t.Errorf("left: %+v", st)
	}
	if _, state := s.Find(Key{2}, nil, start); state != Miss {
		t.Error("another key finds it")
	}
}

// TestFindByVary: variants of one key are told apart, and one without Vary that was fetched later counts instead of them.
func TestFindByVary(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	k := Key{1}
	de, en := requestOf(t, "/", "Accept-Language: de"), requestOf(t, "/", "Accept-Language: en")
	json := requestOf(t, "/", "Accept-Language: de\nAccept: json")
	find := func(q *Request, now time.Time) string {
		e, state := s.Find(k, q.Fields, now)
		if state != Fresh {
			return ""
		}
		return string(e.Body())
	}
	storeAt(t, s, h, k, de, fresh+"\nVary: Accept-Language", "deutsch", start)
	if find(de, start) != "deutsch" || find(en, start) != "" || find(json, start) != "deutsch" {
		t.Error("a variant is not told from others")
	}
	storeAt(t, s, h, k, en, fresh+"\nVary: Accept-Language", "english", start)
	if find(de, start) != "deutsch" || find(en, start) != "english" {
		t.Error("a second variant is not told from the first")
	}
	later := start.Add(time.Second)
	s.InvalidateURL("", "/")
	storeAt(t, s, h, k, en, fresh+"\nVary: Accept-Language", "english", start)
	storeAt(t, s, h, k, json, fresh+"\nVary: Accept", "json", later)
	if find(json, later) != "json" || find(en, later) != "english" || find(de, later) != "" {
		t.Errorf("of two sets of fields: %q, %q, %q", find(json, later), find(en, later), find(de, later))
	}
	later = later.Add(time.Second)
	storeAt(t, s, h, k, de, fresh, "all", later)
	if find(de, later) != "all" || find(json, later) != "all" || find(en, later) != "all" {
		t.Error("one that does not vary any more is not found")
	}
	if n := s.InvalidateURL("http://www.example.com", "/"); n != 3 || len(s.lines) != 0 {
		t.Errorf("%d dropped, lines %d", n, len(s.lines))
	}
}

// TestVariantsAreBounded: a key that varies without end keeps its most, and does not push out others.
func TestVariantsAreBounded(t *testing.T) {
	for _, most := range []int{1, 2, 8} {
		h := NewHasher()
		s := NewStore(Options{MaxVariants: most}, h)
		store(t, s, h, Key{9}, requestOf(t, "/other", ""), fresh)
		for i := range 100 {
			q := requestOf(t, "/", fmt.Sprintf("User-Agent: %d", i))
			if !store(t, s, h, Key{1}, q, fresh+"\nVary: User-Agent") {
				t.Fatal("not kept")
			}
			if _, state := s.Find(Key{1}, q.Fields, start); state != Fresh {
				t.Fatal("the last one is not found")
			}
		}
		if st := s.Stats(); st.Entries != most+1 || st.Dropped[VariantsFull] != int64(100-most) {
			t.Errorf("of at most %d, %d entries; %d dropped", most, st.Entries-1, st.Dropped[VariantsFull])
		}
		if _, state := s.Find(Key{9}, nil, start); state != Fresh {
			t.Error("another key's entry is gone")
		}
	}
}

// TestSpecsAreBounded: so do sets of fields by which the responses of one key vary.
func TestSpecsAreBounded(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	q := requestOf(t, "/", "")
	for i := range 50 {
		storeAt(t, s, h, Key{1}, q, fmt.Sprintf("%s\nVary: X-%d", fresh, i), "x", start.Add(-time.Duration(50-i)*time.Hour))
	}
	if n := len(s.lines[Key{1}].specs); n > maxSpecs || s.Stats().Entries > maxSpecs {
		t.Errorf("%d sets, %d entries", n, s.Stats().Entries)
	}
	s = NewStore(Options{}, h)
	for i := range 10 {
		turn := ask(s, h, Key{1}, q, nil, start)
		if turn.Role != Leader {
			turn = Turn{Flight: &Flight{key: flightKey{line: Key{1}}, place: h.NewPlace("rule", "", q, nil, nil), began: start, alone: true}}
			s.flights.add(turn.Flight)
		}
		s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fmt.Sprintf("%s\nVary: X-%d", fresh, i), "x", start), start)
	}
	if n := len(s.lines[Key{1}].specs); n != maxSpecs || s.Stats().Entries != maxSpecs {
		t.Errorf("%d sets, %d entries; want %d of each", n, s.Stats().Entries, maxSpecs)
	}
}

// TestClock: what is used stays, what is not goes, and the bytes are never exceeded.
func TestClock(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{Bytes: 100_000}, h)
	body := strings.Repeat("x", 1000)
	hot := Key{255}
	store(t, s, h, hot, requestOf(t, "/hot", ""), fresh)
	for i := range 1000 {
		q := requestOf(t, fmt.Sprintf("/%d", i), "")
		if !storeAt(t, s, h, Key{byte(i), byte(i >> 8), 1}, q, fresh, body, start) {
			t.Fatal("not kept")
		}
		if i%10 == 0 {
			if _, state := s.Find(hot, nil, start); state != Fresh {
				t.Fatalf("after %d others the one that is used is gone", i)
			}
		}
		if st := s.Stats(); st.Bytes > 100_000 {
			t.Fatalf("%d bytes", st.Bytes)
		}
	}
	if st := s.Stats(); st.Dropped[Full] < 900 || st.Entries < 20 {
		t.Errorf("%d entries, %d dropped", st.Entries, st.Dropped[Full])
	}
	if storeAt(t, s, h, Key{7}, requestOf(t, "/big", ""), fresh, strings.Repeat("x", 25_000), start) {
		t.Error("more than a quarter of all is kept for one")
	}
	if s.Stats().Refused[TooLarge] != 1 {
		t.Errorf("refused: %v", s.Stats().Refused)
	}
}

// TestWorkIsBounded: one call drops no more than its part, also where one entry would need the room of many.
func TestWorkIsBounded(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{Bytes: 8 << 20}, h)
	for i := 0; s.Stats().Bytes < 8<<20-2000; i++ {
		store(t, s, h, Key{byte(i), byte(i >> 8), 1}, requestOf(t, fmt.Sprintf("/%d", i), ""), fresh)
	}
	before := s.Stats().Entries
	kept := storeAt(t, s, h, Key{7}, requestOf(t, "/big", ""), fresh, strings.Repeat("x", 1<<20), start)
	if st := s.Stats(); kept || st.Refused[NoRoom] != 1 || before-st.Entries != maxDrops {
		t.Errorf("kept %v, %d of %d dropped", kept, before-st.Entries, before)
	}
	tries := 1
	for ; !kept && tries < 20; tries++ {
		kept = storeAt(t, s, h, Key{7}, requestOf(t, "/big", ""), fresh, strings.Repeat("x", 1<<20), start)
	}
	if !kept {
		t.Errorf("not kept after %d tries", tries)
	}
}

// TestSessionBytes: one session pushes out its own entries only, the oldest first.
func TestSessionBytes(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{SessionBytes: 10_000}, h)
	put := func(k Key, session Tag, body string) bool {
		q := requestOf(t, "/", "")
		turn := s.Begin(&Ask{Key: k, Place: h.NewPlace("rule", "", q, nil, []Tag{session})}, start)
		return s.Finish(turn.Flight, entryFor(t, turn.Flight, q, fresh, body, start), start)
	}
	put(Key{100}, 2, "x")
	for i := range 50 {
		if !put(Key{byte(i)}, 1, "x") {
			t.Fatal("not kept")
		}
	}
	have := 0
	for i := range 50 {
		_, state := s.Find(Key{byte(i)}, nil, start)
		if state == Fresh {
			have++
		} else if have > 0 {
			t.Fatalf("entry %d is gone, and an older one is there", i)
		}
	}
	if _, state := s.Find(Key{100}, nil, start); state != Fresh || have < 5 || s.tags[1].bytes > 10_000 {
		t.Errorf("%d entries of %d bytes; the other session has %d", have, s.tags[1].bytes, state)
	}
	if put(Key{101}, 1, strings.Repeat("x", 10_000)) || s.Stats().Refused[TooLarge] != 1 {
		t.Error("one that is larger than a session's share is kept")
	}
	if n := s.InvalidateSession(1, nil); n != have {
		t.Errorf("%d of %d dropped", n, have)
	}
}

// TestBytes: what entries count as is what they take, within a quarter.
func TestBytes(t *testing.T) {
	for _, fields := range []string{fresh, fresh + "\nVary: Accept\nETag: \"abc\"", "groups"} {
		h := NewHasher()
		s := NewStore(Options{Bytes: 1 << 30}, h)
		const n = 10_000
		before := heap()
		for i := range n {
			of := fields
			if fields == "groups" {
				of = fmt.Sprintf("%s\nCache-Groups: \"post.%d\", \"all\", \"author.%d\"", fresh, i, i%100)
			}
			q := requestOf(t, fmt.Sprintf("/some/path/%d?x=y", i), "Accept: x")
			storeAt(t, s, h, Key{byte(i), byte(i >> 8), 1}, q, of+"\nContent-Type: text/html; charset=utf-8", strings.Repeat("x", 100), start)
		}
		took := heap() - before
		if counted := s.Stats().Bytes; took > counted*5/4 || took < counted*3/4 {
			t.Errorf("%.60q: %d bytes each on the heap, %d counted", fields, took/n, counted/n)
		}
	}
}

// heap returns what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSweep: what has expired is given back without a request for it.
func TestSweep(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	for i := range 1000 {
		store(t, s, h, Key{byte(i), byte(i >> 8), 1}, requestOf(t, fmt.Sprintf("/%d", i), ""), fresh)
	}
	if n := s.Sweep(2000, start.Add(time.Minute-1)); n != 0 {
		t.Errorf("%d fresh ones are dropped", n)
	}
	calls := 0
	for later := start.Add(time.Minute); s.Stats().Entries > 0 && calls < 100; calls++ {
		if n := s.Sweep(100, later); n > 100 {
			t.Fatalf("%d dropped by one call", n)
		}
	}
	if st := s.Stats(); calls != 10 || st.Bytes != 0 || st.Dropped[Expired] != 1000 {
		t.Errorf("%d calls, %+v", calls, st)
	}
	if s.Sweep(10, start) != 0 || NewStore(Options{}, h).Sweep(10, start) != 0 {
		t.Error("an empty store drops something")
	}
}

// TestDue: a session's request goes to the app once in a while.
func TestDue(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	p := h.NewPlace("rule", "", requestOf(t, "/", ""), nil, nil)
	for _, c := range []struct {
		k     Key
		after time.Duration
		want  bool
	}{
		{Key{1}, 0, true}, {Key{1}, 0, false}, {Key{2}, time.Second, true}, {Key{1}, 59 * time.Second, false},
		{Key{1}, 60 * time.Second, true}, {Key{2}, 60 * time.Second, false}, {Key{1}, 61 * time.Second, false},
	} {
		if got := s.Due(c.k, p, time.Minute, start.Add(c.after)); got != c.want {
			t.Errorf("%v after %v: %v", c.k, c.after, got)
		}
	}
}

// TestHitDoesNotAllocate: neither does looking up a variant, nor writing the head of the answer.
func TestHitDoesNotAllocate(t *testing.T) {
	h := NewHasher()
	s := NewStore(Options{}, h)
	for i, fields := range []string{fresh, fresh + "\nVary: Accept-Encoding, Accept-Language, Cookie"} {
		modified := "Sun, 29 Nov 2026 10:00:00 GMT"
		q := requestOf(t, "/", "Accept-Encoding: gzip, br\nAccept-Language: de, en\nCookie: a=b; c=d\nIf-None-Match: \"x\", \"y\"")
		since := requestOf(t, "/", "Accept-Encoding: gzip, br\nAccept-Language: de, en\nCookie: a=b; c=d\nIf-Modified-Since: "+modified)
		k := Key{byte(i)}
		store(t, s, h, k, q, fields+"\nETag: \"e\"\nLast-Modified: "+modified)
		out := make([]byte, 0, 4096)
		now := start.Add(time.Second)
		if n := testing.AllocsPerRun(100, func() {
			e, state := s.Find(k, q.Fields, now)
			if state != Fresh || e.Unchanged(q.Fields) || !e.Unchanged(since.Fields) {
				t.Fatal("not found")
			}
			out = e.AppendHit(e.AppendAge(e.AppendHead(out[:0]), now), now)
			out = e.AppendHit(e.AppendAge(e.AppendNotModified(out[:0]), now), now)
		}); n != 0 {
			t.Errorf("a hit of %q allocates %v times", fields, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, c := range []struct{ name, vary string }{{"plain", ""}, {"vary", "\nVary: Accept-Encoding"}} {
		b.Run(c.name, func(b *testing.B) {
			h := NewHasher()
			s := NewStore(Options{}, h)
			q := requestOf(b, "/", "Accept-Encoding: gzip, br")
			for i := range 10_000 {
				store(b, s, h, Key{byte(i), byte(i >> 8), 1}, q, fresh+c.vary)
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, state := s.Find(Key{byte(i), byte(i>>8) % 32, 1}, q.Fields, start); state != Fresh {
						b.Fatal("not found")
					}
				}
			})
		})
	}
}
