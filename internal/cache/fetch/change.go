package fetch

import (
	"bytes"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// Change is a request that may change what is stored: one of an unsafe method, or of a session. Nil is one that may not.
type Change struct {
	c        *Cache
	fetch    *Fetch        // of a request that a rule is about
	req      cache.Request // without fields; the zero value if the method is safe, or a rule is about the request
	sessions []cache.Tag
	ends     bool // it ends what is stored of its sessions, whatever is answered
	applied  bool
}

// Change returns what a request that no rule is about may change, or nil.
func (c *Cache) Change(h *http1.Head, q *request.Request, now time.Time) *Change {
	c.visit(h, q, now)
	unsafe := cache.IsUnsafe(h.Method)
	r := view(h, q)
	var sessions []cache.Tag
	if c.Rules.HasSessions() {
		sessions = c.Rules.Sessions(&r)
	}
	if !unsafe && len(sessions) == 0 {
		return nil
	}
	x := &Change{c: c, sessions: sessions, ends: unsafe || c.EndsSession.Has(h.Path)}
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
	if x == nil {
		return
	}
	x.applied = true
	if x.req.Method != nil {
		x.c.Store.Changed(&x.req, cache.Response{Status: a.Status, Fields: a.Fields})
	}
	switch {
	case x.c.Rules.SetsSession(a.Fields):
		x.endSessions(nil)
	case x.ends && x.fetch != nil:
		x.endSessions(x.fetch.flight)
	case x.ends:
		x.endSessions(nil)
	}
	if x.fetch != nil {
		cache.ChangedGroups(x.c.Store, &x.fetch.req, cache.Response{Status: a.Status, Fields: a.Fields})
	}
	x.tell()
}

// tell says that the request may have changed something.
func (x *Change) tell() {
	if x.c.Changed != nil {
		x.c.Changed()
	}
}

// endSessions drops what is stored of the sessions, but for what a flight brings.
func (x *Change) endSessions(but *cache.Flight) {
	for _, t := range x.sessions {
		x.c.Store.InvalidateSession(t, but)
	}
}

// Close is called at the end of the request. asked says that the app has a part of it: if it has not answered, it may have made
// the change, or makes it yet.
func (x *Change) Close(asked bool) {
	if x == nil || x.applied || !x.ends || !asked {
		return
	}
	x.endSessions(nil)
	if x.req.Method != nil {
		x.c.Store.Changed(&x.req, cache.Response{Status: 200})
	}
	x.tell()
}

// seenTime is how long a session's POST is known to be a question: the same one again is no change.
const seenTime = time.Hour

// mayChange reports whether a request that a rule is about may change something all the same: its method is not safe, and it
// is not known to be a question, as the key is one that its session has not asked before, or no key has all of it. A page's
// polls are the same again and again; what it saves in between, as WordPress does in its heartbeat, is new.
func (f *Fetch) mayChange(now time.Time) bool {
	if !cache.IsUnsafe(f.req.Method) {
		return false
	}
	if f.why != cache.None && f.why != cache.PassDue {
		return true
	}
	k, _, ok := f.rule.Seen(f.key, &f.req)
	if !ok { // of no session
		return false
	}
	_, state := f.c.Store.Find(k, nil, now)
	return state == cache.Miss
}

// noteSeen has the request known as a question of its session, now that it is answered.
func (f *Fetch) noteSeen(now time.Time) {
	if !f.changes {
		return
	}
	if k, place, ok := f.rule.Seen(f.key, &f.req); ok {
		f.c.Store.Due(k, place, seenTime, now)
	}
}

// Change returns what the request may change, or nil.
func (f *Fetch) Change() *Change {
	return &Change{c: f.c, fetch: f, sessions: f.c.Rules.Sessions(&f.req), ends: f.changes}
}
