// Package heldindex finds held connections: by ID, by user, by credential, or all of them. What it stores beside them
// belongs to their loops, on which it visits them.
package heldindex

import (
	"crypto/rand"
	"net/netip"
	"sync"

	"holdfast/internal/connection"
	"holdfast/internal/park"
	"holdfast/internal/session"
)

// Conn is a held connection, which is the handler of its socket.
type Conn interface {
	comparable
	park.Handler

	// Socket returns the connection's socket.
	Socket() *park.Conn
}

// Ref refers to a connection from other goroutines.
type Ref struct {
	ref  park.Ref
	loop *park.Loop
}

// RefTo returns the Ref of a connection. It runs on the connection's loop.
func RefTo(c *park.Conn) Ref { return Ref{c.Ref(), c.Loop()} }

// Post has the loop run f with the connection, if it is still open then.
func (r Ref) Post(f func(*park.Conn)) { r.ref.Post(r.loop, f) }

// Index finds the held connections of a poller.
type Index[C Conn] struct {
	poller  *park.Poller
	epoch   string    // of this process, in IDs
	parts   []part[C] // by the loop's index
	adopted sync.Map  // Ref of connections that another process has begun, by ID
}

// part is what belongs to a loop.
type part[C Conn] struct {
	sessions *session.Index[C]
	clients  map[C]netip.AddrPort // addresses of clients behind trusted proxies
	ids      map[C]string         // of connections that another process has begun
}

// New returns an empty index.
func New[C Conn](p *park.Poller) *Index[C] {
	i := &Index[C]{poller: p, epoch: rand.Text()[:12]}
	for range p.Loops() {
		i.parts = append(i.parts, part[C]{session.NewIndex[C](), map[C]netip.AddrPort{}, map[C]string{}})
	}
	return i
}

func (i *Index[C]) of(x C) *part[C] { return &i.parts[x.Socket().Loop().Index] }

// Sessions returns the index of the sessions on a connection's loop.
func (i *Index[C]) Sessions(x C) *session.Index[C] { return i.of(x).sessions }

// SetClient stores the address of a client behind a trusted proxy.
func (i *Index[C]) SetClient(x C, a netip.AddrPort) { i.of(x).clients[x] = a }

// Client returns what SetClient has stored; invalid: nothing.
func (i *Index[C]) Client(x C) netip.AddrPort { return i.of(x).clients[x] }

// ID returns the ID of a connection for the app. IDs are never reused, and a connection of another process keeps its own.
func (i *Index[C]) ID(x C) string {
	if id := i.of(x).ids[x]; id != "" {
		return id
	}
	slot, gen := x.Socket().Ref().Number()
	return connection.FormatID(i.epoch, slot, gen)
}

// SetID gives a connection the ID that it has in another process.
func (i *Index[C]) SetID(x C, id string) {
	i.of(x).ids[x] = id
	i.adopted.Store(id, RefTo(x.Socket()))
}

// Forget removes what is stored beside a connection, but for its session.
func (i *Index[C]) Forget(x C) {
	p := i.of(x)
	delete(p.clients, x)
	if id, adopted := p.ids[x]; adopted {
		delete(p.ids, x)
		i.adopted.Delete(id)
	}
}

// visit returns f for the sockets of held connections.
func visit[C Conn](f func(C)) func(*park.Conn) {
	return func(c *park.Conn) {
		if x, ok := c.Handler().(C); ok {
			f(x)
		}
	}
}

func isHeld[C Conn](c *park.Conn) bool {
	_, ok := c.Handler().(C)
	return ok
}

// All has the loops run f with every connection, and returns at once.
func (i *Index[C]) All(f func(C)) { i.poller.VisitAll(isHeld[C], visit(f)) }

// EachFrozen calls f with every connection, while the loops are frozen.
func (i *Index[C]) EachFrozen(f func(C)) {
	for _, l := range i.poller.Loops() {
		l.Each(visit(f))
	}
}

// Each runs f with every connection that has the ID and the user of the selection, if these are given, on its loop. It
// returns after the last, or when the loops end. Don't call it on a loop.
func (i *Index[C]) Each(s connection.Selection, f func(C)) {
	if s.Connection != "" {
		if r, ok := i.find(s.Connection); ok {
			r.loop.Do(func(done func()) { r.loop.Visit([]park.Ref{r.ref}, visit(f), done) })()
		}
		return
	}
	var waits []func()
	for n, l := range i.poller.Loops() {
		waits = append(waits, l.Do(func(done func()) {
			if s.User == "" {
				l.VisitAll(isHeld[C], visit(f), done)
				return
			}
			l.Visit(refs(i.parts[n].sessions.OfUser(s.User)), visit(f), done)
		}))
	}
	for _, wait := range waits {
		wait()
	}
}

func (i *Index[C]) find(id string) (Ref, bool) {
	if r, ok := i.adopted.Load(id); ok {
		return r.(Ref), true
	}
	slot, gen, ok := connection.ParseID(i.epoch, id)
	if !ok {
		return Ref{}, false
	}
	ref, loop, ok := i.poller.Find(slot, gen)
	return Ref{ref, loop}, ok
}

// OfCredentials has the loops run f with every connection of one of the credentials, once, and returns at once.
func (i *Index[C]) OfCredentials(credentials []uint64, f func(C)) {
	for n, l := range i.poller.Loops() {
		l.Post(func() { l.Visit(refs(i.parts[n].sessions.OfCredentials(credentials)), visit(f), func() {}) })
	}
}

func refs[C Conn](list []C) (refs []park.Ref) {
	for _, x := range list {
		refs = append(refs, x.Socket().Ref())
	}
	return refs
}
