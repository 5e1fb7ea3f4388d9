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
	fetch    *Fetch
}

// Change returns what a request may change, or nil. f is what Find has returned for it. A poll by POST that a rule absorbs
// changes nothing, by what the rule says of it; one that it passes may.
func (c *Cache) Change(h *http1.Head, q *request.Request, f *Fetch) *Change {
	unsafe := cache.IsUnsafe(h.Method)
	r := view(h, q)
	var sessions []cache.Tag
	if c.Rules.HasSessions() {
		sessions = c.Rules.Sessions(&r)
	}
	if !unsafe && len(sessions) == 0 {
		return nil
	}
	x := &Change{c: c, fetch: f, sessions: sessions, ends: unsafe || c.EndsSession != nil && c.EndsSession(h.Path)}
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
	absorbed := x.fetch != nil && x.fetch.fwd != cache.FwdBypass
	if x.req.Method != nil && !absorbed {
		x.c.Store.Changed(&x.req, cache.Response{Status: a.Status, Fields: a.Fields})
	}
	if x.ends && !absorbed || x.c.Rules.SetsSession(a.Fields) {
		for _, t := range x.sessions {
			x.c.Store.InvalidateSession(t)
		}
	}
}
