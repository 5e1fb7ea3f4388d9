package proxy

import (
	"strconv"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// appendRequest writes the head for the app: the client's lines as they came, without those that end
// here, and who is calling.
func (r *route) appendRequest(b []byte, h *http1.Head, q *request.Request) []byte {
	b = append(b, h.Method...)
	b = append(b, ' ')
	b = r.paths.AppendTarget(b, h.Target)
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Drop || h.Chunked && http1.EqualFold(f.Name, "transfer-encoding") { // frameUpload says how it is sent on
			continue
		}
		if claimsForwarding(f.Name) && (!q.Trusted || r.paths.Mapped && http1.EqualFold(f.Name, "x-forwarded-prefix")) {
			continue
		}
		value := f.Value
		if r.Host != "" && http1.EqualFold(f.Name, "host") {
			value = []byte(r.Host)
		}
		if r.rewrites && http1.EqualFold(f.Name, "destination") {
			value = r.paths.Destination(value, h.Host)
		}
		b = appendField(b, f.Name, value)
	}
	if !h.HasHost {
		b = append(b, "Host: "...)
		if len(h.Host) > 0 && r.Host == "" { // of an absolute target
			b = append(b, h.Host...)
		} else {
			b = append(b, r.hostWithout()...)
		}
		b = append(b, "\r\n"...)
	}
	b = appendForwarded(b, q)
	if r.paths.Mapped {
		b = appendField(b, []byte("X-Forwarded-Prefix"), []byte(r.paths.Match))
	}
	if h.Upgrade != nil {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, []byte("Upgrade"), h.Upgrade)
	}
	return append(b, "\r\n"...)
}

// hostWithout is the Host for a request that has none, of HTTP/1.0.
func (r *route) hostWithout() string {
	if r.Host != "" {
		return r.Host
	}
	return r.servers.First.Host
}

// claimsForwarding reports whether a field is one of X-Forwarded-Prefix, -Ssl, -Server, -Scheme and whatever else an
// app believes. Those in http1.ForwardingNames are dropped from every head.
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
func appendAnswer(b []byte, a *http1.Answer) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, a.Line...)
	b = append(b, "\r\n"...)
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop {
			b = appendField(b, f.Name, f.Value)
		}
	}
	return b
}
