package fetch

import (
	"sync"
	"time"
)

// given remembers which client was given which answer last. What it forgets costs a client an answer that it has already. The
// zero value is ready for use. Any goroutine may call it.
type given struct {
	mu         sync.Mutex // guards what follows
	young, old map[uint64]note
	swapped    time.Time // when young became old
}

// note is what a client was given for a key. Times are of the store's clock.
type note struct {
	sum   uint64    // of the answer; 0: it was none, see given.visit
	since time.Time // when it was given that first
	last  time.Time // and at last
}

const (
	givenMost = 1 << 16         // notes that are young: with the old ones, about 10 MB
	givenTime = 2 * time.Minute // for which a note is young
)

// get returns a note; the zero note if there is none.
func (g *given) get(k uint64) note {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n, ok := g.young[k]; ok {
		return n
	}
	return g.old[k]
}

// put replaces a note.
func (g *given) put(k uint64, n note, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.young == nil || len(g.young) >= givenMost || now.Sub(g.swapped) > givenTime {
		if now.Sub(g.swapped) > 2*givenTime {
			g.young = nil
		}
		g.young, g.old, g.swapped = map[uint64]note{}, g.young, now
	}
	g.young[k] = n
}

// gave notes that a client was given an answer.
func (g *given) gave(k, sum uint64, now time.Time) {
	n := g.get(k)
	if n.sum != sum {
		n = note{sum: sum, since: now}
	}
	n.last = now
	g.put(k, n, now)
}

// forget drops a note.
func (g *given) forget(k uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.young, k)
	delete(g.old, k)
}
