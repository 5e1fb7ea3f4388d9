package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/metric"
)

// recorder is a subscriber that writes down what it gets.
type recorder struct {
	membership Membership
	got        []*Message
	batches    int
	then       func(batch []*Message) // what else Deliver does
}

func (r *recorder) Membership() *Membership { return &r.membership }

func (r *recorder) Deliver(batch []*Message) {
	r.batches++
	r.got = append(r.got, batch...)
	if r.then != nil {
		r.then(batch)
	}
}

// text returns what r has, as "channel:data channel:data".
func (r *recorder) text() string { return texts(r.got) }

func texts(list []*Message) string {
	var words []string
	for _, m := range list {
		words = append(words, m.Channel+":"+string(m.Data))
	}
	return strings.Join(words, " ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// keep returns a rule that keeps n messages of the channels that begin with "kept".
func keep(n int) func(string) (History, bool) {
	return func(name string) (History, bool) {
		if strings.HasPrefix(name, "kept") {
			return History{Messages: n}, true
		}
		return History{}, true
	}
}

// say publishes one message and returns its id.
func say(t *testing.T, h *Hub, data string, channels ...string) ID {
	t.Helper()
	r, err := h.Publish([]Draft{{Channels: channels, Data: []byte(data)}})
	if err != nil {
		t.Fatal(err)
	}
	return r[0].ID
}

// run steps every lane until it is through.
func run(h *Hub) {
	for i := range h.lanes {
		for h.Lane(i).Step(7) {
		}
	}
}

// clock is a Now that is moved by hand.
type clock struct{ t time.Time }

func newClock() *clock               { return &clock{time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }
func (c *clock) now() time.Time      { return c.t }
func (c *clock) add(d time.Duration) { c.t = c.t.Add(d) }

// check compares everything the hub counts with what there is. No lane may be at work.
func check(t *testing.T, h *Hub) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	groups := make(map[*Group]bool)
	histories, messages, held, blocks, singles := 0, 0, int64(0), 0, 0
	for name, ch := range h.channels {
		if ch.name != name {
			t.Errorf("channel %q is listed as %q", ch.name, name)
		}
		if len(ch.groups) == 0 && ch.hist == nil {
			t.Errorf("channel %q is still there", name)
		}
		subscribers := 0
		for i, g := range ch.groups {
			groups[g] = true
			subscribers += int(g.count)
			at := slices.IndexFunc(g.links, func(l link) bool { return l.channel == ch })
			if at < 0 || int(g.links[at].index) != i {
				t.Errorf("channel %q: group %d does not know its place", name, i)
			}
		}
		lanes := make(map[*Lane]bool)
		for g := ch.single; g != nil; g = g.single {
			if singles++; len(g.links) != 1 || g.links[0].channel != ch || lanes[g.lane] {
				t.Errorf("channel %q: group of a lane is listed wrongly", name)
			}
			lanes[g.lane] = true
		}
		if subscribers != int(ch.subscribers) {
			t.Errorf("channel %q counts %d subscribers, has %d", name, ch.subscribers, subscribers)
		}
		if ch.floor < h.origin.start {
			t.Errorf("channel %q: floor %v is before the start", name, ch.floor)
		}
		if k := ch.hist; k != nil {
			histories++
			messages += k.n
			bytes, before := int64(0), ch.floor
			for i := range k.n {
				m := k.at(i)
				// A channel that is new in a publish may get its floor from another's loss there, as they share entries.
				shared := i == 0 && m.id == before
				copied := h.held.records.load(m, name)
				if m.id <= before && !shared || len(copied.Data)+len(copied.Event) != int(m.size) {
					t.Errorf("channel %q: history message %d is wrong", name, i)
				}
				before = m.id
				bytes += int64(m.size)
				held += m.cost()
				blocks += blocksOf(copied)
			}
			if bytes != k.bytes || k.n == 0 {
				t.Errorf("channel %q: history counts %d bytes, has %d in %d messages", name, k.bytes, bytes, k.n)
			}
		}
	}
	checkWildcards(t, h, histories)
	if used, _ := h.held.records.Slab.Size(); used != 64*int64(blocks) {
		t.Errorf("history takes %d bytes of blocks; its messages take %d blocks", used, blocks)
	}
	listed := 0
	for k := h.held.root.next; k != &h.held.root; k = k.next {
		listed++
		if k.channel == nil || k.channel.hist != k || k.next.prev != k {
			t.Errorf("list of histories is broken")
		}
	}
	if listed != histories || messages != h.held.messages || held != h.held.bytes {
		t.Errorf("histories: %d listed, %d messages, %d bytes counted; there are %d, %d, %d",
			listed, h.held.messages, h.held.bytes, histories, messages, held)
	}
	subscribers, laneGroups := 0, singles
	waiting := make(map[*Message]uint32)
	for i := range h.lanes {
		l := &h.lanes[i]
		laneGroups += len(l.several)
		queued := make(map[*Group]bool)
		for g := l.head; g != nil; g = g.next {
			queued[g] = true
			if g.next == nil && l.tail != g {
				t.Errorf("lane %d: run queue has a wrong tail", i)
			}
			for _, b := range []*batch{g.pending, g.batch} {
				for _, m := range b.list() {
					waiting[m]++
				}
			}
		}
		if len(queued) > 0 && !l.busy {
			t.Errorf("lane %d has work and would not be stepped", i)
		}
		for g := range groups {
			if g.lane != l {
				continue
			}
			if g.queued != queued[g] || (g.pending != nil || g.batch != nil) != g.queued {
				t.Errorf("lane %d: group %v is queued wrongly", i, g.Channels())
			}
		}
		for _, spare := range l.spare {
			for _, m := range (*spare)[:cap(*spare)] {
				if m != nil {
					t.Errorf("lane %d: a spare batch keeps a message alive", i)
				}
			}
		}
	}
	for g := range groups {
		subscribers += len(g.members)
		if int(g.count) != len(g.members) || g.count == 0 {
			t.Errorf("group %v counts %d members, has %d", g.Channels(), g.count, len(g.members))
		}
		for i, s := range g.members {
			if p := s.Membership(); p.group != g || int(p.index) != i {
				t.Errorf("group %v: member %d does not know its place", g.Channels(), i)
			}
		}
	}
	if len(groups) != h.groups || laneGroups != h.groups || subscribers != h.subscribers {
		t.Errorf("hub counts %d groups, %d subscribers; there are %d and %d in lanes, %d",
			h.groups, h.subscribers, len(groups), laneGroups, subscribers)
	}
	backlog := int64(0)
	for m, refs := range waiting {
		backlog += m.backlogCost()
		if m.refs != refs {
			t.Errorf("message %v counts %d references, has %d", m.ID, m.refs, refs)
		}
	}
	if backlog != h.backlog {
		t.Errorf("backlog counts %d bytes, has %d", h.backlog, backlog)
	}
}

// checkEmpty expects a hub that has nothing left.
func checkEmpty(t *testing.T, h *Hub) {
	t.Helper()
	check(t, h)
	s := h.Stats()
	s.Published, s.Delivered, s.Evicted, s.Refused, s.Delays = 0, 0, 0, 0, metric.Histogram{}
	if s != (Stats{}) {
		t.Errorf("left over: %s", fmt.Sprintf("%+v", s))
	}
}

// checkWildcards compares what is known of patterns with what there is.
func checkWildcards(t *testing.T, h *Hub, histories int) {
	t.Helper()
	w := &h.wild
	if w.lost == nil {
		return
	}
	fresh, before := 0, h.last+1
	for k := w.fresh.fresh.next; k != &w.fresh; k = k.fresh.next {
		id := k.newest()
		if fresh++; id > before || k.fresh.next.fresh.prev != k {
			t.Errorf("histories are not listed from the newest message to the oldest")
		}
		before = id
	}
	patterns, depths := 0, make([]int, len(w.depths))
	for prefix, b := range w.branches {
		depths[strings.Count(prefix, ".")]++
		for _, ch := range []*channel{b.one, b.rest} {
			if ch != nil {
				patterns++
				if p, _ := splitPattern(ch.name); p != prefix || h.channels[ch.name] != ch {
					t.Errorf("pattern %q is found under %q", ch.name, prefix)
				}
			}
		}
	}
	for _, ch := range h.channels {
		if ch.pattern {
			patterns--
		}
	}
	if fresh != histories || patterns != 0 || !slices.Equal(depths, w.depths) {
		t.Errorf("%d of %d histories listed; %d patterns too many; depths %d, want %d", fresh, histories, patterns, w.depths, depths)
	}
}
