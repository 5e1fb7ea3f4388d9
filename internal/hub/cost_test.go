package hub

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"
)

// counter is the smallest subscriber; what it has of its own is not the hub's cost.
type counter struct {
	membership Membership
	n          int
}

func (c *counter) Membership() *Membership { return &c.membership }
func (c *counter) Deliver(b []*Message)    { c.n += len(b) }

func TestDeliveryAllocatesNothing(t *testing.T) {
	h := New(Options{})
	l := h.Lane(0)
	members := make([]counter, 1000)
	for i := range members {
		l.Join(&members[i], []string{"a", []string{"b", "c"}[i%2]}, 0, false)
	}
	drafts := []Draft{{Channels: []string{"a"}, Data: []byte("x")}, {Channels: []string{"b"}, Data: []byte("y")}}
	const runs = 10
	var before, after runtime.MemStats
	var stepped uint64
	for i := range runs {
		if _, err := h.Publish(drafts); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&before)
		for l.Step(64) {
		}
		runtime.ReadMemStats(&after)
		if i > 0 { // the first one makes the lane's spare slices
			stepped += after.Mallocs - before.Mallocs
		}
	}
	if members[0].n != 2*runs || members[1].n != runs {
		t.Errorf("%d and %d delivered", members[0].n, members[1].n)
	}
	if stepped > 0 {
		t.Errorf("%d allocations for %d deliveries", stepped, (runs-1)*1500)
	}
}

func TestPublishAllocations(t *testing.T) {
	h := New(Options{})
	l := h.Lane(0)
	members := make([]counter, 100)
	for i := range members {
		l.Join(&members[i], []string{"a"}, 0, false)
	}
	draft := Draft{Channels: []string{"a"}, Data: []byte("x")}
	batch := []Draft{draft, draft, draft, draft, draft, draft, draft, draft, draft, draft}
	for _, c := range []struct {
		name    string
		publish func() error
		most    float64
	}{
		{"one", func() error { _, err := h.PublishOne(draft); return err }, 1},            // the message
		{"ten", func() error { _, err := h.Publish(batch); return err }, float64(10 + 2)}, // and two lists
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := c.publish(); err != nil {
				t.Fatal(err)
			}
			for l.Step(64) {
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations to publish to 100 subscribers, want %v at most", c.name, n, c.most)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// subscriberCost returns the hub's bytes per subscriber, Membership included, after messages have come.
func subscriberCost(n int, channels func(i int) []string) float64 {
	h := New(Options{Lanes: 2})
	members := make([]counter, n)
	names := make([][]string, n)
	for i := range names {
		names[i] = channels(i)
	}
	before := heap()
	for i := range members {
		h.Lane(i%2).Join(&members[i], names[i], 0, false)
	}
	for i := range names {
		if i >= 10 && len(h.channels) == 1 {
			break // all have got some already
		}
		if _, err := h.Publish([]Draft{{Channels: names[i][len(names[i])-1:], Data: []byte("x")}}); err != nil {
			panic(err)
		}
		run(h)
	}
	cost := float64(heap()-before)/float64(n) + float64(unsafe.Sizeof(Membership{}))
	runtime.KeepAlive(h)
	runtime.KeepAlive(members)
	runtime.KeepAlive(names)
	return cost
}

var costs = []struct {
	name     string
	channels func(i int) []string
	most     float64
}{
	{"one channel", func(int) []string { return []string{"news"} }, 60},
	{"one channel each", func(i int) []string { return []string{fmt.Sprintf("user.%08d", i)} }, 450},
	{"one each and one together", func(i int) []string { return []string{"news", fmt.Sprintf("user.%08d", i)} }, 600},
}

func TestSubscriberCost(t *testing.T) {
	for _, c := range costs {
		if got := subscriberCost(10000, c.channels); got > c.most {
			t.Errorf("%s: %.0f B/sub, want at most %.0f", c.name, got, c.most)
		}
	}
}

func BenchmarkSubscriber(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			var cost float64
			for b.Loop() {
				cost = subscriberCost(10000, c.channels)
			}
			b.ReportMetric(cost, "B/sub")
		})
	}
}

// BenchmarkFanOut is one message to 10,000 subscribers: the hub's own part of it.
func BenchmarkFanOut(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			h := New(Options{})
			l := h.Lane(0)
			members := make([]*counter, 10000)
			for i := range members {
				members[i] = new(counter)
				l.Join(members[i], c.channels(i), 0, false)
			}
			name := c.channels(0)[:1]
			deliveries := h.Stats().Delivered
			for b.Loop() {
				if _, err := h.Publish([]Draft{{Channels: name, Data: []byte("x")}}); err != nil {
					b.Fatal(err)
				}
				for l.Step(256) {
				}
			}
			deliveries = h.Stats().Delivered - deliveries
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
		})
	}
}
