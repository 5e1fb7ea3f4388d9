package proxy

import (
	"bytes"
	"net/netip"

	"holdfast/internal/syntax"
)

// caller is who sent a request, as far as it can be believed.
type caller struct {
	peer    netip.Addr // the other end of the connection; invalid on a unix socket
	addr    netip.Addr // the client: the peer, or whom a trusted proxy names
	trusted bool       // the peer is a trusted proxy
}

// callerOf finds the client: the last address in the list that is not a trusted proxy's. Everything
// before it may have been made up by the client itself.
func (p *Proxy) callerOf(peer netip.Addr, h *head) caller {
	c := caller{peer: peer.Unmap(), addr: peer.Unmap()}
	c.trusted = p.o.Trusted(c.peer)
	if !c.trusted {
		return c
	}
	if said := h.forwards[forwarded]; len(said) > 0 && len(h.forwards[forwardFor]) == 0 {
		h.fromForwarded(said, p.o.Trusted)
	}
	list := h.forwards[forwardFor]
	if len(list) == 0 {
		if a, ok := parseNode(h.forwards[realIP]); ok {
			c.addr = a
		}
		return c
	}
	for len(list) > 0 {
		var last []byte
		if i := bytes.LastIndexByte(list, ','); i >= 0 {
			last, list = list[i+1:], list[:i]
		} else {
			last, list = list, nil
		}
		a, ok := parseNode(syntax.TrimOWS(last))
		if !ok {
			return c // unknown, or obfuscated (RFC 7239 §6.3): what stands before it is hearsay
		}
		if c.addr = a; !p.o.Trusted(a) {
			return c
		}
	}
	return c
}

// parseNode parses an address with or without port, and with the brackets that RFC 7239 wants.
func parseNode(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap().WithZone(""), true
	}
	if s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return a.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}

// fromForwarded fills in what a trusted proxy said in Forwarded (RFC 7239) instead of X-Forwarded-*:
// the addresses as a list, and proto and host of the element that names the client.
func (h *head) fromForwarded(value []byte, trusted func(netip.Addr) bool) {
	var list, proto, host []byte
	client := false // a client was found; elements before it do not count
	elements := splitQuoted(value, ',')
	for i := len(elements) - 1; i >= 0 && !client; i-- {
		var node, p, n []byte
		for _, pair := range splitQuoted(elements[i], ';') {
			name, v, ok := bytes.Cut(pair, []byte("="))
			if !ok {
				continue
			}
			switch name, v = syntax.TrimOWS(name), unquote(syntax.TrimOWS(v)); {
			case syntax.EqualFold(name, "for"):
				node = v
			case syntax.EqualFold(name, "proto") && (syntax.EqualFold(v, "http") || syntax.EqualFold(v, "https")):
				p = v
			case syntax.EqualFold(name, "host") && validHost(v):
				n = v
			}
		}
		a, ok := parseNode(node)
		if ok {
			list = append(append(a.AppendTo(nil), ", "...), list...)
		}
		client = !ok || !trusted(a)
		if len(p) > 0 {
			proto = p
		}
		if len(n) > 0 {
			host = n
		}
	}
	h.forwards[forwardFor] = bytes.TrimSuffix(list, []byte(", "))
	h.forwards[forwardProto], h.forwards[forwardHost] = proto, host
}

// splitQuoted splits at sep outside quoted strings (RFC 9110 §5.6.4).
func splitQuoted(b []byte, sep byte) (parts [][]byte) {
	quoted, from := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			parts = append(parts, b[from:i])
			from = i + 1
		}
	}
	return append(parts, b[from:])
}

func unquote(b []byte) []byte {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return b
	}
	return bytes.ReplaceAll(b[1:len(b)-1], []byte(`\`), nil)
}
