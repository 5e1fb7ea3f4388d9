package fetch

import (
	"bytes"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// Change is a request that may change what is stored: one of an unsafe method, or of a session.
type Change struct {
	c        *Cache
	req      cache.Request // without fields; the zero value if the method is safe
	sessions []cache.Tag
	ends     bool // it ends what is stored of its sessions, whatever is answered
}

// Change returns what a request may change, or nil.
func (c *Cache) Change(h *http1.Head, q *request.Request) *Change {
	unsafe := cache.IsUnsafe(h.Method)
	r := view(h, q)
	var sessions []cache.Tag
	if c.Rules.HasSessions() {
		sessions = c.Rules.Sessions(&r)
	}
	if !unsafe && len(sessions) == 0 {
		return nil
	}
	x := &Change{c: c, sessions: sessions, ends: unsafe || c.EndsSession != nil && c.EndsSession(h.Path)}
	if unsafe {
		r.Method, r.Target, r.Host, r.Fields = bytes.Clone(r.Method), bytes.Clone(r.Target), bytes.Clone(r.Host), nil
		r.Path = r.Target[:len(h.Path)]
		x.req = r
	}
	return x
}

// Apply is called with the app's response before the client has anything of it: the next poll of a session sees what the
// session has changed.
func (x *Change) Apply(a *http1.Answer) {
	if x.req.Method != nil {
		x.c.Store.Changed(&x.req, cache.Response{Status: a.Status, Fields: a.Fields})
	}
	if x.ends || x.c.Rules.SetsSession(a.Fields) {
		for _, t := range x.sessions {
			x.c.Store.InvalidateSession(t)
		}
	}
}
