package proxy

import "holdfast/internal/http1"

// knowLogin remembers which session the request came with, where somebody wants to know of its end.
func (x *exchange) knowLogin(h *head) {
	s := x.f.p.o.Sessions
	if s == nil {
		return
	}
	var buf [4][]byte
	cookies := buf[:0]
	for i := range h.fields {
		if f := &h.fields[i]; !f.drop && http1.EqualFold(f.name, "cookie") {
			cookies = append(cookies, f.value)
		}
	}
	if x.session.credential = s.Credential(cookies, h.target); x.session.credential != 0 {
		x.session.path = string(h.path)
	}
}

// tellSessions passes on what the app's answer does to that session.
func (x *exchange) tellSessions(a *answer) {
	if x.session.credential == 0 {
		return
	}
	var buf [4][]byte
	cookies := buf[:0]
	for i := range a.fields {
		if f := &a.fields[i]; http1.EqualFold(f.name, "set-cookie") {
			cookies = append(cookies, f.value)
		}
	}
	x.f.p.o.Sessions.Answered(x.session.credential, []byte(x.session.path), cookies)
}
