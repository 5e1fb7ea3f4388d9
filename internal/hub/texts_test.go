package hub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/slab"
)

// textOf returns draft n of TestTextsAreWhole: its event, its data and whether it is JSON follow from n.
func textOf(n uint32) Draft {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	d := Draft{JSON: random.IntN(2) == 0, Event: strings.Repeat("e", random.IntN(3)*random.IntN(80))}
	size := random.IntN(3 * 60)
	switch random.IntN(20) {
	case 0:
		size = slab.LargeRecord - 6 + random.IntN(4)
	case 1:
		size = slab.LargeRecord + random.IntN(3<<10)
	}
	d.Data = binary.BigEndian.AppendUint32(nil, n)
	for len(d.Data) < 4+size {
		d.Data = append(d.Data, byte(random.Uint32()))
	}
	return d
}

// whole returns why a message is not as it was published.
func whole(m *Message) error {
	if len(m.Data) < 4 {
		return fmt.Errorf("%v has %d bytes", m.ID, len(m.Data))
	}
	d := textOf(binary.BigEndian.Uint32(m.Data))
	if !bytes.Equal(d.Data, m.Data) || d.Event != m.Event || d.JSON != m.JSON {
		return fmt.Errorf("%v on %s: %q %q %v; want %q %q %v", m.ID, m.Channel, m.Data, m.Event, m.JSON, d.Data, d.Event, d.JSON)
	}
	return nil
}

// TestTextsAreWhole: whatever is evicted, moved and reused at the same time, a message from history has the data, the
// event and the form that it was published with, also while its subscriber still has it.
func TestTextsAreWhole(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rules := []History{{Messages: 3}, {Messages: 50, Bytes: 2000}, {Messages: 1000, Age: time.Millisecond}, {Messages: 1 << 20, Age: 30 * time.Millisecond}}
	h := New(Options{Lanes: 2, Wildcards: true, HistoryTotal: 3 << 20, Rule: func(name string) (History, bool) {
		return rules[int(name[len(name)-1])%len(rules)], true
	}})
	channel := func(random *rand.Rand) string { return fmt.Sprintf("c.%d", random.IntN(60)) }
	var number, publishing atomic.Int32
	var workers sync.WaitGroup
	publishing.Store(2)
	for i := range 2 {
		workers.Go(func() {
			defer publishing.Add(-1)
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 4000 {
				d := textOf(uint32(number.Add(1)))
				for range 1 + random.IntN(3) {
					d.Channels = append(d.Channels, channel(random))
				}
				d.Quiet = random.IntN(10) == 0
				if _, err := h.PublishOne(d); err != nil {
					t.Error(err)
					return
				}
			}
		})
		workers.Go(func() {
			l, random := h.Lane(i), rand.New(rand.NewPCG(seed, uint64(10+i)))
			var had []*Message // looked at again later
			var s recorder
			for publishing.Load() > 0 {
				var list []*Message
				names := []string{channel(random), []string{channel(random), "c.*", "**"}[random.IntN(3)]}
				switch random.IntN(6) {
				case 0:
					list = h.Read(names[0], 0, 1+random.IntN(100), 10_000).Messages
				case 1:
					if m, _ := h.Last(names[0]); m != nil {
						list = append(list, m)
					}
				case 2:
					list = l.JoinNewest(&s, names, h.Newest(names, 1+random.IntN(5))).Messages
				default:
					list = l.Join(&s, names, max(h.Position(), 400)-ID(random.IntN(400)), true).Messages
				}
				l.Leave(&s)
				had = append(had, list...)
				for n := len(had); n > 0 && n > 3000; n = len(had) {
					had = had[n/2:]
				}
				for _, m := range had[max(len(had)-300, 0):] {
					if err := whole(m); err != nil {
						t.Error(err)
						return
					}
				}
			}
			for _, m := range had {
				if err := whole(m); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Go(func() {
		random := rand.New(rand.NewPCG(seed, 99))
		for publishing.Load() > 0 {
			h.Sweep(time.Now())
			h.Renew(channel(random), h.Position())
		}
	})
	workers.Wait()
	check(t, h)
	h.Sweep(time.Now().Add(time.Hour))
	check(t, h)
}
