package upgrade

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"
	"unsafe"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

// listener is a subscriber without a socket, to measure how long a publish is on its way.
type listener struct {
	stand hub.Membership
	got   time.Time
}

func (x *listener) Membership() *hub.Membership { return &x.stand }
func (x *listener) Deliver(_ []*hub.Message)    { x.got = time.Now() }

// BenchmarkMillion is what a million held connections are to the process, without their sockets: slots, held
// structs and places in channels. It reports their bytes, what one collection of garbage costs and stops, and how long a
// publish to one further subscriber takes while collections go on.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	for _, kind := range []struct {
		name    string
		channel func(i int) string
	}{
		{"one channel", func(int) string { return "news" }},
		{"a channel each", func(i int) string { return fmt.Sprintf("user.%07d", i) }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(25)) // as the command has it
			before := used()
			h := hub.New(hub.Options{Lanes: 2})
			slots := make([]park.Conn, n)
			k, f := &Keeper{}, new(form)
			for i := range n {
				x := &held{k: k, c: &slots[i], form: f}
				slots[i].Hold(x)
				h.Lane(i%2).Join(x, []string{kind.channel(i)}, 0, false)
			}
			each := float64(used()-before) / n

			lane, one := h.Lane(0), new(listener)
			lane.Join(one, []string{"one"}, 0, false)
			var took, cycles []time.Duration
			for b.Loop() {
				donec := make(chan time.Duration)
				go func() {
					begin := time.Now()
					runtime.GC()
					donec <- time.Since(begin)
				}()
				for collecting := true; collecting; {
					begin := time.Now()
					if _, err := h.Publish([]hub.Draft{{Channels: []string{"one"}, Data: []byte("x")}}); err != nil {
						b.Fatal(err)
					}
					for lane.Step(64) {
					}
					took = append(took, one.got.Sub(begin))
					select {
					case d := <-donec:
						cycles, collecting = append(cycles, d), false
					default:
					}
				}
			}
			var stats debug.GCStats
			debug.ReadGCStats(&stats)
			pauses := stats.Pause[:min(len(stats.Pause), len(cycles))] // the newest first
			slices.Sort(took)
			slices.Sort(cycles)
			micro := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
			b.ReportMetric(each, "B/held")
			b.ReportMetric(micro(cycles[len(cycles)/2])/1e3, "ms/collection")
			b.ReportMetric(micro(slices.Max(pauses)), "µs-longest-pause")
			b.ReportMetric(micro(took[len(took)/2]), "µs-publish-p50")
			b.ReportMetric(micro(took[len(took)*999/1000]), "µs-publish-p99.9")
			b.ReportMetric(micro(took[len(took)-1]), "µs-publish-most")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(slots)
		})
	}
}

func used() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestHeldIsSmall: what waits costs a slot and one struct. A field more is a decision, not an accident.
func TestHeldIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(held{}); n > 96 {
		t.Errorf("a held connection's struct has %d bytes; want at most 96", n)
	}
}
