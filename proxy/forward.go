package proxy

import (
	"net/netip"
)

// forwardNames are the fields that tell the app who is calling, in lower case.
var forwardNames = [4]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"}

const (
	forwardFor = iota
	forwardProto
	forwardHost
	realIP
)

// appendRequest writes the head for the app: the client's lines as they came, without those that end
// here, and who is calling.
func (p *Proxy) appendRequest(b []byte, h *head, client netip.AddrPort) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	b = append(b, h.target...)
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range h.fields {
		if f := &h.fields[i]; !f.drop {
			b = appendField(b, f.name, f.value)
		}
	}
	if !h.hasHost {
		b = append(b, "Host: "...)
		b = append(b, p.o.Upstream.Host...)
		b = append(b, "\r\n"...)
	}
	b = p.appendForwarded(b, h, client)
	if h.upgrade != nil {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, []byte("Upgrade"), h.upgrade)
	}
	return append(b, "\r\n"...)
}

// appendForwarded sets the forwarding fields. Those of a trusted proxy are continued, all others are
// as if they had not been sent.
func (p *Proxy) appendForwarded(b []byte, h *head, client netip.AddrPort) []byte {
	addr := client.Addr().Unmap()
	trusted := addr.IsValid() && p.o.Trusted(addr)
	if addr.IsValid() {
		b = append(b, "X-Forwarded-For: "...)
		if said := h.forwards[forwardFor]; trusted && len(said) > 0 {
			b = append(b, said...)
			b = append(b, ", "...)
		}
		b = addr.AppendTo(b)
		b = append(b, "\r\nX-Real-IP: "...)
		if said := h.forwards[realIP]; trusted && len(said) > 0 {
			b = append(b, said...)
		} else {
			b = addr.AppendTo(b)
		}
		b = append(b, "\r\n"...)
	}
	b = append(b, "X-Forwarded-Proto: "...)
	if said := h.forwards[forwardProto]; trusted && len(said) > 0 {
		b = append(b, said...)
	} else {
		b = append(b, "http"...)
	}
	b = append(b, "\r\n"...)
	host := h.host
	if said := h.forwards[forwardHost]; trusted && len(said) > 0 {
		host = said
	}
	if len(host) > 0 {
		b = appendField(b, []byte("X-Forwarded-Host"), host)
	}
	return b
}

func appendField(b, name, value []byte) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// appendAnswer writes the head for the client. The version is always ours (RFC 9112 §2.3).
func appendAnswer(b []byte, a *answer) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, a.line...)
	b = append(b, "\r\n"...)
	for i := range a.fields {
		if f := &a.fields[i]; !f.drop {
			b = appendField(b, f.name, f.value)
		}
	}
	return b
}
