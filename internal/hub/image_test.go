package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/metric"
)

// imageWorld is one of two hubs to which the same happens.
type imageWorld struct {
	hub  *Hub
	subs []*recorder // subscriber i is of lane i%2
}

func (w *imageWorld) lane(i int) *Lane { return w.hub.Lane(i % 2) }

// image imports the hub's image into another, and has its subscribers join there.
func (w *imageWorld) image(t *testing.T, o Options, store Store) *imageWorld {
	t.Helper()
	next := &imageWorld{hub: New(o)}
	told := 0
	next.hub.OnOccupancy(func() { told++ })
	m := ImageOf(w.hub)
	x, err := Import(next.hub, m, store)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.EachChannel(func(c *ChannelImage) error { x.Channel(c); return nil }); err != nil {
		t.Fatal(err)
	}
	x.End()
	for i, s := range w.subs {
		r := new(recorder)
		next.subs = append(next.subs, r)
		if g := s.membership.Group(); g != nil {
			next.lane(i).Join(r, g.Channels(), 0, false)
			if a, b := w.hub.Position(), r.membership.Position(); a != b {
				t.Fatalf("a subscriber that joins again is at %d; want %d", b, a)
			}
		}
	}
	if told > 0 {
		t.Error("occupancy was told of before all have joined")
	}
	x.Adopted()
	next.hub.OnOccupancy(func() {})
	return next
}

var imageNames = []string{"bare.1", "bare.2", "few.1", "few.2", "many", "young", "few.1.x", "bare.1.x", "new.1", "bare.*", "few.**", "*", "**"}

// step does one thing at random, and returns what came of it.
func (w *imageWorld) step(random *rand.Rand, ids []ID, c *clock, wild bool) string {
	names := imageNames
	if !wild {
		names = names[:9]
	}
	some := func(names []string) (list []string) {
		for range 1 + random.IntN(3) {
			list = append(list, names[random.IntN(len(names))])
		}
		return list
	}
	i := random.IntN(len(w.subs))
	s := w.subs[i]
	after, resume := ids[random.IntN(len(ids))], random.IntN(4) > 0
	switch random.IntN(8) {
	case 0, 1, 2:
		r, err := w.hub.PublishOne(Draft{
			Channels: some(imageNames[:9]), Data: []byte(fmt.Sprint("m", random.IntN(1000))), JSON: random.IntN(2) == 0,
			Event: strings.Repeat("e", random.IntN(3)), Quiet: random.IntN(6) == 0,
		})
		return fmt.Sprint(r, err)
	case 3, 4:
		set := some(names)
		replay := w.lane(i).Join(s, set, after, resume)
		return fmt.Sprint(set, after, resume, dataOf(replay.Messages), replay.Gaps)
	case 5:
		w.lane(i).Leave(s)
	case 6:
		set := some(names)
		replay := w.lane(i).JoinNewest(s, set, w.hub.Newest(set, 2))
		return fmt.Sprint(set, dataOf(replay.Messages), replay.Gaps)
	case 7:
		w.hub.Sweep(c.now().Add(time.Duration(random.IntN(300)) * time.Millisecond))
	}
	return ""
}

// ownFloors reports whether no two of the channels have the same floor when they are deleted.
func ownFloors(h *Hub, names []string) bool {
	floors := make(map[*ID]bool)
	for _, name := range names {
		floors[h.lostFloor(name, false)] = true
	}
	return len(floors) == len(names)
}

// dataOf returns messages without their channels: of several that a pattern matches and that have the same message,
// any may come.
func dataOf(list []*Message) (words []string) {
	for _, m := range list {
		words = append(words, fmt.Sprint(m.ID, string(m.Data), m.Event, m.JSON))
	}
	return words
}

// TestImage has a hub and its image go on with the same things, and compares what comes of each.
func TestImage(t *testing.T) {
	for seed := range uint64(60) {
		wild := seed%2 == 0
		c := newClock()
		o := Options{
			Lanes: 2, Wildcards: wild, Now: c.now, HistoryTotal: []int64{1 << 20, 20 * storedCost}[seed/2%2],
			Watch: func(name string) bool { return !strings.HasPrefix(name, "many") },
			Rule: func(name string) (History, bool) {
				if strings.HasPrefix(name, "young") {
					return History{Messages: 10, Age: 200 * time.Millisecond}, true
				}
				rule, ok := worldRule(name)
				rule.Messages = min(rule.Messages, 20)
				return rule, ok && !strings.HasPrefix(name, "new") || seed%3 == 0
			},
		}
		old := &imageWorld{hub: New(o)}
		for !ownFloors(old.hub, imageNames[:9]) { // otherwise one gets a gap for what another has lost, in either hub at another time
			old.hub = New(o)
		}
		for range 12 {
			old.subs = append(old.subs, new(recorder))
		}
		random := rand.New(rand.NewPCG(seed, 1))
		ids := []ID{0, 1, old.hub.Position()}
		for range 150 {
			old.step(random, ids, c, wild)
			ids = append(ids, old.hub.Position())
			c.add(time.Duration(random.IntN(50)) * time.Millisecond)
		}
		run(old.hub)
		old.hub.TakeOccupancy()
		c.add(time.Millisecond)
		old.hub.Sweep(c.now())
		next := old.image(t, o, nil)
		check(t, next.hub)
		for _, s := range old.subs {
			s.got = nil
		}
		for step := range 150 {
			if a, b := changesOf(old.hub), changesOf(next.hub); step > 0 && a != b {
				t.Fatalf("seed %d, step %d: occupancy %s, and of the image %s", seed, step, a, b)
			}
			a := old.step(rand.New(rand.NewPCG(seed, uint64(step))), ids, c, wild)
			b := next.step(rand.New(rand.NewPCG(seed, uint64(step))), ids, c, wild)
			run(old.hub)
			run(next.hub)
			if a != b {
				t.Fatalf("seed %d, step %d: %s; of the image: %s", seed, step, a, b)
			}
			for i, s := range old.subs {
				if a, b := s.text(), next.subs[i].text(); a != b {
					t.Fatalf("seed %d, step %d: subscriber %d got %s; of the image: %s", seed, step, i, a, b)
				}
			}
			as, bs := old.hub.Stats(), next.hub.Stats()
			as.Delays, bs.Delays = metric.Histogram{}, metric.Histogram{} // which begin anew
			if as != bs {
				t.Fatalf("seed %d, step %d: %+v; of the image: %+v", seed, step, as, bs)
			}
			al, _ := old.hub.Channels("", 100)
			bl, _ := next.hub.Channels("", 100)
			if !reflect.DeepEqual(al, bl) {
				t.Fatalf("seed %d, step %d: %v; of the image: %v", seed, step, al, bl)
			}
			if c.add(time.Duration(step%7) * time.Millisecond); step%20 == 0 {
				ids = append(ids, old.hub.Position())
			}
		}
		check(t, next.hub)
	}
}

// changesOf returns the changes as text, sorted: those of an image come in any order.
func changesOf(h *Hub) string {
	var list []string
	for _, o := range h.TakeOccupancy() {
		list = append(list, fmt.Sprint(o))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestImageOccupancy checks that nothing is told of channels whose subscribers have joined again, and that a channel is
// vacated whose subscriber has not.
func TestImageOccupancy(t *testing.T) {
	o := Options{Lanes: 2, Watch: func(string) bool { return true }}
	old := &imageWorld{hub: New(o)}
	for range 3 {
		old.subs = append(old.subs, new(recorder))
	}
	for i, set := range [][]string{{"a", "b"}, {"b", "c"}, {"d"}} {
		old.lane(i).Join(old.subs[i], set, 0, false)
	}
	want(t, "before", changesOf(old.hub), "{a false true} {b false true} {c false true} {d false true}")
	old.subs[1] = new(recorder) // does not come along
	next := old.image(t, o, nil)
	want(t, "after", changesOf(next.hub), "{a true true} {b true true} {c true false} {d true true}")
	next.lane(0).Leave(next.subs[0])
	want(t, "later", changesOf(next.hub), "{a true false} {b true false}")
}

// TestImageOfOtherRules checks what becomes of history that the rules of the image's hub store less of, or nothing.
func TestImageOfOtherRules(t *testing.T) {
	rule := keep(5)
	o := Options{Lanes: 2, Rule: func(name string) (History, bool) { return rule(name) }}
	old := &imageWorld{hub: New(o)}
	for i := range 5 {
		say(t, old.hub, fmt.Sprint(i), "kept.a")
	}
	first := say(t, old.hub, "x", "kept.b")
	rule = func(name string) (History, bool) {
		return History{Messages: 2}, name == "kept.a"
	}
	next := old.image(t, o, nil)
	check(t, next.hub)
	want(t, "less", kept(next.hub, "kept.a"), "kept.a:3 kept.a:4")
	want(t, "nothing", kept(next.hub, "kept.b"), "")
	r := next.lane(0).Join(new(recorder), []string{"kept.a", "kept.b"}, first-1, true)
	if len(r.Gaps) != 1 || r.Gaps[0].Channel != "kept.b" || r.Gaps[0].Through != first {
		t.Errorf("gaps %v; want that of what is not stored any more", r.Gaps)
	}
}

// TestMoved checks that a hub whose image another one has accepts nothing.
func TestMoved(t *testing.T) {
	h := New(Options{})
	before := h.Position()
	ImageOf(h).Moved()
	if _, err := h.PublishOne(Draft{Channels: []string{"a"}}); !errors.Is(err, ErrMoved) || h.Position() != before {
		t.Errorf("%v, and ID %d after %d", err, h.Position(), before)
	}
}

// TestImageWithStore has an image continue with the store of its hub, and then a third process start with what is there.
func TestImageWithStore(t *testing.T) {
	for seed := range uint64(20) {
		c, store, changed := newClock(), new(memory), seed%2 == 1
		rule := keep(4)
		o := Options{Lanes: 2, Now: c.now, Rules: "one", Rule: func(name string) (History, bool) { return rule(name) }}
		h, err := Open(o, store)
		if err != nil {
			t.Fatal(err)
		}
		old := &imageWorld{hub: h, subs: []*recorder{new(recorder), new(recorder)}}
		random := rand.New(rand.NewPCG(seed, 7))
		publish := func(w *imageWorld) {
			for range 30 {
				say(t, w.hub, fmt.Sprint(random.IntN(1000)), fmt.Sprint("kept.", random.IntN(5)), fmt.Sprint("other.", random.IntN(3)))
			}
		}
		first := old.hub.Position()
		old.lane(0).Join(old.subs[0], []string{"kept.1"}, 0, false)
		publish(old)
		run(old.hub)
		if err := old.hub.save(); err != nil {
			t.Fatal(err)
		}
		if changed {
			o.Rules = "two"
			rule = func(name string) (History, bool) {
				if strings.HasPrefix(name, "other") {
					return History{Messages: 3}, true
				}
				return History{}, true
			}
		}
		next := old.image(t, o, store)
		if batches, _ := store.count(); batches != 2 {
			t.Errorf("%d batches: the store is written before the first Save", batches)
		}
		check(t, next.hub)
		last := next.hub.Position()
		publish(next)
		run(next.hub)
		if err := next.hub.save(); err != nil {
			t.Fatal(err)
		}
		third, err := Open(o, store)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			for _, name := range []string{fmt.Sprint("kept.", i), fmt.Sprint("other.", i)} {
				want(t, name, kept(third, name), kept(next.hub, name))
				for _, after := range []ID{first, last} {
					a := next.lane(0).Join(new(recorder), []string{name}, after, true)
					b := third.Lane(0).Join(new(recorder), []string{name}, after, true)
					if len(a.Gaps) > len(b.Gaps) { // there may be more: without a store, nobody knows what a channel had
						t.Errorf("seed %d: %s after %d has gaps %v, and after a restart %v", seed, name, after, a.Gaps, b.Gaps)
					}
					if changed && after == first && strings.HasPrefix(name, "kept") && len(a.Gaps) == 0 {
						t.Errorf("seed %d: no gap of %s, of which nothing is stored any more", seed, name)
					}
				}
			}
		}
	}
}

// TestImageOfOtherStore checks that a hub with another store, or without one, does not continue.
func TestImageOfOtherStore(t *testing.T) {
	open := func(store Store) *Hub {
		t.Helper()
		if store == nil {
			return New(Options{})
		}
		h, err := Open(Options{}, store)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, tt := range []struct {
		name     string
		had, has Store
	}{
		{"none any more", new(memory), nil},
		{"one at last", nil, new(memory)},
		{"an empty one", new(memory), new(memory)},
	} {
		if _, err := Import(New(Options{}), ImageOf(open(tt.had)), tt.has); !errors.Is(err, ErrOtherStore) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	one, two := new(memory), new(memory)
	open(two)
	if _, err := Import(New(Options{}), ImageOf(open(one)), two); !errors.Is(err, ErrOtherStore) {
		t.Errorf("another: %v", err)
	}
}
