package fetch

import (
	"net/netip"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// before is how a request was held.
type before struct {
	until time.Time
	had   uint64
}

func (b before) Was() (time.Time, uint64) { return b.until, b.had }

// TestHoldFor: who is held, and for how long, by what is known of the browser.
func TestHoldFor(t *testing.T) {
	w := newWorld(t, cache.Options{}, 0)
	c, f := w.begin("1", "/poll", "")
	if !c.asked {
		t.Fatal("not asked")
	}
	rule := f.rule
	rule.Hold = 20 * time.Second
	w.answer(f, "one")
	hit, _ := w.Store.Find(f.key, f.req.Fields, w.now)
	answer := Answer{Entry: hit, rule: rule, key: f.key}
	agent := func(name string) []http1.Field {
		return []http1.Field{{Name: []byte("User-Agent"), Value: []byte(name)}}
	}
	query := func(name string, more ...http1.Field) *HoldQuery {
		return &HoldQuery{Client: netip.MustParseAddr("192.0.2.1"), Fields: append(agent(name), more...), Before: before{}}
	}
	want := func(what string, q *HoldQuery, want time.Duration) {
		t.Helper()
		if got := w.HoldFor(&answer, q, w.now); got != want {
			t.Errorf("%s: held for %v, want %v", what, got, want)
		}
	}
	pass := func(d time.Duration) { w.now = w.now.Add(d) }
	prefer := http1.Field{Name: []byte("Prefer"), Value: []byte("wait=5")}
	tag := http1.Field{Name: []byte("If-None-Match"), Value: []byte("*")}

	want("who has nothing", query("a"), 0)
	want("again at once: another page may have it", query("a"), shortHold)
	want("another page, as one that was given it is held", query("a"), 0)
	pass(6 * time.Second)
	want("a while later", query("a"), 20*time.Second)
	want("another page", query("a"), 0)
	want("one who wants less", query("a", prefer), 5*time.Second)
	want("another of its address that has another answer", query("a", http1.Field{Name: []byte("If-None-Match"), Value: []byte(`"old"`)}), 0)
	want("another browser", query("b"), 0)
	want("another that says that it has it", query("c", tag), shortHold)
	want("a page of another URL", query("a", http1.Field{Name: []byte("Referer"), Value: []byte("/b")}), 0)
	answer.collapsed = true
	want("who has waited while the app was asked", query("a"), 0)
	answer.collapsed = false
	pass(2*gapTime + time.Second)
	want("after a pause", query("a"), 0)
	want("after that", query("a"), 20*time.Second)
	want("held before", &HoldQuery{Client: query("a").Client, Fields: agent("a"), Before: before{w.now.Add(3 * time.Second), hit.Sum()}}, 3*time.Second)
	want("its time is over", &HoldQuery{Client: query("a").Client, Fields: agent("a"), Before: before{w.now, hit.Sum()}}, 0)
	want("held for another answer", &HoldQuery{Client: query("a").Client, Fields: agent("a"), Before: before{w.now.Add(time.Minute), hit.Sum() + 1}}, 0)
	want("HEAD", &HoldQuery{Client: query("a").Client, Fields: agent("a"), IsHead: true, Before: before{}}, 0)

	head := http1.Head{Method: []byte("GET"), Fields: append(agent("a"), http1.Field{Name: []byte("Accept"), Value: []byte("text/html,*/*")})}
	w.visit(&head, &request.Request{Client: netip.MustParseAddrPort("192.0.2.1:1")}, w.now)
	if w.Rules.Holds() {
		t.Error("a rule holds that was not to")
	}
	w.given.put(clientOf(query("a").Client, agent("a")), note{last: w.now}, w.now) // as visit does where a rule holds
	want("a page was loaded", query("a"), 0)
	pass(6 * time.Second)
	want("and has polled", query("a"), 20*time.Second)

	f.page = pageOf(query("a").Client, agent("a"))
	f.flight = nil
	f.Ask() // what the app answers to this one may be something else
	want("after an answer of the app", query("a"), 0)
	pass(2 * time.Hour)
	want("what is stale", query("a"), 0)
}

// TestGivenIsBounded: what is remembered of clients takes no more than its room.
func TestGivenIsBounded(t *testing.T) {
	var g given
	now := time.Now()
	for i := range uint64(5 * givenMost) {
		g.gave(i, 1, now)
	}
	if n := len(g.young) + len(g.old); n > 2*givenMost {
		t.Errorf("%d notes", n)
	}
	if last := uint64(5*givenMost - 1); g.get(last).sum != 1 || g.get(0).sum != 0 {
		t.Error("the newest is forgotten, or the oldest is not")
	}
	for range 1 << 17 {
		g.gave(2, 1, now)
	}
	for range 1<<16 - 1 {
		if !g.take(2, 1, now.Add(gapTime+1)) {
			t.Fatal("pages are not counted")
		}
	}
	if g.take(2, 1, now) {
		t.Error("more pages were counted than there is room for")
	}
	g.gave(1, 1, now.Add(3*givenTime))
	g.gave(2, 1, now.Add(5*givenTime))
	if g.get(5*givenMost-1).sum != 0 {
		t.Error("what is old is not forgotten")
	}
}
