package hub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Publishers, lanes and a sweeper at work at the same time; subscribers with overlapping sets join,
// resume, move and leave at random, some of them from within a Deliver. Afterwards every record is
// compared with what was accepted: each message once and in order, or covered by a gap that was told.
func TestNothingIsLostInSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		total  int64
		pinned bool // every channel has a subscriber throughout, so a gap must be a real one
		seed   uint64
	}{
		{"ample", 1 << 30, false, 1},
		{"ample, pinned", 1 << 30, true, 2},
		{"tight", 30 * (storedCost + 8), false, 3},
		{"tight, pinned", 30 * (storedCost + 8), true, 4},
		{"today's", 100 * (storedCost + 8), false, uint64(time.Now().UnixNano())},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", c.seed)
			newWorld(c.total, c.seed).run(t, c.pinned)
		})
	}
}

var (
	worldChannels = []string{"bare.1", "bare.2", "bare.3", "few.1", "few.2", "many", "young", "bare.1.x", "few.1.x", "few.1.x.y"}
	worldPatterns = []string{"bare.*", "bare.**", "few.*", "few.1.*", "few.1.**", "*", "**", "many.**"}
	worldNames    = slices.Concat(worldChannels, worldPatterns)
)

// meant reports whether a name is the channel's, or a pattern that matches it: the naive way, segment by segment.
func meant(name, channel string) bool {
	n, c := strings.Split(name, "."), strings.Split(channel, ".")
	switch last := n[len(n)-1]; {
	case last == "**" && len(c) >= len(n), last == "*" && len(c) == len(n):
		return slices.Equal(n[:len(n)-1], c[:len(n)-1])
	}
	return name == channel
}

// taken reports whether one of the names means the channel.
func taken(names []string, channel string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return meant(name, channel) })
}

func worldRule(name string) (History, bool) {
	switch kind, _, _ := strings.Cut(name, "."); kind {
	case "few":
		return History{Messages: 3}, true
	case "many":
		return History{Messages: 1 << 20}, true
	case "young":
		return History{Messages: 100, Age: 200 * time.Microsecond}, true
	}
	return History{}, true
}

const (
	worldLanes      = 3
	worldPublishers = 3
	worldDrafts     = 600 // per publisher
	worldMembers    = 25  // per lane
)

type accepted struct {
	id       ID
	channels []string
}

type world struct {
	hub     *Hub
	seed    uint64
	log     [worldPublishers][]accepted
	publish atomic.Int32 // publishers at work
	lanes   [worldLanes]worldLane
}

type worldLane struct {
	*Lane
	random  *rand.Rand
	members []*member
}

// member is a subscriber and all that it was told.
type member struct {
	membership Membership
	lane       *worldLane
	spans      []span // the last one is open while subscribed
}

// span is what happened from one Join to the next, or to Leave.
type span struct {
	old, set []string // before and after Join
	oldPos   ID       // Position before Join
	after    ID
	resume   bool
	replay   Replay
	from     ID // Position after Join
	got      []*Message
	to       ID // Position at the end
}

// shareFloors reports whether two patterns, which are in use or match channels of the world, have the same floor.
func shareFloors(h *Hub) bool {
	patterns := slices.Clone(worldPatterns)
	for _, name := range worldChannels {
		at := strings.LastIndexByte(name, '.') + 1
		patterns = append(patterns, name[:at]+"*", name[:at]+"**")
	}
	floors := make(map[*ID]string)
	for _, pattern := range patterns {
		floor := h.wildFloor(pattern)
		if other, taken := floors[floor]; taken && other != pattern {
			return true
		}
		floors[floor] = pattern
	}
	return false
}

func newWorld(total int64, seed uint64) *world {
	w := &world{seed: seed}
	for w.hub == nil || shareFloors(w.hub) { // otherwise one may get a gap for what another has lost
		w.hub = New(Options{Lanes: worldLanes, Rule: worldRule, Wildcards: true, HistoryTotal: total})
	}
	for i := range w.lanes {
		l := &w.lanes[i]
		l.Lane = w.hub.Lane(i)
		l.random = rand.New(rand.NewPCG(seed, uint64(100+i)))
		for range worldMembers {
			l.members = append(l.members, &member{lane: l})
		}
	}
	return w
}

func (w *world) run(t *testing.T, pinned bool) {
	var pin recorder
	if pinned {
		w.hub.Lane(0).Join(&pin, worldChannels, 0, false)
	}
	w.publish.Store(worldPublishers)
	var workers, sweeper sync.WaitGroup
	for i := range w.log {
		workers.Go(func() { w.publisher(t, i) })
	}
	for i := range w.lanes {
		workers.Go(func() { w.lanes[i].work(w) })
	}
	stopc := make(chan struct{})
	sweeper.Go(func() {
		for {
			select {
			case <-stopc:
				return
			default:
				w.hub.Sweep(time.Now())
				w.hub.Channels("", 3)
				runtime.Gosched()
			}
		}
	})
	workers.Wait()
	close(stopc)
	sweeper.Wait()
	check(t, w.hub)

	log := slices.Concat(w.log[:]...)
	slices.SortFunc(log, func(a, b accepted) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(log); i++ {
		if log[i].id != log[i-1].id+1 {
			t.Fatalf("id %v follows %v", log[i].id, log[i-1].id)
		}
	}
	var sum tally
	for i := range w.lanes {
		for j, m := range w.lanes[i].members {
			for k := range m.spans {
				if err := m.spans[k].verify(log, w.hub.origin.start, pinned, &sum); err != nil {
					t.Fatalf("lane %d, member %d, span %d: %v", i, j, k, err)
				}
			}
			if m.membership.group != nil {
				m.lane.Leave(m)
			}
		}
	}
	t.Logf("%d accepted, %d spans, %d delivered, %d replayed, %d gaps", len(log), sum.spans, sum.delivered, sum.replayed, sum.gaps)
	if sum.delivered == 0 || sum.replayed == 0 || sum.gaps == 0 {
		t.Error("the run did not exercise everything")
	}
	if pinned {
		w.hub.Lane(0).Leave(&pin)
		if len(pin.got) != len(log) {
			t.Errorf("the subscriber of everything got %d of %d", len(pin.got), len(log))
		}
	}
	w.hub.Sweep(time.Now().Add(time.Hour))
	check(t, w.hub)
	if s := w.hub.Stats(); s.Subscribers != 0 || s.Groups != 0 || s.Backlog != 0 {
		t.Errorf("left over: %+v", s)
	}
}

func (w *world) publisher(t *testing.T, i int) {
	defer w.publish.Add(-1)
	random := rand.New(rand.NewPCG(w.seed, uint64(i)))
	for n := 0; n < worldDrafts; {
		drafts := make([]Draft, 1+random.IntN(4))
		for j := range drafts {
			drafts[j] = Draft{Channels: someOf(random, worldChannels, 3), Data: fmt.Appendf(nil, "%d.%d", i, n+j)}
		}
		receipts, err := w.hub.Publish(drafts)
		if err != nil {
			t.Error(err)
			return
		}
		for j, r := range receipts {
			w.log[i] = append(w.log[i], accepted{r.ID, drafts[j].Channels})
		}
		n += len(drafts)
		if random.IntN(4) == 0 {
			runtime.Gosched()
		}
	}
}

// someOf returns one to most of list, in any order.
func someOf(random *rand.Rand, list []string, most int) []string {
	var some []string
	for _, i := range random.Perm(len(list))[:1+random.IntN(most)] {
		some = append(some, list[i])
	}
	return some
}

func (l *worldLane) work(w *world) {
	for w.publish.Load() > 0 {
		if l.random.IntN(3) > 0 {
			l.Step(1 + l.random.IntN(40))
		} else {
			l.act(l.members[l.random.IntN(len(l.members))])
		}
		if l.random.IntN(8) == 0 {
			runtime.Gosched()
		}
	}
	for l.Step(1 + l.random.IntN(40)) {
	}
	for _, m := range l.members {
		m.end()
	}
}

// act does something at random with a member.
func (l *worldLane) act(m *member) {
	if m.membership.group != nil && l.random.IntN(3) == 0 {
		m.end()
		l.Leave(m)
		return
	}
	s := span{oldPos: m.membership.pos, set: someOf(l.random, worldNames, 4), resume: l.random.IntN(4) > 0}
	if g := m.membership.group; g != nil {
		s.old = g.Channels()
	}
	switch l.random.IntN(12) {
	default:
		s.after = m.membership.pos // zero at first, which is before the start
	case 0:
		s.after = max(m.membership.pos, 40) - ID(l.random.IntN(40))
	case 1:
		s.after = l.hub.origin.start
	case 2:
		s.after = l.hub.origin.start - 1
	case 3:
		s.after = m.membership.pos + 1<<40
	}
	m.end()
	s.replay = l.Join(m, s.set, s.after, s.resume)
	s.from = m.membership.pos
	m.spans = append(m.spans, s)
}

func (m *member) end() {
	if m.membership.group != nil {
		m.spans[len(m.spans)-1].to = m.membership.pos
	}
}

func (m *member) Membership() *Membership { return &m.membership }

// encodings are those that members render messages in.
var encodings = func() (list []*Encoding) {
	for i := range 7 {
		list = append(list, &Encoding{Render: func(m *Message, _ []byte) []byte { return fmt.Append(nil, i, m.Channel, string(m.Data)) }})
	}
	return list
}()

func (m *member) Deliver(batch []*Message) {
	s := &m.spans[len(m.spans)-1]
	s.got = append(s.got, batch...)
	l := m.lane
	if l.random.IntN(4) == 0 {
		for _, msg := range batch {
			msg.Rendered(encodings[l.random.IntN(len(encodings))])
		}
	}
	switch l.random.IntN(8) {
	case 0:
		l.act(m)
	case 1:
		for range 1 + l.random.IntN(4) {
			l.act(l.members[l.random.IntN(len(l.members))])
		}
	}
}

type tally struct{ spans, delivered, replayed, gaps int }

// verify compares one span with what was accepted.
func (s *span) verify(log []accepted, start ID, pinned bool, sum *tally) error {
	sum.spans++
	sum.delivered += len(s.got)
	sum.replayed += len(s.replay.Messages)
	sum.gaps += len(s.replay.Gaps)

	gaps := make(map[string]ID)
	for _, g := range s.replay.Gaps {
		if _, again := gaps[g.Channel]; again || !slices.Contains(s.set, g.Channel) || slices.Contains(s.old, g.Channel) {
			return fmt.Errorf("gap for %q is not wanted", g.Channel)
		}
		gaps[g.Channel] = g.Through
	}
	isNew := func(name string) bool { return s.resume && !slices.Contains(s.old, name) }
	added := func(channel string) bool {
		return slices.ContainsFunc(s.set, func(name string) bool { return isNew(name) && meant(name, channel) })
	}
	stays := func(channel string) bool { return taken(s.set, channel) && taken(s.old, channel) }
	held := func(channel string) bool { return taken(s.set, channel) }

	after := s.after
	if after < start || after > s.from {
		after = 0
		for _, channel := range s.set {
			if isNew(channel) && gaps[channel] == 0 {
				return fmt.Errorf("no gap for %q after an id that is not the hub's", channel)
			}
		}
	}
	for channel, through := range gaps {
		if through <= after || through > s.from {
			return fmt.Errorf("gap for %q through %v is not between %v and %v", channel, through, after, s.from)
		}
		i, ok := slices.BinarySearchFunc(log, through, func(a accepted, id ID) int { return cmp.Compare(a.id, id) })
		if pinned && after > 0 && !(ok && slices.ContainsFunc(log[i].channels, func(c string) bool { return meant(channel, c) })) {
			return fmt.Errorf("gap for %q through %v is a false one", channel, through)
		}
	}
	replay, got := s.replay.Messages, s.got
	for _, a := range log {
		owed := a.id > s.oldPos && a.id <= s.from && slices.ContainsFunc(a.channels, stays)
		resumed := a.id > after && a.id <= s.from && slices.ContainsFunc(a.channels, added)
		if len(replay) > 0 && replay[0].ID == a.id {
			if !owed && !resumed || !slices.Contains(a.channels, replay[0].Channel) || !held(replay[0].Channel) {
				return fmt.Errorf("%v on %q was replayed and should not have been", a.id, replay[0].Channel)
			}
			replay = replay[1:]
		} else if owed {
			return fmt.Errorf("%v on %q was owed and lost", a.id, a.channels)
		} else if resumed {
			for _, name := range s.set {
				if isNew(name) && gaps[name] < a.id && slices.ContainsFunc(a.channels, func(c string) bool { return meant(name, c) }) {
					return fmt.Errorf("%v on %q was lost, and the gap of %q is through %v", a.id, a.channels, name, gaps[name])
				}
			}
		}
		if a.id <= s.from || a.id > s.to || !slices.ContainsFunc(a.channels, held) {
			continue
		}
		if len(got) == 0 || got[0].ID != a.id {
			return fmt.Errorf("%v on %q was not delivered", a.id, a.channels)
		}
		if m := got[0]; !slices.Contains(a.channels, m.Channel) || !held(m.Channel) {
			return fmt.Errorf("%v was delivered on %q", a.id, m.Channel)
		}
		got = got[1:]
	}
	if len(replay) > 0 || len(got) > 0 {
		return fmt.Errorf("%d replayed and %d delivered that were not accepted, or out of order", len(replay), len(got))
	}
	return nil
}
