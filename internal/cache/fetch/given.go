package fetch

import (
	"math"
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

	// pages counts those that were given it and have not polled since, by when that was: in the last gapTime that has begun,
	// and in the one before. A page that is not among them was not given it, or has polled for something else.
	pages   [2]uint16
	rotated time.Time // when the former began
}

const (
	givenMost = 1 << 16         // notes that are young: with the old ones, about 15 MB
	givenTime = 2 * time.Minute // for which a note is young
)

// at returns a note with the pages that count at a time.
func (n note) at(now time.Time) note {
	switch past := now.Sub(n.rotated); {
	case past <= gapTime:
	case past <= 2*gapTime:
		n.pages, n.rotated = [2]uint16{0, n.pages[0]}, n.rotated.Add(gapTime)
	default:
		n.pages, n.rotated = [2]uint16{}, now
	}
	return n
}

// waits returns how many pages have the answer and have not polled since.
func (n note) waits() int { return int(n.pages[0]) + int(n.pages[1]) }

// get returns a note; the zero note if there is none.
func (g *given) get(k uint64) note {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.find(k)
}

// find is get for who has the mutex.
func (g *given) find(k uint64) note {
	if n, ok := g.young[k]; ok {
		return n
	}
	return g.old[k]
}

// put replaces a note.
func (g *given) put(k uint64, n note, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.store(k, n, now)
}

// store is put for who has the mutex.
func (g *given) store(k uint64, n note, now time.Time) {
	if g.young == nil || len(g.young) >= givenMost || now.Sub(g.swapped) > givenTime {
		if now.Sub(g.swapped) > 2*givenTime {
			g.young = nil
		}
		g.young, g.old, g.swapped = map[uint64]note{}, g.young, now
	}
	g.young[k] = n
}

// gave notes that a page of a client was given an answer.
func (g *given) gave(k, sum uint64, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.find(k).at(now)
	if n.sum != sum {
		n = note{sum: sum, since: now, rotated: now}
	}
	if n.last = now; n.pages[0] < math.MaxUint16 {
		n.pages[0]++
	}
	g.store(k, n, now)
}

// take notes that one of the pages that were given an answer has polled. It returns false if there is none.
func (g *given) take(k, sum uint64, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.find(k).at(now)
	if n.sum != sum || n.waits() == 0 {
		return false
	}
	if n.pages[1] > 0 {
		n.pages[1]--
	} else {
		n.pages[0]--
	}
	g.store(k, n, now)
	return true
}

// forget drops a note.
func (g *given) forget(k uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.young, k)
	delete(g.old, k)
}
