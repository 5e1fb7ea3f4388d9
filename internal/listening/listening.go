// Package listening has the listeners of clients. It opens those that a configuration names, and changes them while
// connections are served.
package listening

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"holdfast/internal/config"
	"holdfast/internal/park"
)

// Set is the listeners that are open. The zero value has none.
type Set struct {
	// Inherit returns a listener of the process before, by its Name; nil: it has none. Set it before the first Prepare; nil:
	// there is no such process.
	Inherit func(name string) (net.Listener, error)

	mu      sync.Mutex // guards what follows
	clients []*listener
	own     *listener // for requests of Holdfast to itself; nil: none
	dir     string    // has the socket of own
}

// listener is a listener of a Set.
type listener struct {
	bind
	addr    net.Addr
	ln      net.Listener // closed once the poller has it
	taken   *park.Listener
	setting atomic.Pointer[setting]
}

// bind is what a listener was opened with.
type bind struct{ network, address string }

// setting is what becomes of the connections of a listener.
type setting struct {
	accept   func(*park.Loop) park.Handler
	redirect bool // all requests to https
}

// accept is for park.Poller.Open.
func (l *listener) accept(loop *park.Loop) (h park.Handler, marked bool) {
	s := l.setting.Load()
	return s.accept(loop), s.redirect
}

// close closes the listener, whoever has it.
func (l *listener) close() {
	if l.taken != nil {
		l.taken.Close()
	} else {
		_ = l.ln.Close() // nobody has used it
	}
}

// Addrs is where clients and Holdfast itself connect.
type Addrs struct {
	First net.Addr // of the listeners of clients
	Own   net.Addr // for Holdfast's requests to itself
	Apart bool     // Own is a socket that only Holdfast can connect to
}

// Plan is a change of a Set that is ready. Either Use or Cancel follows.
type Plan struct {
	Addrs
	set    *Set
	poller *park.Poller // set by Open
	after  []*listener  // what the set will have
	list   config.Listeners
	own    *listener
	dir    string
	opened []*listener // by this plan
}

// Prepare opens the listeners of c that x does not have. None accepts before Plan.Use, and those that x has stay as they
// are. An error names the entry of c.
func (x *Set) Prepare(c *config.Config) (*Plan, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := &Plan{set: x, list: c.Listen, own: x.own}
	left := slices.Clone(x.clients) // not in use by the plan so far
	for i := range c.Listen {
		network, address := c.Listen.Bind(i)
		at := bind{network, address}
		if j := slices.IndexFunc(left, func(l *listener) bool { return l.bind == at }); j >= 0 {
			p.after = append(p.after, left[j])
			left = slices.Delete(left, j, j+1)
			continue
		}
		l, err := p.open(c.Listen.Key(i), at)
		if err != nil {
			p.Cancel()
			return nil, x.explainLocked(err, c.Listen[i].Address)
		}
		p.after = append(p.after, l)
	}
	if err := p.openOwn(c); err != nil {
		p.Cancel()
		return nil, err
	}
	p.First, p.Own = p.after[0].addr, p.ownAddr()
	p.Apart = p.own != nil
	return p, nil
}

func (p *Plan) open(key string, at bind) (*listener, error) {
	ln, err := p.set.Listen(key, at.network, at.address)
	if err != nil {
		return nil, err
	}
	l := &listener{bind: at, addr: ln.Addr(), ln: ln}
	p.opened = append(p.opened, l)
	return l, nil
}

// openOwn opens a socket for requests to paths of the app that only the proxy can make, if no other listener takes them as
// they are. Only this user can connect to it. It stays when it is not needed any more.
func (p *Plan) openOwn(c *config.Config) (err error) {
	if p.own != nil || c.Push.Authorize == "" && c.Push.Message == "" && c.Events.URL == "" && len(c.Watch) == 0 || p.openClient() != nil {
		return nil
	}
	if p.dir, err = os.MkdirTemp("", "holdfast-"); err != nil {
		return errOwn(err)
	}
	p.own, err = p.open("listen", bind{"unix", filepath.Join(p.dir, "own")})
	return err
}

// openClient returns a listener of clients that takes requests as they are; nil: there is none. Beside one with TLS none
// does: the app has to see that a client used https, and only a trusted peer can say so.
func (p *Plan) openClient() (open *listener) {
	for i, l := range p.list {
		if l.TLS {
			return nil
		}
		if !l.RedirectHTTPS && open == nil {
			open = p.after[i]
		}
	}
	return open
}

func (p *Plan) ownAddr() net.Addr {
	if p.own != nil {
		return p.own.addr
	}
	if open := p.openClient(); open != nil {
		return open.addr
	}
	return p.after[0].addr // nothing is requested
}

// Open gives the new listeners to the poller. They do not accept before Use.
func (p *Plan) Open(poller *park.Poller) (err error) {
	p.poller = poller
	for _, l := range p.opened {
		if l.taken, err = poller.Open(l.ln, l.accept); err != nil {
			return err
		}
	}
	return nil
}

// Use puts the plan to use, after Open: listeners that the configuration has no more are closed, and the others give
// connections from now on to the handlers of plain or, with TLS, of secure. It reports whether any was opened or closed.
// It is not for a loop's goroutine.
func (p *Plan) Use(plain, secure func(*park.Loop) park.Handler) (changed bool) {
	x := p.set
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, l := range p.after {
		s := &setting{accept: plain, redirect: p.list[i].RedirectHTTPS}
		if p.list[i].TLS {
			s.accept = secure
		}
		l.setting.Store(s)
	}
	if p.own != nil {
		p.own.setting.Store(&setting{accept: plain})
	}
	for _, l := range p.opened {
		l.taken.Begin()
	}
	before := x.clients
	x.clients, x.own = p.after, p.own
	if p.dir != "" {
		x.dir = p.dir
	}
	for _, l := range before {
		if !slices.Contains(p.after, l) {
			l.close()
			changed = true
		}
	}
	x.arrangeLocked(p.poller)
	changed = changed || len(p.opened) > 0
	p.opened, p.dir = nil, ""
	return changed
}

// Cancel closes what the plan has opened. After Use it does nothing.
func (p *Plan) Cancel() {
	for _, l := range p.opened {
		l.close()
	}
	removeDir(p.dir)
	p.opened, p.dir = nil, ""
}

// arrangeLocked has the poller list the own socket first, then those of clients in the order of the configuration.
func (x *Set) arrangeLocked(p *park.Poller) {
	var list []*park.Listener
	if x.own != nil {
		list = append(list, x.own.taken)
	}
	for _, l := range x.clients {
		list = append(list, l.taken)
	}
	p.Arrange(list)
}

// Names returns what the listeners of clients were opened with, in the order in which the poller has them. Before them it
// has own others.
func (x *Set) Names() (own int, list []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.own != nil {
		own = 1
	}
	for _, l := range x.clients {
		list = append(list, Name(l.network, l.address))
	}
	return own, list
}

// Addrs returns the addresses that clients connect to, in the order of the configuration.
func (x *Set) Addrs() (list []net.Addr) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.clients {
		list = append(list, l.addr)
	}
	return list
}

// Clean removes what is left in the file system when the poller has closed the listeners.
func (x *Set) Clean() {
	x.mu.Lock()
	defer x.mu.Unlock()
	removeDir(x.dir)
	x.dir = ""
}

func removeDir(dir string) {
	if dir != "" {
		_ = os.RemoveAll(dir) // it is in the directory for temporary files
	}
}
