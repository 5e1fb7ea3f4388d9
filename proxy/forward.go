package proxy

import "holdfast/internal/syntax"

// forwardNames are the fields that tell the app who is calling, in lower case.
var forwardNames = [5]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded"}

const (
	forwardFor = iota
	forwardProto
	forwardHost
	realIP
	forwarded // RFC 7239; read, never sent
)

// appendRequest writes the head for the app: the client's lines as they came, without those that end
// here, and who is calling.
func (r *route) appendRequest(b []byte, h *head, c caller) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	b = r.appendTarget(b, h.target)
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range h.fields {
		f := &h.fields[i]
		if f.drop {
			continue
		}
		if _, said := syntax.CutPrefixFold(f.name, "x-forwarded-"); said && (!c.trusted || r.mapped && syntax.EqualFold(f.name, "x-forwarded-prefix")) {
			continue // -Port, -Prefix, -Ssl and whatever else an app believes
		}
		value := f.value
		if r.Host != "" && syntax.EqualFold(f.name, "host") {
			value = []byte(r.Host)
		}
		b = appendField(b, f.name, value)
	}
	if !h.hasHost {
		b = append(b, "Host: "...)
		b = append(b, r.hostWithout()...)
		b = append(b, "\r\n"...)
	}
	b = appendForwarded(b, h, c)
	if r.mapped {
		b = appendField(b, []byte("X-Forwarded-Prefix"), []byte(r.match))
	}
	if h.upgrade != nil {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, []byte("Upgrade"), h.upgrade)
	}
	return append(b, "\r\n"...)
}

// hostWithout is the Host for a request that has none, of HTTP/1.0.
func (r *route) hostWithout() string {
	if r.Host != "" {
		return r.Host
	}
	return r.first.Host
}

// appendForwarded sets the forwarding fields. Those of a trusted proxy are continued, all others are
// as if they had not been sent.
func appendForwarded(b []byte, h *head, c caller) []byte {
	said := h.forwards
	if !c.trusted {
		said = [len(forwardNames)][]byte{}
	}
	if c.peer.IsValid() || len(said[forwardFor]) > 0 {
		b = append(b, "X-Forwarded-For: "...)
		b = append(b, said[forwardFor]...)
		if c.peer.IsValid() {
			if len(said[forwardFor]) > 0 {
				b = append(b, ", "...)
			}
			b = c.peer.AppendTo(b)
		}
		b = append(b, "\r\n"...)
	}
	if c.addr.IsValid() {
		b = append(b, "X-Real-IP: "...)
		b = c.addr.AppendTo(b)
		b = append(b, "\r\n"...)
	}
	proto := said[forwardProto]
	if len(proto) == 0 {
		proto = []byte("http")
	}
	b = appendField(b, []byte("X-Forwarded-Proto"), proto)
	host := said[forwardHost]
	if len(host) == 0 {
		host = h.host
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
