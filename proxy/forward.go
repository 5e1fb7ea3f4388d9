package proxy

import (
	"strconv"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// appendRequest writes the head for the app: the client's lines as they came, without those that end
// here, and who is calling.
func (r *route) appendRequest(b []byte, h *head, q *request.Request) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	b = r.appendTarget(b, h.target)
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range h.fields {
		f := &h.fields[i]
		if f.drop || h.chunked && http1.EqualFold(f.name, "transfer-encoding") { // frameUpload says how it is sent on
			continue
		}
		if claimsForwarding(f.name) && (!q.Trusted || r.mapped && http1.EqualFold(f.name, "x-forwarded-prefix")) {
			continue
		}
		value := f.value
		if r.Host != "" && http1.EqualFold(f.name, "host") {
			value = []byte(r.Host)
		}
		if r.rewrites && http1.EqualFold(f.name, "destination") {
			value = r.appDestination(value, h.host)
		}
		b = appendField(b, f.name, value)
	}
	if !h.hasHost {
		b = append(b, "Host: "...)
		if len(h.host) > 0 && r.Host == "" { // of an absolute target
			b = append(b, h.host...)
		} else {
			b = append(b, r.hostWithout()...)
		}
		b = append(b, "\r\n"...)
	}
	b = appendForwarded(b, q)
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

// claimsForwarding reports whether a field is one of X-Forwarded-Prefix, -Ssl, -Server, -Scheme and whatever else an
// app believes. Those in request.Names are dropped from every head.
func claimsForwarding(name []byte) bool {
	_, ok := http1.CutPrefixFold(name, "x-forwarded-")
	return ok
}

// appendForwarded sets the forwarding fields: one value each, of what was read, but for the list of addresses.
func appendForwarded(b []byte, q *request.Request) []byte {
	if q.Peer.Addr().IsValid() || q.ByProxy() {
		b = append(b, "X-Forwarded-For: "...)
		b = append(q.AppendForwardedFor(b), "\r\n"...)
	}
	if client := q.Client.Addr(); client.IsValid() {
		b = append(b, "X-Real-IP: "...)
		b = append(client.AppendTo(b), "\r\n"...)
	}
	b = append(b, "X-Forwarded-Proto: "...)
	b = append(append(b, q.Scheme()...), "\r\n"...)
	if len(q.Host) > 0 {
		b = appendField(b, []byte("X-Forwarded-Host"), q.Host)
	}
	b = append(b, "X-Forwarded-Port: "...)
	return append(strconv.AppendUint(b, uint64(q.ForwardedPort()), 10), "\r\n"...)
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
