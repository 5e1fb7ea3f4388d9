package request

import (
	"bytes"
	"slices"

	"holdfast/internal/http1"
	"holdfast/internal/tracecontext"
)

// For says what becomes of a request for the app.
type For struct {
	Mapping *http1.Mapping
	Rules   *Rules                // nil: the client's fields stay
	User    string                // who has logged in; empty: nobody
	Trace   *tracecontext.Context // nil: none
}

// AppendHead appends the head of the request for the app: the client's lines unchanged, without those that are not
// forwarded, the forwarding fields, and those of the rules.
func (r *Request) AppendHead(b []byte, h *http1.Head, to For) []byte {
	m := to.Mapping
	b = append(b, h.Method...)
	b = append(b, ' ')
	b = m.AppendTarget(b, h.Target)
	b = append(b, " HTTP/1.1\r\n"...)
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Drop || h.Chunked && http1.EqualFold(f.Name, "transfer-encoding") { // the body's framing is decided later
			continue
		}
		if r.withholds(f) || m.Mapped && http1.EqualFold(f.Name, prefixField) || to.Rules.replaces(f.Name) || to.Trace.Replaces(f.Name) {
			continue
		}
		value := f.Value
		if m.Host != "" && http1.EqualFold(f.Name, "host") {
			value = []byte(m.Host)
		}
		if m.Maps() && http1.EqualFold(f.Name, "destination") {
			value = m.Destination(value, h.Host)
		}
		b = http1.AppendField(b, f.Name, value)
	}
	if !h.HasHost {
		b = append(b, "Host: "...)
		if len(h.Host) > 0 && m.Host == "" { // of an absolute target
			b = append(b, h.Host...)
		} else {
			b = append(b, m.AppHost()...)
		}
		b = append(b, "\r\n"...)
	}
	b = r.AppendForwarding(b)
	if m.Mapped && !to.Rules.replaces([]byte(prefixField)) {
		b = http1.AppendField(b, []byte("X-Forwarded-Prefix"), []byte(m.Match))
	}
	b = to.Trace.Append(to.Rules.append(b, r, to.User))
	if h.Upgrade != nil {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = http1.AppendField(b, []byte("Upgrade"), h.Upgrade)
	} else if h.Trailers && h.Minor == 1 { // those of the response are sent on to this client (RFC 9110 §6.5.1)
		b = append(b, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	return append(b, "\r\n"...)
}

const prefixField = "x-forwarded-prefix"

// What apps also take for the scheme, and for the URL or host of a request.
var (
	schemeFields = [...]string{"x-forwarded-ssl", "x-forwarded-scheme", "x-forwarded-protocol", "x-url-scheme", "front-end-https"}
	urlFields    = [...]string{"x-original-url", "x-original-uri", "x-rewrite-url", "x-original-host"}
)

// withholds reports whether to drop a field that an app may trust: X-Forwarded-Prefix, -Server and others of an
// untrusted peer, as well as another URL than the one that was routed, and a field for the scheme that contradicts the
// one read. Those in http1.ForwardingNames are dropped from every head.
func (r *Request) withholds(f *http1.Field) bool {
	if c := f.Name[0] | 0x20; c != 'x' && c != 'f' { // most of them
		return false
	}
	is := func(name string) bool { return http1.EqualFold(f.Name, name) }
	_, forwarded := http1.CutPrefixFold(f.Name, "x-forwarded-")
	switch {
	case slices.ContainsFunc(schemeFields[:], is):
		return !r.Trusted || saysHTTPS(last(f.Value)) != r.HTTPS
	case forwarded || slices.ContainsFunc(urlFields[:], is):
		return !r.Trusted
	}
	return false
}

// saysHTTPS reports whether a value means TLS in one of schemeFields.
func saysHTTPS(value []byte) bool {
	for _, yes := range [...]string{"on", "1", "true", "ssl"} {
		if http1.EqualFold(value, yes) {
			return true
		}
	}
	https, _ := parseProto(value)
	return https
}

// ScriptFields returns the fields of a request for a script: those that are forwarded, with Holdfast's forwarding
// fields and those of the rules instead of the client's.
func (r *Request) ScriptFields(h *http1.Head, to For) []http1.Field {
	fields := make([]http1.Field, 0, len(h.Fields)+6)
	for _, f := range h.Fields {
		f.Drop = f.Drop || r.withholds(&f) || to.Rules.replaces(f.Name) || to.Trace.Replaces(f.Name)
		fields = append(fields, f)
	}
	if !h.HasHost && len(h.Host) > 0 { // of an absolute target
		fields = append(fields, http1.Field{Name: []byte("Host"), Value: h.Host})
	}
	for line := range bytes.Lines(to.Trace.Append(to.Rules.append(r.AppendForwarding(nil), r, to.User))) {
		name, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\r\n")), []byte(": "))
		fields = append(fields, http1.Field{Name: name, Value: value})
	}
	return fields
}
