package proxy

import (
	"slices"

	"holdfast/internal/http1"
)

// session is the session of the app that a request belongs to; it is empty without Options.Sessions.
type session struct {
	credentials []uint64
	path        string // of the request
}

// recordSession notes the session that the request belongs to, if Options.Sessions is set.
func (x *exchange) recordSession(h *http1.Head) {
	s := x.f.p.o.Sessions
	if s == nil {
		return
	}
	var buf [4][]byte
	cookies := http1.AppendValues(buf[:0], h.Fields, "cookie")
	if x.session.credentials = s.Credentials(cookies, h.Target); len(x.session.credentials) > 0 {
		x.session.path = string(h.Path)
	}
}

// notifySessions passes the app's response on to all who may learn of a change by it: subscribers, the cache, of which it may
// end something, and Options.Sessions.
func (x *exchange) notifySessions(a *http1.Answer) {
	x.change.Apply(a) // before subscribers ask for what has changed
	x.push.Head(a)
	if len(x.session.credentials) == 0 {
		return
	}
	var buf [4][]byte
	cookies := http1.AppendValues(buf[:0], a.Fields, "set-cookie")
	x.f.p.o.Sessions.OnResponse(x.session.credentials, []byte(x.session.path), cookies)
}

// recordConnectionLogin notes a request that logs in its upstream connection.
func (x *exchange) recordConnectionLogin(h *http1.Head) {
	var buf [4][]byte
	x.app.connLogin = slices.ContainsFunc(http1.AppendValues(buf[:0], h.Fields, "authorization"), http1.LogsInConnection)
}
