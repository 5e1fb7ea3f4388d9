package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// randomName has one to four segments of few letters.
func randomName(r *rand.Rand) string {
	list := make([]string, 1+r.IntN(4))
	for i := range list {
		list[i] = string('a' + rune(r.IntN(3)))
	}
	return strings.Join(list, ".")
}

func randomPattern(r *rand.Rand) string {
	name := strings.Split(randomName(r), ".")
	name[len(name)-1] = []string{"*", "**"}[r.IntN(2)]
	return strings.Join(name, ".")
}

// Random names, patterns, publishes, joins and resumes against a model that keeps everything and looks at all of it.
func TestPatternsAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		kept := func(name string) int { return strings.Count(name, "a") * 3 } // none of some
		h := New(Options{Lanes: 2, Wildcards: true, Rule: func(name string) (History, bool) {
			return History{Messages: kept(name)}, true
		}})
		var log []accepted
		members := make([]recorder, 12)
		sets := make([][]string, len(members))
		from := make([]ID, len(members))
		told := 0
		for range 400 {
			i := r.IntN(len(members))
			m, lane := &members[i], h.Lane(i%2)
			switch r.IntN(6) {
			case 0:
				var set []string
				for range 1 + r.IntN(3) {
					set = append(set, [...]func(*rand.Rand) string{randomName, randomPattern}[r.IntN(2)](r))
				}
				run(h)
				after, n := m.membership.pos, r.IntN(4)
				if len(log) > 0 && r.IntN(2) == 0 {
					after = log[r.IntN(len(log))].id
				}
				lane.Leave(m)
				m.got = nil
				var replay Replay
				if n == 0 {
					replay = lane.JoinNewest(m, set, h.Newest(set, 2))
				} else {
					replay = lane.Join(m, set, after, true)
				}
				told += len(replay.Gaps)
				checkReplay(t, seed, log, set, replay, after, n == 0, kept, h.origin.start)
				sets[i], from[i] = set, h.last
			case 1:
				run(h)
				h.trim(r.IntN(8))
			default:
				var names []string
				for range 1 + r.IntN(3) {
					names = append(names, randomName(r))
				}
				n := 0
				for _, set := range sets {
					if slices.ContainsFunc(names, func(name string) bool { return taken(set, name) }) {
						n++
					}
				}
				receipts, err := h.Publish([]Draft{{Channels: names}})
				if err != nil || receipts[0].Subscribers != n {
					t.Fatalf("seed %d: %v to %d, %v; want %d", seed, names, receipts[0].Subscribers, err, n)
				}
				log = append(log, accepted{receipts[0].ID, names})
			}
		}
		run(h)
		for i := range members {
			var want []ID
			for _, a := range log {
				if a.id > from[i] && slices.ContainsFunc(a.channels, func(c string) bool { return taken(sets[i], c) }) {
					want = append(want, a.id)
				}
			}
			var got []ID
			for _, m := range members[i].got {
				got = append(got, m.ID)
				if !taken(sets[i], m.Channel) {
					t.Errorf("seed %d: %q got a message of %q", seed, sets[i], m.Channel)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: %q got %v; want %v", seed, sets[i], got, want)
			}
			h.Lane(i % 2).Leave(&members[i])
		}
		check(t, h)
		if len(h.wild.branches) != 0 || told == 0 {
			t.Errorf("seed %d: %d patterns are left, %d gaps were told", seed, len(h.wild.branches), told)
		}
	}
}

// trim makes n messages go that would be next.
func (h *Hub) trim(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		if k := h.held.oldest(); k != nil {
			h.evictLocked(k)
			h.forgetLocked(k.channel)
		}
	}
}

// checkReplay compares a replay with the log: what is not in it is lost, and then the gaps say so.
func checkReplay(t *testing.T, seed uint64, log []accepted, set []string, r Replay, after ID, last bool, kept func(string) int, start ID) {
	t.Helper()
	gaps := make(map[string]ID)
	for _, g := range r.Gaps {
		gaps[g.Channel] = g.Through
	}
	have := make(map[ID]bool)
	before := ID(0)
	for _, m := range r.Messages {
		if m.ID <= before || !taken(set, m.Channel) || !last && m.ID <= after {
			t.Fatalf("seed %d: %q after %v was replayed %v on %q", seed, set, after, m.ID, m.Channel)
		}
		before, have[m.ID] = m.ID, true
	}
	if last {
		if len(r.Gaps) > 0 {
			t.Fatalf("seed %d: a gap was told to who has nothing", seed)
		}
		return
	}
	for _, a := range log {
		for _, name := range set {
			means := slices.ContainsFunc(a.channels, func(c string) bool { return meant(name, c) })
			if means && a.id > after && !have[a.id] && gaps[name] < a.id {
				t.Fatalf("seed %d: %q after %v lacks %v on %q, and the gap of %q is through %v", seed, set, after, a.id, a.channels, name, gaps[name])
			}
		}
	}
	for _, name := range set {
		if after < start && gaps[name] == 0 {
			t.Fatalf("seed %d: no gap for %q after an id of nobody", seed, name)
		}
	}
}

// TestPatternHistory: what a pattern is resumed with is in order, once, and its gap is a real one.
func TestPatternHistory(t *testing.T) {
	h := New(Options{Wildcards: true, Rule: keep(2)})
	l := h.Lane(0)
	var s recorder
	l.Join(&s, []string{"kept.**"}, 0, false)
	l.Leave(&s)
	at := s.membership.pos
	say(t, h, "1", "kept.a")
	say(t, h, "2", "kept.b.c", "kept.a")
	say(t, h, "x", "other.a")
	say(t, h, "3", "kept.b.c")
	texts := func(r Replay) string {
		var b strings.Builder
		for _, m := range r.Messages {
			fmt.Fprintf(&b, "%s ", m.Data)
		}
		for _, g := range r.Gaps {
			fmt.Fprintf(&b, "gap %s %d ", g.Channel, g.Through-h.origin.start)
		}
		return strings.TrimSpace(b.String())
	}
	for _, tt := range []struct {
		set  string
		last int
		want string
	}{
		{"kept.**", 0, "1 2 3"},
		{"kept.*", 0, "1 2"},
		{"kept.b.*", 0, "2 3"},
		{"kept.* kept.b.c", 0, "1 2 3"},
		{"**", 0, "1 2 3 gap ** 3"},
		{"other.*", 0, "gap other.* 3"},
		{"*", 0, ""},
		{"kept.**", 1, "2 3"},
		{"**", 5, "1 2 3"},
	} {
		var r Replay
		if tt.last > 0 {
			set := strings.Fields(tt.set)
			r = l.JoinNewest(&s, set, h.Newest(set, tt.last))
		} else {
			r = l.Join(&s, strings.Fields(tt.set), at, true)
		}
		if got := texts(r); got != tt.want {
			t.Errorf("%s, last %d: %q; want %q", tt.set, tt.last, got, tt.want)
		}
		l.Leave(&s)
	}
	say(t, h, "4", "kept.a") // its oldest goes
	if got := texts(l.Join(&s, []string{"kept.*"}, at, true)); got != "2 4 gap kept.* 1" {
		t.Errorf("resumed with %q", got)
	}
	if _, err := h.Publish([]Draft{{Channels: []string{"kept.*"}}}); err == nil {
		t.Error("a pattern was published to")
	}
	check(t, h)
}

// TestPatternOccupiesNothing: also what is watched is not occupied by who has it by a pattern.
func TestPatternOccupiesNothing(t *testing.T) {
	h := New(Options{Wildcards: true, Watch: func(string) bool { return true }})
	var s recorder
	h.Lane(0).Join(&s, []string{"a.*"}, 0, false)
	say(t, h, "1", "a.b")
	if list := h.TakeOccupancy(); len(list) > 0 {
		t.Errorf("told %+v", list)
	}
	if i, ok := h.Channel("a.*"); !ok || i.Subscribers != 1 {
		t.Errorf("the pattern is %+v, %v", i, ok)
	}
	run(h)
	h.Lane(0).Leave(&s)
	checkEmpty(t, h)
}

// BenchmarkPublishBesidePatterns is a publish to a channel of four segments: nobody has a pattern, 10,000 others have, and
// one of them that matches.
func BenchmarkPublishBesidePatterns(b *testing.B) {
	for _, patterns := range []int{0, 10000} {
		b.Run(fmt.Sprint(patterns), func(b *testing.B) {
			h := New(Options{Wildcards: true})
			members := make([]counter, patterns+1)
			h.Lane(0).Join(&members[patterns], []string{"a.b.c.d"}, 0, false)
			for i := range patterns {
				h.Lane(0).Join(&members[i], []string{fmt.Sprintf("a.b.%d.*", i)}, 0, false)
			}
			if patterns > 0 {
				h.Lane(0).Join(&members[0], []string{"a.**"}, 0, false)
			}
			drafts := []Draft{{Channels: []string{"a.b.c.d"}, Data: []byte("x")}}
			for b.Loop() {
				if _, err := h.Publish(drafts); err != nil {
					b.Fatal(err)
				}
				for h.Lane(0).Step(64) {
				}
			}
		})
	}
}

// TestPatternAfterRestart: what the store has comes in order, and as it is not stored what a pattern has lost, a gap too.
func TestPatternAfterRestart(t *testing.T) {
	o := Options{Wildcards: true, Rule: keep(2)}
	store := new(memory)
	h, err := Open(o, store)
	if err != nil {
		t.Fatal(err)
	}
	at := h.last
	for i, name := range []string{"kept.a", "kept.b.c", "kept.a"} {
		say(t, h, fmt.Sprint(i), name)
	}
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if h, err = Open(o, store); err != nil {
		t.Fatal(err)
	}
	var s recorder
	r := h.Lane(0).Join(&s, []string{"kept.**"}, at, true)
	if len(r.Gaps) != 1 || r.Gaps[0].Channel != "kept.**" || len(r.Messages) != 3 {
		t.Fatalf("resumed with %+v", r)
	}
	for i, m := range r.Messages {
		if string(m.Data) != fmt.Sprint(i) {
			t.Errorf("message %d is %s", i, m.Data)
		}
	}
	at = s.membership.pos
	h.Lane(0).Leave(&s)
	say(t, h, "new", "kept.d")
	if r = h.Lane(0).Join(&s, []string{"kept.**"}, at, true); len(r.Gaps) != 0 || len(r.Messages) != 1 {
		t.Errorf("resumed in the new process with %+v", r)
	}
	check(t, h)
}

// TestCount: subscribers of a name and of the patterns that match it.
func TestCount(t *testing.T) {
	h := New(Options{Wildcards: true})
	for _, set := range [][]string{{"a"}, {"a.b", "a"}, {"a.*"}, {"a.**"}, {"a.b.*"}, {"*"}, {"**"}} {
		h.Lane(0).Join(new(recorder), set, 0, false)
	}
	for name, n := range map[string]int{"a": 4, "a.b": 4, "a.b.c": 3, "a.x": 3, "x": 2, "x.y": 1} {
		r, err := h.PublishOne(Draft{Channels: []string{name}})
		if got := h.Count([]string{name}); err != nil || got != n || r.Subscribers != n {
			t.Errorf("%s: %d, and %d receive, %v; want %d", name, got, r.Subscribers, err, n)
		}
	}
	if got := h.Count([]string{"a", "a.b", "none"}); got != 10 {
		t.Errorf("several: %d", got)
	}
}
