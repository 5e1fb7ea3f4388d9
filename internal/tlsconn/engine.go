package tlsconn

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/throttle"
)

const (
	maxQueue = 16 << 10 // connections that may wait for the beginning of their handshake
	crowd    = maxQueue / 16
)

// engine makes handshakes on workers of its own, and has what its connections share.
type engine struct {
	client   bool
	time     time.Duration
	patience time.Duration
	most     int // handshakes at once
	log      *slog.Logger
	pool     *park.Pool
	cpu      chan struct{} // one for each handshake that computes
	groups   []*group
	open     open
	made     [versions]atomic.Int64 // handshakes
	kept     atomic.Int64           // of those, how many resumed a session
	queued   throttle.Throttle      // connections whose handshake did not begin at once

	mu       sync.Mutex // guards what follows
	failures map[string]*throttle.Throttle
}

// reasons of failures; the alerts of the record layer come on top.
var reasons = []string{"alert", "busy", "certificate", "disconnected", "handshake", "not_tls", "timeout", "version"}

func (e *engine) init(p *park.Poller, client bool, limit time.Duration, most int, log *slog.Logger) {
	e.client, e.time, e.patience, e.most, e.log = client, limit, limit/3, most, log
	if e.log == nil {
		e.log = slog.Default()
	}
	e.cpu = make(chan struct{}, runtime.GOMAXPROCS(0))
	e.failures = map[string]*throttle.Throttle{}
	for _, reason := range reasons { // so that each has a count before it is the cause
		e.failures[reason] = new(throttle.Throttle)
	}
	for _, l := range p.Loops() {
		e.groups = append(e.groups, &group{e: e, loop: l})
	}
}

// resume waits until the handshake may compute, and yield lets another one. More at once than there are processors would
// only delay the loops.
func (e *engine) resume() { e.cpu <- struct{}{} }
func (e *engine) yield()  { <-e.cpu }

// tired reports whether a handshake that has waited for its client gives its worker to one that wants to begin. Otherwise a
// few hundred clients a second that stop in the middle of theirs would occupy all workers.
func (e *engine) tired(waited time.Duration) bool {
	switch n := e.waiting(); {
	case n == 0:
		return false
	case n >= crowd:
		return waited >= e.patience/4
	}
	return waited >= e.patience
}

// waiting returns how many connections of clients wait for a worker.
func (e *engine) waiting() int {
	if e.pool == nil {
		return 0
	}
	return e.pool.Waiting()
}

// job is one handshake to make.
type job struct {
	pool   *park.Pool
	head   []byte                       // read from the connection already
	tls    func(h *handshake) *tls.Conn // makes its tls.Conn
	next   func(*park.Conn, *made)      // takes the connection over, on the loop
	failed func(*park.Conn, error)      // does so after a failure
}

// begin makes the handshake of c on a worker.
func (e *engine) begin(c *park.Conn, j job) {
	h := &handshake{e: e, stream: park.NewStream(c, append([]byte(nil), j.head...)), client: c.RemoteAddr(), by: time.Now().Add(e.time)}
	h.wire = &wire{Conn: h.stream, hand: h}
	_ = h.stream.SetWriteDeadline(h.by) // it does not fail
	g := e.groups[c.Loop().Index]
	err := errPanic // unless run returns
	end := func() {
		h.stream.Release(func(c *park.Conn, _ []byte) { j.failed(c, err) })
	}
	started := j.pool.Go(func() {
		defer func() {
			if err != nil {
				end()
			}
		}()
		var m *made
		m, err = h.run(g, j.tls)
		if err != nil {
			reason, fields := h.cause(err)
			e.failed(reason, err, h.client, fields...)
			return
		}
		h.stream.Release(func(c *park.Conn, rest []byte) {
			if m.past = park.Readable; h.stream.Gone() {
				m.past |= park.HangUp
			}
			e.establish(c, m, rest, j.next)
		})
	})
	if started && j.pool.Waiting() > 0 {
		e.reportQueue(h.client)
	}
	if !started {
		err = errBusy
		e.failed("busy", err, h.client, "limit", maxQueue)
		h.stream.Cancel()
		j.failed(c, err)
	}
}

// reportQueue counts a handshake that waits for a worker, and logs one a minute.
func (e *engine) reportQueue(peer netip.AddrPort) {
	total, due := e.queued.Due(time.Now())
	switch {
	case due && e.client:
		e.log.Warn("TLS handshakes with an upstream wait for their turn", "upstream", peer, "total", total, "limit", e.most)
	case due:
		e.log.Warn("TLS handshakes wait for their turn: limits.handshakes", "total", total, "limit", e.most)
	}
}

// made is a connection after its handshake.
type made struct {
	layer   layer
	version version
	state   tls.ConnectionState
	past    park.Event // that the kernel does not tell again
}

// layer is a park.Layer that takes what was read with the handshake.
type layer interface {
	park.Layer
	unread(b []byte)
}

// establish puts the layer on the connection and gives it to next.
func (e *engine) establish(c *park.Conn, m *made, rest []byte, next func(*park.Conn, *made)) {
	e.open[m.version].Add(1)
	e.made[m.version].Add(1)
	if m.state.DidResume {
		e.kept.Add(1)
	}
	m.layer.unread(rest)
	c.SetLayer(m.layer)
	c.SetTLS(true)
	next(c, m)
}

var (
	errBusy  = errors.New("tls: too many connections wait for a handshake")
	errPanic = errors.New("tls: the handshake has panicked")
)

// failed counts what went wrong, and logs one of each reason a minute.
func (e *engine) failed(reason string, err error, client netip.AddrPort, fields ...any) {
	e.mu.Lock()
	t := e.failures[reason]
	if t == nil {
		t = new(throttle.Throttle)
		e.failures[reason] = t
	}
	e.mu.Unlock()
	total, due := t.Due(time.Now())
	if !due {
		return
	}
	peer := "client"
	if e.client {
		peer = "upstream"
	}
	fields = append([]any{"reason", reason, "error", err, peer, client, "total", total}, fields...)
	e.log.Info("TLS connection failed", fields...)
}

// Stats are counts for metrics.
type Stats struct {
	Open     map[string]int64 // connections, by version
	Made     map[string]int64 // handshakes, by version
	Resumed  int64            // of those, the ones that resumed a session
	Failures map[string]int64 // by reason
	Waiting  int64            // connections whose handshake waits for a worker
	Queued   int64            // those that ever did
}

// Stats may be called from any goroutine.
func (e *engine) Stats() Stats {
	s := Stats{Open: map[string]int64{}, Made: map[string]int64{}, Failures: map[string]int64{}, Resumed: e.kept.Load(), Waiting: int64(e.waiting()), Queued: e.queued.Total()}
	for v, name := range versionNames {
		s.Open[name], s.Made[name] = e.open[v].Load(), e.made[v].Load()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for reason, t := range e.failures {
		s.Failures[reason] = t.Total()
	}
	return s
}
