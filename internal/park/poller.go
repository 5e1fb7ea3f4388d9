package park

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// acceptPause is how long a listener waits after accept failed for lack of descriptors or memory.
const acceptPause = 500 * time.Millisecond

// Options of a Poller; zero means the default.
type Options struct {
	Loops    int                   // event loops; default one per core (GOMAXPROCS)
	Workers  int                   // most worker goroutines at once; default 64
	Queue    int                   // calls to Go that may wait for a worker; default 16,384
	MaxConns int                   // most accepted connections; default what the file limit allows
	PerAddr  int                   // most accepted connections of one address; 0: any number
	Exempt   func(netip.Addr) bool // addresses without that limit, such as a load balancer's
	Log      *slog.Logger          // default slog.Default()
}

// Poller is the loops, their table of connections and the workers. The same table serves listeners,
// clients and upstream connections.
type Poller struct {
	opts    Options
	slots   *slots
	loops   []*Loop
	workers workers

	nextLoop       atomic.Uint32
	clients        atomic.Int64 // accepted and open
	accepted       atomic.Int64
	refused        atomic.Int64 // over MaxConns
	addressLimited atomic.Int64 // over PerAddr
	addresses      *addresses   // nil without PerAddr
	acceptErr      atomic.Int64 // failed accepts, mostly for lack of descriptors
	panics         atomic.Int64
	keepFiles      atomic.Bool // see KeepSocketFiles

	mu        sync.Mutex // guards what follows
	listeners []*Listener
	pools     []*Pool // besides workers
	closed    bool

	sys sysPoller
}

// New returns a poller. It starts nothing: Post, Listen and Dial may be called at once, and take effect when Serve
// runs.
func New(o Options) (*Poller, error) {
	if o.Loops <= 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Queue <= 0 {
		o.Queue = 16384
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	p := &Poller{opts: o, slots: newSlots(slotLimit())}
	if o.PerAddr > 0 {
		p.addresses = &addresses{limit: o.PerAddr, exempt: o.Exempt, conns: map[netip.Addr]int{}}
	}
	p.workers = workers{limit: o.Workers, queue: o.Queue, p: p}
	for i := range o.Loops {
		l, err := newLoop(p, i)
		if err != nil {
			return nil, fmt.Errorf("park: loop %d: %w", i, err)
		}
		p.loops = append(p.loops, l)
	}
	return p, nil
}

// Loops returns the loops, by index.
func (p *Poller) Loops() []*Loop { return p.loops }

// Serve runs the loops until Shutdown and returns when they and the workers have ended.
func (p *Poller) Serve() error {
	var wg sync.WaitGroup
	for _, l := range p.loops {
		wg.Go(l.run)
	}
	wg.Wait()
	p.workers.wait()
	for _, pool := range p.allPools() {
		pool.workers.wait()
	}
	p.sys.wait()
	return nil
}

// Shutdown closes the listeners and every connection and ends the loops. It does not wait: Serve returns when
// everything has ended. Handlers are not called again.
func (p *Poller) Shutdown() {
	p.StopListening()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.workers.close()
	for _, pool := range p.allPools() {
		pool.workers.close()
	}
	// The first loop has the listeners and spreads the accepted connections over all. So the others end after it has
	// closed the listeners.
	first := p.loops[0]
	first.Post(func() {
		for _, l := range p.loops[1:] {
			l.Post(l.stop)
		}
		first.stop()
	})
}

// Listen accepts connections on ln and gives each to the handler that accept returns for its loop; nil refuses it.
// accept runs on any loop and must not touch the connection. After Listen the poller owns ln. The new connection's
// handler gets Readable when the first bytes arrive.
func (p *Poller) Listen(ln net.Listener, accept func(l *Loop) Handler) error {
	x, err := p.Open(ln, func(l *Loop) (Handler, bool) { return accept(l), false })
	if err == nil {
		x.Begin()
	}
	return err
}

// Open is Listen for a listener that accepts nothing before Begin, and that Close closes. The connections for which accept
// returns true are Marked.
func (p *Poller) Open(ln net.Listener, accept func(l *Loop) (h Handler, marked bool)) (*Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	x, err := p.newListener(ln, accept)
	if err != nil {
		return nil, fmt.Errorf("park: listen on %s: %w", ln.Addr(), err)
	}
	p.listeners = append(p.listeners, x)
	return x, nil
}

// Close closes the listener; connections stay. When it returns, its address is free. It is not for a loop's goroutine.
func (x *Listener) Close() {
	x.p.mu.Lock()
	if i := slices.Index(x.p.listeners, x); i >= 0 {
		x.p.listeners = slices.Delete(x.p.listeners, i, i+1)
		x.close()
	}
	x.p.mu.Unlock()
	x.p.loops[0].Do(func(done func()) { done() })() // what close has posted is done before
}

// Arrange says which listeners there are, in their order. None may be closing.
func (p *Poller) Arrange(list []*Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = list
}

// VisitAll is Loop.VisitAll on every loop. wait returns when that is done, or the loops have ended; it is not for a
// loop's goroutine.
func (p *Poller) VisitAll(choose func(*Conn) bool, f func(*Conn)) (wait func()) {
	var waits []func()
	for _, l := range p.loops {
		waits = append(waits, l.Do(func(done func()) { l.VisitAll(choose, f, done) }))
	}
	return func() {
		for _, wait := range waits {
			wait()
		}
	}
}

// StopListening closes the listeners; connections stay.
func (p *Poller) StopListening() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.listeners {
		x.close()
	}
	p.listeners = nil
}

// Find returns the connection of a Number, and its loop; false if it has closed. Any goroutine may call it.
func (p *Poller) Find(slot int32, gen uint32) (Ref, *Loop, bool) {
	if slot < 0 || int(slot) >= len(p.slots.pages)*pageSize {
		return Ref{}, nil, false
	}
	c := p.slots.get(slot)
	if c == nil || gen&1 == 0 || c.gen.Load() != gen {
		return Ref{}, nil, false
	}
	return Ref{c, gen}, c.Loop(), true
}

// Trim frees the pages of the table that have no open connection. Any goroutine may call it.
func (p *Poller) Trim() { p.slots.trim() }

// Stats are counts for metrics.
type Stats struct {
	Clients, Accepted, Refused, AddressLimited, AcceptErrors, Panics, Workers, Queued int64
}

// Stats may be called from any goroutine.
func (p *Poller) Stats() Stats {
	w, q := p.workers.count()
	return Stats{
		Clients: p.clients.Load(), Accepted: p.accepted.Load(), Refused: p.refused.Load(), AddressLimited: p.addressLimited.Load(),
		AcceptErrors: p.acceptErr.Load(), Panics: p.panics.Load(), Workers: int64(w), Queued: int64(q),
	}
}

// nextLoopFor spreads connections evenly.
func (p *Poller) nextLoopFor() *Loop {
	return p.loops[int(p.nextLoop.Add(1))%len(p.loops)]
}

// refuseAddress counts a connection beyond PerAddr, and logs the 1st, 2nd, 4th, 8th …
func (p *Poller) refuseAddress(addr netip.AddrPort) {
	if n := p.addressLimited.Add(1); n&(n-1) == 0 {
		p.opts.Log.Warn("connection refused: too many of one address", "limit", p.opts.PerAddr, "client", addr, "total", n)
	}
}

// acceptFailed counts a failed accept, and logs the 1st, 2nd, 4th, 8th …
func (p *Poller) acceptFailed(err error) {
	if n := p.acceptErr.Add(1); n&(n-1) == 0 {
		p.opts.Log.Warn("accept failed; trying again", "error", err, "total", n)
	}
}
