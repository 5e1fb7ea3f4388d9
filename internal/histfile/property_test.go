package histfile

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/hub"
)

// TestRestartsLoseNothingInSilence: messages are published to clients that come and go, while the process ends, in order
// or cut off before it has written all, and begins again, with other rules or the clock put back. What Saved has
// acknowledged comes to every client once and in order, or is covered by a gap that it was told of; who saw a message that
// was never written is told so; and a gap is told for a reason only.
func TestRestartsLoseNothingInSilence(t *testing.T) {
	t.Parallel()
	first := rand.Uint64()
	var sum tally
	for i := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", first+i), func(t *testing.T) {
			w := newWorld(t, first+i)
			w.run()
			sum.replayed += w.told.replayed
			sum.gaps += w.told.gaps
			sum.voids += w.told.voids
		})
	}
	t.Logf("%+v", sum)
	if sum.replayed == 0 || sum.gaps == 0 || sum.voids == 0 {
		t.Error("the runs did not exercise everything")
	}
}

var worldChannels = []string{"many.1", "many.2", "few.1", "few.2", "young.1", "small.1", "bare.1", "flip.1"}

type world struct {
	*testing.T
	random  *rand.Rand
	path    string
	clock   time.Time
	flip    bool   // flip.* is kept
	flipped bool   // and was not before, or the other way round
	ruled   hub.ID // where the process began that had new rules
	total   int64

	file    *File
	hub     *hub.Hub
	clients []*client

	log     []*published
	newest  hub.ID // given out by any process, as a position too
	safe    hub.ID // all up to it was written
	started hub.ID // where this process began
	voids   []void
	told    tally
}

// tally counts what clients were told: voids are resumes from what was never written.
type tally struct{ replayed, gaps, voids int }

// void are ids that a process gave out and did not write.
type void struct{ from, to hub.ID } // from is excluded

type published struct {
	id       hub.ID
	channels []string
	acked    bool
	gone     bool // was never written
}

// client is a subscriber and what it has of each channel.
type client struct {
	world      *world
	membership hub.Membership
	channels   []string
	held       bool
	begun      bool
	last       hub.ID            // the newest message it had
	seen       map[string]hub.ID // up to here its record is complete, or it was told
}

func (c *client) Membership() *hub.Membership { return &c.membership }

func (c *client) Deliver(batch []*hub.Message) {
	for _, m := range batch {
		c.take(m)
	}
}

// take notes a message, before which nothing may be missing on its channels.
func (c *client) take(m *hub.Message) {
	w := c.world
	i, ok := slices.BinarySearchFunc(w.log, m.ID, func(p *published, id hub.ID) int { return cmp.Compare(p.id, id) })
	if !ok || w.log[i].gone {
		w.Fatalf("message %v was never published, or not by a process that wrote it", m.ID)
	}
	if m.ID <= c.last {
		w.Fatalf("message %v on %s comes again after %v", m.ID, m.Channel, c.last)
	}
	c.last = m.ID
	for _, channel := range w.log[i].channels {
		if slices.Contains(c.channels, channel) {
			c.owed(channel, m.ID-1)
			c.seen[channel] = max(c.seen[channel], m.ID)
		}
	}
}

// owed fails if c lacks a message of the channel up to an id.
func (c *client) owed(channel string, through hub.ID) {
	for _, p := range slices.Backward(c.world.log) {
		if p.id <= c.seen[channel] {
			break
		}
		if p.id <= through && !p.gone && slices.Contains(p.channels, channel) {
			c.world.Fatalf("message %v on %s was lost in silence: the client had all up to %v", p.id, channel, c.seen[channel])
		}
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		T: t, random: rand.New(rand.NewPCG(seed, 0)), path: filepath.Join(t.TempDir(), "history"), clock: time.Now(), flip: true,
		total: 40 << 10,
	}
	for range 8 {
		w.clients = append(w.clients, &client{world: w})
	}
	w.start()
	return w
}

func (w *world) rule(name string) (hub.History, bool) {
	switch kind, _, _ := strings.Cut(name, "."); kind {
	case "few":
		return hub.History{Messages: 3}, true
	case "many":
		return hub.History{Messages: 1 << 20}, true
	case "young":
		return hub.History{Messages: 100, Age: 20 * time.Second}, true
	case "small":
		return hub.History{Messages: 100, Bytes: 300}, true
	case "flip":
		if w.flip {
			return hub.History{Messages: 50}, true
		}
	}
	return hub.History{}, true
}

func (w *world) start() {
	var err error
	if w.file, err = Open(w.path); err != nil {
		w.Fatal(err)
	}
	w.file.db.NoSync = true // it is processes that end here, not the machine
	w.hub, err = hub.Open(hub.Options{
		Rule: w.rule, Rules: fmt.Sprint(w.flip), HistoryTotal: w.total, Now: func() time.Time { return w.clock },
	}, w.file)
	if err != nil {
		w.Fatal(err)
	}
	var probe client
	w.hub.Lane(0).Join(&probe, nil, 0, false)
	w.started = probe.membership.Position()
	if w.started <= w.newest {
		w.Fatalf("the new process begins with %v; the one before gave out %v", w.started, w.newest)
	}
	w.newest, w.safe = w.started, w.started
	if w.flipped {
		w.ruled, w.flipped = w.started, false
	}
	w.compare()
}

// write does what Save does when it has to write.
func (w *world) write() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.hub.Save(ctx, func(err error) { w.Fatal(err) })
	w.safe = w.newest
}

// end ends the process, which wrote everything, or not.
func (w *world) end(cut bool) {
	if !cut {
		w.write()
	} else if w.newest > w.safe {
		w.voids = append(w.voids, void{w.safe, w.newest})
		for _, p := range w.log {
			if p.id > w.safe && p.id > w.started {
				p.gone = true
				if p.acked {
					w.Fatalf("message %v was acknowledged and not written", p.id)
				}
			}
		}
	}
	for _, c := range w.clients {
		c.held = false
	}
	if err := w.file.Close(); err != nil {
		w.Fatal(err)
	}
	switch w.random.IntN(6) {
	case 0:
		w.clock = w.clock.Add(-time.Minute)
	case 1:
		w.flip, w.flipped = !w.flip, true
	}
}

func (w *world) run() {
	for range 1500 {
		w.clock = w.clock.Add(time.Duration(w.random.IntN(200)) * time.Millisecond)
		switch n := w.random.IntN(100); {
		case n < 45:
			w.publish()
		case n < 60:
			w.hub.Lane(0).Step(1 + w.random.IntN(10))
		case n < 70:
			w.write()
		case n < 72:
			w.hub.Sweep(w.clock)
		case n < 75:
			w.end(w.random.IntN(2) == 0)
			w.start()
		default:
			w.clients[w.random.IntN(len(w.clients))].act()
		}
		if s := w.hub.Stats(); s.HistoryBytes > w.total {
			w.Fatalf("history takes %d bytes", s.HistoryBytes)
		}
	}
	w.end(false)
}

func (w *world) publish() {
	var channels []string
	for _, i := range w.random.Perm(len(worldChannels))[:1+w.random.IntN(2)] {
		channels = append(channels, worldChannels[i])
	}
	data := make([]byte, w.random.IntN(200))
	if w.random.IntN(200) == 0 {
		data = make([]byte, w.total+1)
	}
	receipts, err := w.hub.Publish([]hub.Draft{{Channels: channels, Data: data, Event: "e"}})
	if err != nil {
		w.Fatal(err)
	}
	r := receipts[0]
	if r.ID <= w.newest {
		w.Fatalf("id %v after %v", r.ID, w.newest)
	}
	w.newest = r.ID
	p := &published{id: r.ID, channels: channels}
	w.log = append(w.log, p)
	if w.random.IntN(2) == 0 {
		w.write()
		if err := w.hub.Saved(w.Context(), receipts); err != nil {
			w.Fatal(err)
		}
		p.acked = true
	}
}

// act joins, with what it has, or leaves.
func (c *client) act() {
	w := c.world
	lane := w.hub.Lane(0)
	if c.held {
		if w.random.IntN(2) == 0 {
			lane.Leave(c)
			c.held = false
		}
		return
	}
	if !c.begun || w.random.IntN(20) == 0 { // a new one
		c.membership, c.seen, c.channels, c.begun, c.last = hub.Membership{}, map[string]hub.ID{}, nil, true, 0
		for _, i := range w.random.Perm(len(worldChannels))[:1+w.random.IntN(3)] {
			c.channels = append(c.channels, worldChannels[i])
		}
		lane.Join(c, c.channels, 0, false)
		for _, channel := range c.channels {
			c.seen[channel] = c.membership.Position()
		}
		c.held = true
		return
	}
	after := c.membership.Position()
	c.membership = hub.Membership{}
	r := lane.Join(c, c.channels, after, true)
	c.held = true
	never := slices.ContainsFunc(w.voids, func(v void) bool { return after > v.from && after <= v.to })
	gaps := map[string]hub.ID{}
	for _, g := range r.Gaps {
		gaps[g.Channel] = g.Through
		w.told.gaps++
		if !never && !w.lost(g.Channel, after) {
			w.Fatalf("a gap of %s after %v through %v without a reason", g.Channel, after, g.Through)
		}
	}
	if never {
		w.told.voids++
		if len(gaps) < len(c.channels) {
			w.Fatalf("after %v, which was never written, there are gaps for %v only", after, gaps)
		}
	}
	for channel, through := range gaps {
		c.seen[channel] = max(c.seen[channel], through)
	}
	for _, channel := range c.channels {
		c.seen[channel] = max(c.seen[channel], after)
	}
	for _, m := range r.Messages {
		w.told.replayed++
		c.take(m)
	}
	for _, channel := range c.channels {
		c.owed(channel, c.membership.Position())
		c.seen[channel] = max(c.seen[channel], c.membership.Position())
	}
}

// lost reports whether there is a reason for a gap of the channel after an id.
func (w *world) lost(channel string, after hub.ID) bool {
	if rule, _ := w.rule(channel); after < w.ruled || after < w.started && rule.Messages == 0 {
		return true // nobody knows
	}
	kept := map[hub.ID]bool{}
	for _, m := range w.hub.Read(channel, 0, 1<<30, 1<<40).Messages {
		kept[m.ID] = true
	}
	for _, p := range w.log {
		if p.id > after && !p.gone && slices.Contains(p.channels, channel) && !kept[p.id] {
			return true
		}
	}
	return false
}

// compare fails if the file has other messages than the hub.
func (w *world) compare() {
	inFile := map[string][]hub.ID{}
	err := w.file.Each(func(r hub.Record) error {
		inFile[r.Channel] = append(inFile[r.Channel], r.ID)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	for _, channel := range worldChannels {
		var inHub []hub.ID
		for _, m := range w.hub.Read(channel, 0, 1<<30, 1<<40).Messages {
			inHub = append(inHub, m.ID)
		}
		if !slices.Equal(inHub, inFile[channel]) {
			w.Fatalf("%s: the hub has %v, the file %v", channel, inHub, inFile[channel])
		}
	}
}
