package proxy

import (
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
		b = http1.AppendField(b, f.Name, value)
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
	b = q.AppendForwarding(b)
	if r.paths.Mapped {
		b = http1.AppendField(b, []byte("X-Forwarded-Prefix"), []byte(r.paths.Match))
	}
	if h.Upgrade != nil {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = http1.AppendField(b, []byte("Upgrade"), h.Upgrade)
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
