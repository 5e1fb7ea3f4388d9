package proxy

import (
	"sync/atomic"
	"time"

	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/compress"
	"holdfast/internal/headread"
	"holdfast/internal/heldpoll"
	"holdfast/internal/park"
	"holdfast/internal/proxyheader"
	"holdfast/internal/proxystats"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/serving"
	"holdfast/internal/tempfile"
	"holdfast/internal/throttle"
)

type (
	Upstream    = balance.Upstream  // the app, or one of several that can answer the same requests
	Route       = route.Options     // where requests at and below a path go
	Sessions    = request.Sessions  // is notified when a response of the app may end a client's session
	PushHandler = admit.PushHandler // serves the requests that are Holdfast's own
	Options     = serving.Options   // of a Proxy
)

// Proxy forwards requests to the upstreams of their routes. It has a Front per loop and starts no goroutine; its owner
// runs the checks and lookups of Upstreams.
type Proxy struct {
	present   atomic.Pointer[generation] // of new requests; each Front has it from its next round on
	fronts    []*Front
	newSource func(*exchange) source
	lines     *balance.Lines // exchanges that wait for a server
	stats     proxystats.Counters
	draining  atomic.Bool
	inFlight  atomic.Int64
	buffered  atomic.Int64 // bytes gathered, or taken ahead of clients
	files     *tempfile.Store
	compress  *compress.Pool
}

// generation is what a request takes once, at its start. A reload makes another one. It is not changed itself.
type generation struct {
	*Proxy
	*serving.State
	o *Options // of State
}

// Stats are counts for metrics.
type Stats = proxystats.Stats

// New returns a proxy on the poller's loops. It starts nothing. It panics if its sites are not valid, as route.NewSites says.
func New(p *park.Poller, o Options) *Proxy {
	state, err := serving.New(p, o, nil)
	if err != nil {
		panic(err)
	}
	x := &Proxy{newSource: newSource}
	x.files = tempfile.NewStore(o.Folder, o.FileBytes, o.FilesTotal, state.Log)
	x.compress = compress.NewPool(p, o.Encoders, state.Log)
	x.lines = balance.NewLines(p.Loops(), o.Queue)
	g := &generation{x, state, &state.Options}
	x.present.Store(g)
	for _, l := range p.Loops() {
		f := &Front{p: g, loop: l, coders: x.compress.Loop(l), refused: throttle.PerSecond{Lines: maxRefusedLines}}
		f.reader = headread.Reader{Owner: f, Loop: l}
		f.limitHeads()
		x.fronts = append(x.fronts, f)
	}
	return x
}

// Prepare makes what Use puts to use, and changes nothing. Upstreams that stay keep their state and connections. Of the
// options, Folder, FileBytes, FilesTotal and Encoders stay as they are, and so do Cache, Held and Local.
func (x *Proxy) Prepare(o Options) (*serving.State, error) {
	return serving.New(x.fronts[0].loop.Poller(), o, x.present.Load().State)
}

// Use has requests that begin from now on follow another state. Any goroutine may call it; it returns when each loop has
// taken it up, or has ended.
func (x *Proxy) Use(state *serving.State) {
	g := &generation{x, state, &state.Options}
	state.Servers.Begin()
	x.lines.SetLimit(g.o.Queue)
	x.present.Store(g)
	var waits []func()
	for _, f := range x.fronts {
		waits = append(waits, f.loop.Do(func(done func()) {
			f.p = g
			f.limitHeads()
			done()
		}))
	}
	for _, wait := range waits {
		wait()
	}
}

// Accept returns the handler of a new connection on loop l, for park.Poller.Listen.
func (x *Proxy) Accept(l *park.Loop) park.Handler {
	f := x.fronts[l.Index]
	if o := x.present.Load().o; o.ProxyProtocol {
		return &proxyheader.Conn{Owner: f, Time: o.HeaderTime, Trusted: o.Trusted}
	}
	return &f.reader
}

// HeadReader returns what has the connections of a loop that wait for a request.
func (x *Proxy) HeadReader(l *park.Loop) *headread.Reader { return &x.fronts[l.Index].reader }

// Upstreams returns the upstreams. The caller runs Set.Resolve and Set.Check.
func (x *Proxy) Upstreams() *balance.Set { return x.present.Load().Servers }

// Resume takes a connection back for its next request, on the connection's loop. rest was read already; more means that
// further bytes may wait for which no event follows.
func (x *Proxy) Resume(c *park.Conn, rest []byte, more bool) {
	x.fronts[c.Loop().Index].resume(c, rest, more)
}

// Drain closes the connections that wait for a request; the others close after their request. Any goroutine may call
// it, after the listeners are closed.
func (x *Proxy) Drain() {
	x.draining.Store(true)
	x.fronts[0].loop.Poller().VisitAll(nil, func(c *park.Conn) {
		switch h := c.Handler().(type) {
		case *proxyheader.Conn:
			c.Close()
		case *heldpoll.Poll:
			h.Drain(c)
		default:
			headread.Close(c)
		}
	})
}

// Cut ends what is in progress, after a drain. What has begun is reset: after an ordinary close, the part of a response,
// or of a request to the app, could look complete. It is not for a loop's goroutine.
func (x *Proxy) Cut() {
	x.fronts[0].loop.Poller().VisitAll(nil, func(c *park.Conn) {
		if e, ok := c.Handler().(*exchange); ok && c == e.client.conn {
			e.client.keep = false
			e.run(func() { e.finishWith(503, errShutdown) })
		}
	})()
}

// Compression returns the counts of compressed responses. Any goroutine may call it.
func (x *Proxy) Compression() *compress.Pool { return x.compress }

// Stats may be called from any goroutine.
func (x *Proxy) Stats() Stats {
	stats, g := x.stats.Load(), x.present.Load()
	stats.InFlight, stats.Buffered, stats.Queued = x.inFlight.Load(), x.buffered.Load(), x.lines.Waiting()
	stats.Spills, stats.SpillErrors, stats.Spilled = x.files.Files(), x.files.Failures(), x.files.Used()
	stats.Upstreams, stats.Responses, stats.Denied = g.Servers.Stats(time.Now()), map[string]int64{}, g.Gate.Counts.All()
	for _, f := range x.fronts {
		f.responses.AddTo(stats.Responses)
		f.durations.AddTo(&stats.Durations)
	}
	return stats
}
