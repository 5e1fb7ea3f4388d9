package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// model is a slow account of what a store may answer: of every fetch when it began and what it is about, and of every
// change when it was.
type model struct {
	t      *testing.T
	r      *rand.Rand
	h      *Hasher
	s      *Store
	now    time.Time
	step   int
	most   int64
	flight []*modelFlight
	waits  []*modelWaiter
	watch  []*modelWatch
	kept   map[string]*modelFlight // by body
	last   map[int]*modelFlight    // by key: the newest that was kept
	change []modelChange
	bodies int
}

type modelFlight struct {
	f       *Flight
	key     int
	began   int // step
	at      time.Time
	body    string
	group   int
	alone   bool
	fresh   time.Duration
	answers time.Time // when the response came
}

type modelWaiter struct {
	m      *model
	key    int
	joined int
	ticket *Ticket
	left   bool
	woken  int
}

// modelWatch is who watches an entry.
type modelWatch struct {
	m     *model
	f     *modelFlight
	x     *Watch
	ended bool
}

// Wake implements Waiter: what was watched does not answer any more.
func (w *modelWatch) Wake(r Result) {
	if w.ended || r.Outcome != Again {
		w.m.t.Fatalf("step %d: a watch ends twice, or with %d", w.m.step, r.Outcome)
	}
	w.ended = true
}

type modelChange struct {
	step  int
	about func(f *modelFlight) bool
}

const modelKeys = 6

func (m *model) request(key int) *Request { return requestOf(m.t, fmt.Sprintf("/k%d", key), "") }

func (m *model) place(key int) *Place {
	return m.h.NewPlace("rule", fmt.Sprintf("c%d", key%3), m.request(key), nil, []Tag{Tag(key % 2)})
}

// changedSince reports whether something that a fetch is about was changed after a step.
func (m *model) changedSince(f *modelFlight, step int) bool {
	for _, c := range m.change {
		if c.step > step && c.about(f) {
			return true
		}
	}
	return false
}

// Wake implements Waiter.
func (w *modelWaiter) Wake(r Result) {
	m := w.m
	w.woken++
	if w.woken > 1 || w.left {
		m.t.Fatalf("step %d: woken %d times, left %v", m.step, w.woken, w.left)
	}
	switch r.Outcome {
	case Answer:
		f := m.kept[string(r.Entry.Body())]
		if f == nil || f.key != w.key {
			m.t.Fatalf("step %d: a waiter for %d is given %q", m.step, w.key, r.Entry.Body())
		}
		for _, c := range m.change { // an answer from before a change is for those who waited before it
			if c.step > f.began && c.step < w.joined && c.about(f) {
				m.t.Fatalf("step %d: who waits since %d is given what was changed at %d and fetched since %d", m.step, w.joined, c.step, f.began)
			}
		}
	case Lead:
		m.flight = append(m.flight, &modelFlight{f: r.Flight, key: w.key, began: m.step, at: m.now})
	}
}

func (m *model) begin(wait bool) {
	key := m.r.IntN(modelKeys)
	w := &modelWaiter{m: m, key: key, joined: m.step}
	a := &Ask{Key: Key{byte(key)}, Place: m.place(key)}
	if wait {
		a.Waiter = w
	}
	switch turn := m.s.Begin(a, m.now); turn.Role {
	case Leader:
		m.flight = append(m.flight, &modelFlight{f: turn.Flight, key: key, began: m.step, at: m.now, alone: turn.Flight.alone})
	case Wait:
		w.ticket = turn.Ticket
		m.waits = append(m.waits, w)
	case Hit:
		m.check(key, turn.Entry)
	case Busy:
		if wait {
			m.t.Fatalf("step %d: busy", m.step)
		}
	}
}

// check fails if a store may not answer a key with an entry.
func (m *model) check(key int, e *Entry) {
	f := m.kept[string(e.Body())]
	switch {
	case f == nil || f.key != key:
		m.t.Fatalf("step %d: for %d it has %q", m.step, key, e.Body())
	case m.changedSince(f, f.began):
		m.t.Fatalf("step %d: %q was changed since it was fetched", m.step, e.Body())
	case m.now.Sub(f.answers) >= f.fresh:
		m.t.Fatalf("step %d: %q is stale", m.step, e.Body())
	case m.last[key] != f:
		m.t.Fatalf("step %d: %q is not the last of its key", m.step, e.Body())
	}
}

func (m *model) find() {
	key := m.r.IntN(modelKeys)
	e, state := m.s.Find(Key{byte(key)}, nil, m.now)
	if state != Fresh {
		return
	}
	m.check(key, e)
	w := &modelWatch{m: m, f: m.kept[string(e.Body())]}
	if w.x = m.s.Watch(Key{byte(key)}, nil, e, w, m.now); w.x == nil {
		m.t.Fatalf("step %d: what is found can't be watched", m.step)
	}
	m.watch = append(m.watch, w)
}

// unwatch ends one of the watches.
func (m *model) unwatch() {
	if len(m.watch) == 0 {
		return
	}
	w := m.watch[m.r.IntN(len(m.watch))]
	if m.s.Unwatch(w.x) == w.ended {
		m.t.Fatalf("step %d: ended %v, and the store says so too", m.step, w.ended)
	}
	w.ended = true
}

// finish ends one of the flights in one of the ways.
func (m *model) finish() {
	if len(m.flight) == 0 {
		return
	}
	i := m.r.IntN(len(m.flight))
	f := m.flight[i]
	m.flight = append(m.flight[:i], m.flight[i+1:]...)
	switch m.r.IntN(6) {
	case 0:
		m.s.Abandon(f.f, NoStore, time.Duration(m.r.IntN(3))*time.Second, m.now)
	case 1:
		m.s.HandOver(f.f, m.now)
	default:
		m.bodies++
		f.group, f.fresh, f.answers = m.r.IntN(3), time.Duration(1+m.r.IntN(20))*time.Second, m.now
		f.body = fmt.Sprintf("%d %s", m.bodies, strings.Repeat("x", m.r.IntN(3000)))
		m.kept[f.body] = f
		fields := fmt.Sprintf("Cache-Control: max-age=%d\nCache-Groups: \"g%d\"", f.fresh/time.Second, f.group)
		e := entryFor(m.t, f.f, m.request(f.key), fields, f.body, m.now)
		if m.s.Finish(f.f, e, m.now) {
			if m.changedSince(f, f.began) {
				m.t.Fatalf("step %d: kept is what was changed since step %d", m.step, f.began)
			}
			m.last[f.key] = f
		}
	}
}

func (m *model) leave() {
	if len(m.waits) == 0 {
		return
	}
	w := m.waits[m.r.IntN(len(m.waits))]
	if m.s.Leave(w.ticket) {
		if w.left || w.woken > 0 {
			m.t.Fatalf("step %d: who has left or was woken leaves", m.step)
		}
		w.left = true
	} else if !w.left && w.woken == 0 {
		m.t.Fatalf("step %d: who waits can't leave", m.step)
	}
}

func (m *model) invalidate() {
	n := m.r.IntN(modelKeys)
	var about func(f *modelFlight) bool
	switch m.r.IntN(8) {
	case 0:
		m.s.InvalidateURL("", fmt.Sprintf("/k%d", n))
		about = func(f *modelFlight) bool { return f.key == n }
	case 1:
		m.s.InvalidatePrefix("http://www.example.com", fmt.Sprintf("/k%d", n))
		about = func(f *modelFlight) bool { return f.key == n }
	case 2:
		m.s.InvalidateChannel(fmt.Sprintf("c%d", n%3))
		about = func(f *modelFlight) bool { return f.key%3 == n%3 }
	case 3:
		m.s.InvalidateSession(Tag(n%2), nil)
		about = func(f *modelFlight) bool { return f.key%2 == n%2 }
	case 4:
		m.s.InvalidateGroup("", fmt.Sprintf("g%d", n%3))
		about = func(f *modelFlight) bool { return f.group == n%3 }
	case 5:
		m.s.InvalidateRule("other")
		about = func(*modelFlight) bool { return false }
	case 6:
		if n > 0 {
			return
		}
		m.s.Clear()
		about = func(*modelFlight) bool { return true }
	case 7:
		m.s.Sweep(5, m.now)
		return
	}
	m.change = append(m.change, modelChange{step: m.step, about: about})
}

// audit compares the store's books with what is in it.
func (m *model) audit() {
	s := m.s
	bytes, n := int64(0), 0
	for i, it := range s.clock.slots {
		if it == nil {
			continue
		}
		n++
		bytes += it.size
		if it.slot != i || s.lines[it.line.key] != it.line || it.line.at(nil, Key{}) != it {
			m.t.Fatalf("step %d: an item is not where it says", m.step)
		}
		for j := range it.nodes {
			if s.tags[it.nodes[j].list.tag] != it.nodes[j].list {
				m.t.Fatalf("step %d: a list of a tag is lost", m.step)
			}
		}
	}
	if bytes != s.stats.Bytes || n != s.stats.Entries || n != len(s.lines) || bytes > m.most {
		m.t.Fatalf("step %d: %d items of %d bytes; the books say %d of %d, lines %d, at most %d bytes",
			m.step, n, bytes, s.stats.Entries, s.stats.Bytes, len(s.lines), m.most)
	}
	for _, list := range s.tags {
		bytes, n := int64(0), 0
		for node := list.items.First(); node != nil; node = node.Next() {
			n++
			bytes += node.Value.size
		}
		if n != list.items.Len() || bytes != list.bytes || n == 0 {
			m.t.Fatalf("step %d: a list of %d items of %d bytes says %d of %d", m.step, n, bytes, list.items.Len(), list.bytes)
		}
	}
	watches := 0
	for _, w := range m.watch {
		if w.ended {
			continue
		}
		watches++
		if m.changedSince(w.f, w.f.began) || m.last[w.f.key] != w.f {
			m.t.Fatalf("step %d: who watches %q has not been told of its end", m.step, w.f.body)
		}
	}
	if watches != s.stats.Watches {
		m.t.Fatalf("step %d: %d watches; the books say %d", m.step, watches, s.stats.Watches)
	}
	if n := s.flights.all.Len(); n != len(m.flight) {
		m.t.Fatalf("step %d: %d flights; want %d", m.step, n, len(m.flight))
	}
}

// TestModel runs random operations against the model.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		h := NewHasher()
		m := &model{
			t: t, r: rand.New(rand.NewPCG(seed, 1)), h: h, now: start, most: 20_000 + int64(seed)*500,
			kept: map[string]*modelFlight{}, last: map[int]*modelFlight{},
		}
		m.s = NewStore(Options{Bytes: m.most, MaxWaiters: 3, SessionBytes: 9_000, FlightAge: 30 * time.Second}, h)
		for m.step = 1; m.step <= 600; m.step++ {
			switch m.r.IntN(12) {
			case 0, 1, 2, 3:
				m.begin(m.r.IntN(4) > 0)
			case 4, 5, 6:
				m.finish()
			case 7, 8:
				m.find()
			case 9:
				m.leave()
				m.unwatch()
			case 10:
				m.invalidate()
			case 11:
				m.now = m.now.Add(time.Duration(m.r.IntN(3000)) * time.Millisecond)
			}
			m.audit()
		}
		for len(m.flight) > 0 {
			m.step++
			m.finish()
		}
		for _, w := range m.waits {
			if w.left == (w.woken == 1) || w.woken > 1 {
				t.Fatalf("seed %d: in the end a waiter was woken %d times, and left: %v", seed, w.woken, w.left)
			}
		}
		if len(m.s.flights.byKey) != 0 || len(m.s.log.list) != 0 {
			t.Fatalf("seed %d: left over", seed)
		}
	}
}
