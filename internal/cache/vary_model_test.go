package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// varyWaiter checks that what it is given is for its own fields.
type varyWaiter struct {
	t *testing.T
	a string
	b string
}

func (w *varyWaiter) Wake(r Result) {
	if r.Outcome == Answer {
		checkVary(w.t, r.Entry, w.a, w.b)
	}
}

// checkVary fails if an entry, whose body says what it varies by and what it was fetched with, is not for a request's fields.
func checkVary(t *testing.T, e *Entry, a, b string) {
	t.Helper()
	var vary, forA, forB string
	if _, err := fmt.Sscanf(string(e.Body()), "%s %s %s", &vary, &forA, &forB); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(vary, "A") && forA != a || strings.Contains(vary, "B") && forB != b {
		t.Fatalf("a request with A: %s and B: %s is answered with one for %s", a, b, e.Body())
	}
}

// TestVaryModel: whatever responses of one key vary by, and however that changes, each request has one for its own fields.
func TestVaryModel(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		h := NewHasher()
		s := NewStore(Options{MaxVariants: 1 + int(seed%5), Bytes: 30_000}, h)
		now := start
		type pending struct {
			f    *Flight
			a, b string
		}
		var flights []pending
		hits := 0
		for range 1500 {
			a, b := fmt.Sprint(r.IntN(3)), fmt.Sprint(r.IntN(3))
			q := requestOf(t, "/", "A: "+a+"\nB: "+b)
			switch r.IntN(5) {
			case 0:
				if e, state := s.Find(Key{1}, q.Fields, now); state == Fresh {
					hits++
					checkVary(t, e, a, b)
				}
			case 1, 2:
				switch turn := ask(s, h, Key{1}, q, &varyWaiter{t, a, b}, now); turn.Role {
				case Hit:
					hits++
					checkVary(t, turn.Entry, a, b)
				case Leader:
					if turn.Entry != nil {
						checkVary(t, turn.Entry, a, b)
					}
					flights = append(flights, pending{turn.Flight, a, b})
				}
			case 3:
				if len(flights) == 0 {
					continue
				}
				i := r.IntN(len(flights))
				p := flights[i]
				flights = append(flights[:i], flights[i+1:]...)
				vary := [...]string{"none", "A", "B", "A,B"}[r.IntN(4)]
				if r.IntN(8) == 0 {
					s.Abandon(p.f, NoStore, time.Second, now)
					continue
				}
				fields := fmt.Sprintf("Cache-Control: max-age=%d, stale-if-error=5", 1+r.IntN(9))
				if vary != "none" {
					fields += "\nVary: " + vary
				}
				own := requestOf(t, "/", "A: "+p.a+"\nB: "+p.b)
				s.Finish(p.f, entryFor(t, p.f, own, fields, vary+" "+p.a+" "+p.b, now), now)
			case 4:
				now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
			}
			if n := len(s.lines); n > 1 || n == 1 && len(s.lines[Key{1}].specs) > maxSpecs {
				t.Fatalf("%d lines", n)
			}
		}
		for _, p := range flights {
			s.Abandon(p.f, Incomplete, 0, now)
		}
		s.Clear()
		s.Sweep(1000, now)
		if st := s.Stats(); hits == 0 || st.Entries != 0 || st.Bytes != 0 || st.Flights != 0 || len(s.tags)+len(s.lines) != 0 {
			t.Fatalf("seed %d: %d hits, left over %+v", seed, hits, st)
		}
	}
}
