package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/compress"
	"holdfast/internal/headread"
	"holdfast/internal/heldpoll"
	"holdfast/internal/park"
	"holdfast/internal/proxyheader"
	"holdfast/internal/proxystats"
	"holdfast/internal/pushfields"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/site"
	"holdfast/internal/tempfile"
	"holdfast/internal/throttle"
)

type (
	Upstream    = balance.Upstream  // the app, or one of several that can answer the same requests
	Route       = route.Options     // where requests at and below a path go
	Sessions    = request.Sessions  // is notified when a response of the app may end a client's session
	PushHandler = admit.PushHandler // serves the requests that are Holdfast's own
)

// Options of a Proxy. A time of zero is no limit.
type Options struct {
	route.Settings // of all requests for which no site and no route has others

	Upstreams   []Upstream          // at least one, at most 64 with those of the sites and routes
	Sites       []route.SiteOptions // by the Host of a request; none: one for all hosts, which has Site and Routes
	Routes      []Route             // the first that matches gets a request; others go to Upstreams
	Pool        int                 // idle connections kept of each upstream, over all loops
	PoolIdle    time.Duration       // how long one is kept; below the app's own keep-alive time
	Queue       int                 // requests that may wait for an upstream at its limit
	QueueTime   time.Duration       // how long a request may wait
	MaxFails    int                 // consecutive failures after which an upstream is marked down for FailTime; 0: never
	FailTime    time.Duration
	NextError   bool   // an idempotent request whose upstream ends the connection without a response goes to the next
	NextTimeout bool   // so does one whose upstream sends none in time
	Sticky      string // cookie that ties a client to one upstream; empty: none

	Lookup     func(ctx context.Context, host string) ([]netip.Addr, error) // resolves host names; nil: the system's resolver
	CheckPath  string                                                       // path that Check requests from each upstream; empty: no checks
	CheckEvery time.Duration

	HeaderTime time.Duration // a request's head must be complete
	IdleTime   time.Duration // between two requests

	HeaderBytes  int // of a request's head
	HeaderFields int // header fields of a request

	Folder      string // directory for temporary files of bodies larger than the buffers; empty: none
	FileBytes   int64  // in the file of one body
	FilesTotal  int64  // in all files together; beyond it, no other body gets a file
	BufferTotal int64  // bytes of both kinds of bodies in memory, all clients together; beyond it, 8 kB each; default 16 MB

	ExternalHTTPS bool   // clients use https, unless a trusted proxy says otherwise
	ExternalPort  uint16 // port that clients connect to if neither Host nor a trusted proxy names one; 0: the scheme's default
	HSTS          string // value of Strict-Transport-Security for clients with TLS, unless the app sends one; empty: none
	HTTPSPort     uint16 // port of redirects to https; 0: the scheme's
	ASCIITargets  bool   // a target with a byte above 127 is refused
	RedirectHTTPS bool   // redirects a client that used plain http, as a trusted proxy says, to https

	ProxyProtocol bool // every connection begins with a PROXY header, and comes from a trusted peer

	Trusted    func(netip.Addr) bool // peers whose X-Forwarded-* are believed, also one without an address (a unix socket); nil: none
	Encoders   int64                 // compressors that belong to a response for long; 0: 64
	Cache      *fetch.Cache          // what is answered from memory; nil: nothing
	Held       *heldpoll.Polls       // requests that rules of Cache hold; nil: none is
	Challenge  func([]byte) []byte   // returns the response to a path if it is a challenge of a CA; nil: none are
	Push       *pushfields.Reader    // reads what the app publishes by its responses; nil: nothing does
	Site       *site.Site            // with FastCGI upstreams: what a path means; nil: the upstreams speak HTTP
	ServerAddr netip.AddrPort        // where clients connect, for SERVER_ADDR and SERVER_PORT; may be invalid
	Access     *accesslog.Log        // nil: none
	Sessions   Sessions              // is notified of responses that may end a session; nil: no notifications
	Local      PushHandler           // serves the requests that are not for the app; nil: there are none
	Log        *slog.Logger
}

// Proxy forwards requests to the upstreams of their routes. It has a Front per loop and starts no goroutine; its owner
// runs the checks and lookups of Upstreams.
type Proxy struct {
	o         Options
	fronts    []*Front
	servers   *balance.Set
	gate      *admit.Gate
	sites     *route.Sites
	newSource func(*exchange) source
	lines     *balance.Lines // exchanges that wait for a server
	reader    request.Reader
	stats     proxystats.Counters
	draining  atomic.Bool
	inFlight  atomic.Int64
	buffered  atomic.Int64 // bytes gathered, or taken ahead of clients
	files     *tempfile.Store
	compress  *compress.Pool
}

// Stats are counts for metrics.
type Stats = proxystats.Stats

// New returns a proxy on the poller's loops. It starts nothing. It panics as route.MustSites does.
func New(p *park.Poller, o Options) *Proxy {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.BufferTotal == 0 {
		o.BufferTotal = 16 << 20
	}
	if o.Trusted == nil {
		o.Trusted = func(netip.Addr) bool { return false }
	}
	x := &Proxy{o: o, newSource: newSource, reader: request.Reader{Trusted: o.Trusted, HTTPS: o.ExternalHTTPS, Port: o.ExternalPort, Listen: o.ServerAddr.Port()}}
	x.files = tempfile.NewStore(o.Folder, o.FileBytes, o.FilesTotal, o.Log)
	x.compress = compress.NewPool(p, o.Encoders, o.Log)
	x.servers = balance.NewSet(balance.Options{
		MaxFails: o.MaxFails, FailTime: o.FailTime, Sticky: o.Sticky,
		CheckPath: o.CheckPath, CheckEvery: o.CheckEvery, ConnectTime: o.ConnectTime, Lookup: o.Lookup, Log: o.Log,
	})
	list := o.Sites
	if len(list) == 0 {
		list = []route.SiteOptions{{Default: true, Push: true, Main: Route{Match: "/", Site: o.Site, Publishes: true}, Routes: o.Routes}}
	}
	x.sites = route.MustSites(x.servers, Route{Upstreams: o.Upstreams, Site: o.Site, Settings: &x.o.Settings}, list)
	gate := admit.Options{Sites: x.sites, RedirectHTTPS: o.RedirectHTTPS, HTTPSPort: o.HTTPSPort, Logins: runtime.GOMAXPROCS(0) / 2}
	if o.Local != nil {
		gate.Owns = o.Local.Owns
	}
	x.gate = admit.New(p, gate)
	x.lines = balance.NewLines(p.Loops(), o.Queue)
	for _, l := range p.Loops() {
		f := &Front{p: x, loop: l, coders: x.compress.Loop(l), refused: throttle.PerSecond{Lines: maxRefusedLines}}
		f.reader = headread.Reader{Owner: f, Loop: l, FirstTime: o.HeaderTime, IdleTime: o.IdleTime, MaxBytes: o.HeaderBytes}
		for range x.servers.Servers() {
			f.pools = append(f.pools, &balance.Pool{Limit: (o.Pool + len(p.Loops()) - 1) / len(p.Loops()), Keep: o.PoolIdle})
		}
		x.fronts = append(x.fronts, f)
	}
	return x
}

// Accept returns the handler of a new connection on loop l, for park.Poller.Listen.
func (x *Proxy) Accept(l *park.Loop) park.Handler {
	f := x.fronts[l.Index]
	if x.o.ProxyProtocol {
		return &proxyheader.Conn{Owner: f, Time: x.o.HeaderTime, Trusted: x.o.Trusted}
	}
	return &f.reader
}

// Upstreams returns the upstreams. The caller runs Set.Resolve and Set.Check.
func (x *Proxy) Upstreams() *balance.Set { return x.servers }

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
	stats := x.stats.Load()
	stats.InFlight, stats.Buffered, stats.Queued = x.inFlight.Load(), x.buffered.Load(), x.lines.Waiting()
	stats.Spills, stats.SpillErrors, stats.Spilled = x.files.Files(), x.files.Failures(), x.files.Used()
	stats.Upstreams, stats.Responses, stats.Denied = x.servers.Stats(time.Now()), map[string]int64{}, x.gate.Counts.All()
	for _, f := range x.fronts {
		f.responses.AddTo(stats.Responses)
		f.durations.AddTo(&stats.Durations)
	}
	return stats
}
