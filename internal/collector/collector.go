// Package collector sets how often Go's garbage collector runs.
package collector

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// Percent lets the heap grow by a quarter between collections. Held connections are small and live long, so
// collections are cheap; with Go's default of 100, half of the memory would be garbage.
const Percent = 25

const (
	// heapRoom is how much a busy server may allocate between two collections, at least. A handshake leaves 70 kB of
	// garbage: with a quarter of a small heap, the collector would run at every twentieth one, and take a third of the
	// processor's time.
	heapRoom = 16 << 20

	// busyBytes allocated between two calls of Adapt, busyCalls times in a row, is busy: seven hundred handshakes each time.
	// A short storm is not: the connections that it leaves would be spread over all of the room, which then stays in use.
	busyBytes = 48 << 20
	busyCalls = 3
)

// Collector sets it for a server with TLS. GOGC takes precedence.
type Collector struct {
	allocated uint64 // since the start, at the last call
	busy      int    // calls in a row
	percent   int    // that is set; 0: Percent
}

// Adapt sets the percentage for what was allocated since the last call. The caller calls it every few seconds.
func (c *Collector) Adapt() {
	if os.Getenv("GOGC") != "" {
		return
	}
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if percent := c.next(s[0].Value.Uint64(), s[1].Value.Uint64()); percent != c.percent {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

// next returns the percentage for the bytes that were allocated since the start, and those that live.
func (c *Collector) next(allocated, live uint64) int {
	if allocated-c.allocated < busyBytes {
		c.busy = 0
	} else {
		c.busy++
	}
	c.allocated = allocated
	if c.busy < busyCalls {
		return Percent
	}
	percent := max(Percent, int(heapRoom*100/max(live, 1<<20)))
	if d := percent - c.percent; -d < percent/4 && d < percent/4 {
		return c.percent // near enough: each change stops the world
	}
	return percent
}
