package balance

import (
	"bytes"
	"fmt"
	"hash/fnv"

	"holdfast/internal/http1"
)

// StickyOf returns the Index of the upstream that the request's session is on, or -1. The sessions of an upstream with
// a Route end in it, as Tomcat's with jvmRoute; for others, Holdfast sets a cookie.
func (g *Group) StickyOf(h *http1.Head) int {
	cookie := g.set.o.Sticky
	if cookie == "" || !g.hasMultiple() {
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
			if string(http1.TrimOWS(name)) != cookie {
				continue
			}
			if s := g.withSession(bytes.Trim(http1.TrimOWS(value), `"`)); s >= 0 {
				return s
			}
		}
	}
	if cookie == "JSESSIONID" { // a client without cookies
		if _, value, ok := bytes.Cut(h.Path, []byte(";jsessionid=")); ok {
			value, _, _ = bytes.Cut(value, []byte("/"))
			value, _, _ = bytes.Cut(value, []byte(";"))
			return g.withSession(value)
		}
	}
	return -1
}

func (g *Group) withSession(value []byte) int {
	for _, s := range g.set.servers {
		if !g.Has(s.Index) {
			continue
		}
		if s.Route == "" && string(value) == s.stickyValue() || s.Route != "" && bytes.HasSuffix(value, []byte("."+s.Route)) {
			return s.Index
		}
	}
	return -1
}

// stickyValue returns the value of Holdfast's cookie. It does not reveal the address.
func (s *Server) stickyValue() string {
	h := fnv.New64a()
	h.Write([]byte(s.String()))
	return fmt.Sprintf("%016x", h.Sum64())
}

// AppendSticky appends the cookie that ties a client to s, unless it is tied to s already (sticky).
func (g *Group) AppendSticky(b []byte, s *Server, sticky int) []byte {
	name := g.set.o.Sticky
	if name == "" || !g.hasMultiple() || s.Route != "" || sticky == s.Index {
		return b
	}
	return fmt.Appendf(b, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax\r\n", name, s.stickyValue())
}
