package balance

import (
	"time"

	"holdfast/internal/park"
)

// Bound has a loop's idle connections on which a client has logged in, or is about to. With NTLM and Negotiate, the app
// attributes every request on such a connection to that user. So each belongs to one client connection, and is never
// pooled. The zero Bound is ready for use.
type Bound struct{ conns map[park.Ref]*boundConn }

// boundConn is one of them, and its handler.
type boundConn struct {
	of     *Bound
	client park.Ref
	server *Server
	c      *park.Conn
}

// Server returns the Index of the server of a group that a client has a connection to; ok is false without one.
func (b *Bound) Server(client park.Ref, g *Group) (index int, ok bool) {
	x := b.conns[client]
	if x == nil {
		return 0, false
	}
	for _, s := range g.set.servers {
		if g.Has(s.Index) && s.Is(x.server) {
			return s.Index, true
		}
	}
	return 0, false
}

// Has reports whether a client has a connection to any server.
func (b *Bound) Has(client park.Ref) bool { return b.conns[client] != nil }

// Get removes and returns the client's connection to a server. bound means that there was one; c is nil if it is no
// longer usable.
func (b *Bound) Get(client park.Ref, server *Server) (c *park.Conn, bound bool) {
	x := b.conns[client]
	if x == nil || !x.server.Is(server) {
		return nil, false
	}
	x.forget()
	if x.c.Stale() {
		x.c.Close()
		return nil, true
	}
	return x.c, true
}

// Put keeps c for the client's further requests, in place of an earlier one.
func (b *Bound) Put(client park.Ref, server *Server, c *park.Conn, keep time.Duration) {
	if old := b.conns[client]; old != nil {
		old.c.Close()
	}
	if b.conns == nil {
		b.conns = make(map[park.Ref]*boundConn)
	}
	x := &boundConn{of: b, client: client, server: server, c: c}
	b.conns[client] = x
	c.Hold(x)
	c.SetDeadline(keep)
}

func (x *boundConn) forget() { delete(x.of.conns, x.client) }

// Ready closes the connection when the app closes it or sends bytes without a request, and after a while.
func (x *boundConn) Ready(c *park.Conn, ev park.Event) {
	if ev&(park.Expired|park.HangUp) == 0 && !c.Stale() {
		return
	}
	x.forget()
	c.Close()
}
