package proxy

import (
	"slices"

	"holdfast/internal/http1"
)

// session is what a request came with, where somebody wants to know of its end.
type session struct {
	credentials []uint64
	path        string // that was asked for
}

// recordSession remembers which session the request came with, where somebody wants to know of its end.
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

// notifySessions passes on what the app's answer does to that session.
func (x *exchange) notifySessions(a *http1.Answer) {
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
