package proxy

import (
	"bytes"
	"fmt"
	"hash/fnv"

	"holdfast/internal/http1"
)

// stickyOf returns the index of the upstream that the request's session is on, or -1. An upstream with a
// Route has sessions that end in it, as Tomcat's do with jvmRoute; others are told apart by a cookie of
// ours.
func (p *Proxy) stickyOf(r *route, h *http1.Head) int {
	if p.o.Sticky == "" || !r.several() {
		return -1
	}
	for i := range h.Fields {
		if !http1.EqualFold(h.Fields[i].Name, "cookie") {
			continue
		}
		for list := h.Fields[i].Value; len(list) > 0; {
			var pair []byte
			pair, list, _ = bytes.Cut(list, []byte(";"))
			name, value, _ := bytes.Cut(pair, []byte("="))
			if string(http1.TrimOWS(name)) != p.o.Sticky {
				continue
			}
			if s := p.withSession(r, bytes.Trim(http1.TrimOWS(value), `"`)); s >= 0 {
				return s
			}
		}
	}
	if p.o.Sticky == "JSESSIONID" { // a client without cookies
		if _, value, ok := bytes.Cut(h.Path, []byte(";jsessionid=")); ok {
			value, _, _ = bytes.Cut(value, []byte("/"))
			value, _, _ = bytes.Cut(value, []byte(";"))
			return p.withSession(r, value)
		}
	}
	return -1
}

func (p *Proxy) withSession(r *route, value []byte) int {
	for _, s := range p.servers {
		if r.servers&(1<<s.index) == 0 {
			continue
		}
		if s.Route == "" && string(value) == s.ticket() || s.Route != "" && bytes.HasSuffix(value, []byte("."+s.Route)) {
			return s.index
		}
	}
	return -1
}

// ticket is the value of our cookie. It does not tell the address.
func (s *server) ticket() string {
	h := fnv.New64a()
	h.Write([]byte(s.String()))
	return fmt.Sprintf("%016x", h.Sum64())
}

// appendTicket lets the client stay with the server that answered.
func (x *exchange) appendTicket(b []byte) []byte {
	p, s := x.f.p, x.app.server
	if p.o.Sticky == "" || !x.route.several() || s.Route != "" || x.app.sticky == s.index {
		return b
	}
	return fmt.Appendf(b, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax\r\n", p.o.Sticky, s.ticket())
}
