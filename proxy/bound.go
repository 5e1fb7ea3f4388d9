package proxy

import (
	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/park"
)

// bound is an idle upstream connection on which a client has logged in, or is about to: with NTLM and Negotiate the app
// takes every request on it for that user's. So it is that client connection's alone, and never pooled. It is the
// connection's handler.
type bound struct {
	f      *Front
	client park.Ref
	server *balance.Server
	c      *park.Conn
}

// recordConnectionLogin notes a request that logs in its upstream connection.
func (x *exchange) recordConnectionLogin(h *http1.Head) {
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "authorization") && http1.LogsInConnection(f.Value) {
			x.app.connLogin = true
		}
	}
}

func (b *bound) forget() { delete(b.f.bound, b.client) }

// Ready closes the connection when the app does, when it speaks without being asked, and after a while.
func (b *bound) Ready(c *park.Conn, ev park.Event) {
	if ev&(park.Expired|park.HangUp) == 0 && !c.Stale() {
		return
	}
	b.forget()
	c.Close()
}

// pooledConn returns an idle connection to the chosen server, or nil: the client's own, or one of the pool.
func (a *appLeg) pooledConn() *park.Conn {
	if b := a.x.f.bound[a.x.client.conn.Ref()]; b != nil && b.server == a.server {
		b.forget()
		a.connLogin = true
		if !b.c.Stale() {
			return b.c
		}
		b.c.Close()
	}
	return a.x.f.pools[a.server.Index].Get()
}

// giveBack keeps the upstream connection for further requests, of anybody or of this client.
func (a *appLeg) giveBack() {
	f, server, c := a.x.f, a.server, a.conn
	if !a.connLogin {
		f.pools[server.Index].Put(c)
		return
	}
	if a.x.trusted || !a.x.client.keep { // one connection of a proxy has the requests of many clients
		a.x.notice(closedLogin)
		c.Close()
		return
	}
	a.x.notice(boundLogin)
	ref := a.x.client.conn.Ref()
	if old := f.bound[ref]; old != nil {
		old.forget()
		old.c.Close()
	}
	if f.bound == nil {
		f.bound = make(map[park.Ref]*bound)
	}
	b := &bound{f: f, client: ref, server: server, c: c}
	f.bound[ref] = b
	c.Hold(b)
	c.SetDeadline(f.p.o.PoolIdle)
}
