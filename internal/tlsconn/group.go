package tlsconn

import (
	"sync/atomic"
	"time"

	"holdfast/internal/park"
)

// A loop keeps the ciphers of the connections that it has used lately, by their slots' numbers: making them takes a
// microsecond and 2 kB. What was not used between two sweeps rests. Slots are descriptors and come in patterns, every
// fourth one for example, so a number has a few places where its hash says.
const (
	recentSets = 32
	recentWays = 8
	sweepTime  = 2 * time.Second
)

// group is what the connections of one loop share.
type group struct {
	e      *engine
	loop   *park.Loop
	recent [recentSets][recentWays]recent
	count  int   // entries of recent
	turn   uint8 // counts the entries that had to go
	swept  bool  // a sweep is due
}

type recent struct {
	c    *conn
	used bool // since the last sweep
}

// set returns the places that the connection in a slot may have.
func (g *group) set(slot int) *[recentWays]recent {
	h := uint32(slot) * 0x85EBCA6B // the last steps of MurmurHash3, which mix every bit into every other
	h = (h ^ h>>13) * 0xC2B2AE35
	return &g.recent[(h^h>>16)%recentSets]
}

// use notes that c is in use on its loop. On a worker it does nothing: Lend has taken c out.
func (g *group) use(s park.Socket, c *conn) {
	if s.OnWorker() {
		return
	}
	e := g.place(g.set(s.Slot()), c)
	if e.c != c {
		if e.c != nil {
			e.c.Rest()
		} else {
			g.count++
		}
		e.c = c
	}
	e.used = true
	if !g.swept {
		g.sweepLater()
	}
}

// place returns where in set c is, or is to be: a free place, that of a connection out of use, or any.
func (g *group) place(set *[recentWays]recent, c *conn) *recent {
	var to *recent
	for i := range set {
		switch e := &set[i]; {
		case e.c == c:
			return e
		case e.c == nil, !e.used && (to == nil || to.c != nil):
			to = e
		}
	}
	if to == nil {
		g.turn++
		to = &set[g.turn%recentWays]
	}
	return to
}

// remove takes c out.
func (g *group) remove(s park.Socket, c *conn) {
	if s.OnWorker() {
		return
	}
	set := g.set(s.Slot())
	for i := range set {
		if set[i].c == c {
			set[i] = recent{}
			g.count--
			return
		}
	}
}

func (g *group) sweepLater() {
	g.swept = true
	time.AfterFunc(sweepTime, func() { g.loop.Post(g.sweep) })
}

// sweep lets connections rest that were not used since the last one.
func (g *group) sweep() {
	for i := range g.recent {
		for j := range g.recent[i] {
			switch e := &g.recent[i][j]; {
			case e.c == nil:
			case e.used:
				e.used = false
			default:
				e.c.Rest()
				*e = recent{}
				g.count--
			}
		}
	}
	if g.swept = false; g.count > 0 {
		g.sweepLater()
	}
}

// version is an index of counts.
type version int

const (
	tls12 version = iota
	tls13
	versions
)

var versionNames = [versions]string{"1.2", "1.3"}

// open counts connections by version.
type open [versions]atomic.Int64

func (g *group) closed(v version) { g.e.open[v].Add(-1) }

// failed counts and logs what ends an established connection.
func (g *group) failed(s park.Socket, reason string, err error) {
	g.e.failed(reason, err, s.RemoteAddr())
}
