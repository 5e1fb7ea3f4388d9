package tlsconn

import (
	"sync/atomic"
	"time"

	"holdfast/internal/park"
)

// A loop keeps the ciphers of the connections that it has used lately, by the last bits of their slots' numbers: making
// them takes a microsecond and 2 kB. What was not used between two sweeps rests.
const (
	recentSlots = 256
	sweepTime   = 2 * time.Second
)

// group is what the connections of one loop share.
type group struct {
	e      *engine
	loop   *park.Loop
	recent [recentSlots]recent
	count  int  // entries of recent
	swept  bool // a sweep is due
}

type recent struct {
	c    *conn
	used bool // since the last sweep
}

// use notes that c is in use on its loop. On a worker it does nothing: Lend has taken c out.
func (g *group) use(s park.Socket, c *conn) {
	if s.OnWorker() {
		return
	}
	e := &g.recent[s.Slot()%recentSlots]
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

// remove takes c out.
func (g *group) remove(s park.Socket, c *conn) {
	if s.OnWorker() {
		return
	}
	if e := &g.recent[s.Slot()%recentSlots]; e.c == c {
		*e = recent{}
		g.count--
	}
}

func (g *group) sweepLater() {
	g.swept = true
	time.AfterFunc(sweepTime, func() { g.loop.Post(g.sweep) })
}

// sweep lets connections rest that were not used since the last one.
func (g *group) sweep() {
	for i := range g.recent {
		switch e := &g.recent[i]; {
		case e.c == nil:
		case e.used:
			e.used = false
		default:
			e.c.Rest()
			*e = recent{}
			g.count--
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
	g.e.failed(reason, err, s.Conn().RemoteAddr())
}
