package cache

import (
	"bytes"
	"net/http"
	"time"

	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// Unchanged reports whether the request is answered with a 304 because the client has the response (RFC 9110 §13.2.2).
func (e *Entry) Unchanged(fields []http1.Field) bool {
	return e.status == 200 && Unchanged(fields, e.etag, e.modified)
}

// Unchanged is the same for a 200 with the given ETag and Last-Modified, each empty if there is none: for the response that
// a request without its conditions has brought. If-None-Match comes before If-Modified-Since.
func Unchanged(fields []http1.Field, etag, modified []byte) bool {
	given := false
	for i := range fields {
		if f := &fields[i]; !f.Drop && len(f.Name) == 13 && http1.EqualFold(f.Name, "if-none-match") {
			list := f.Value
			if http1.HasEncodedTag(list) {
				list, _ = http1.MapEntityTags(list, http1.OwnTag)
			}
			if given = true; matches(list, etag) {
				return true
			}
		}
	}
	if given || len(modified) == 0 {
		return false
	}
	since, n := headers.Value(fields, "if-modified-since")
	if n != 1 {
		return false
	}
	if bytes.Equal(since, modified) && len(since) == len(http.TimeFormat) && bytes.HasSuffix(since, []byte(" GMT")) {
		return true // as browsers send it back
	}
	t, err := http.ParseTime(string(since))
	if err != nil {
		return false
	}
	m, err := http.ParseTime(string(modified))
	return err == nil && !m.After(t)
}

// IsUnchanged is the same for a response of which these are the fields.
func IsUnchanged(request, response []http1.Field) bool {
	etag, _ := headers.Value(response, "etag")
	modified, _ := headers.Value(response, "last-modified")
	return Unchanged(request, etag, modified)
}

// matches reports whether a list of If-None-Match has an entity tag, by weak comparison (RFC 9110 §8.8.3.2), or is *. Tags
// without quotes, as old apps send them, match themselves.
func matches(list, etag []byte) bool {
	if string(http1.TrimOWS(list)) == "*" {
		return true
	}
	etag = opaque(etag)
	for len(list) > 0 {
		if list[0] == ' ' || list[0] == '\t' || list[0] == ',' {
			list = list[1:]
			continue
		}
		list = opaque(list)
		n := bytes.IndexByte(list, ',')
		if len(list) > 0 && list[0] == '"' { // a comma may be in it
			if n = bytes.IndexByte(list[1:], '"'); n >= 0 {
				n += 2
			}
		}
		if n < 0 {
			n = len(list)
		}
		if len(etag) > 0 && bytes.Equal(http1.TrimOWS(list[:n]), etag) {
			return true
		}
		list = list[n:]
	}
	return false
}

// opaque returns an entity tag without its mark of weakness.
func opaque(etag []byte) []byte {
	if len(etag) > 2 && (etag[0] == 'W' || etag[0] == 'w') && etag[1] == '/' {
		return etag[2:]
	}
	return etag
}

// IsCondition reports whether a field of a request asks whether the client's own copy is good, as the fields do that
// AppendConditions adds. The app is not to be sent the client's: its 304 would be of no use to others.
func IsCondition(name []byte) bool {
	switch len(name) {
	case 13:
		return http1.EqualFold(name, "if-none-match")
	case 17:
		return http1.EqualFold(name, "if-modified-since")
	}
	return false
}

// HasConditions reports whether a request can ask the app whether the entry is still good.
func (e *Entry) HasConditions() bool { return len(e.etag) > 0 && !e.ownETag || len(e.modified) > 0 }

// AppendConditions adds the fields that ask the app so.
func (e *Entry) AppendConditions(b []byte) []byte {
	if len(e.etag) > 0 && !e.ownETag {
		b = http1.AppendField(b, []byte("If-None-Match"), e.etag)
	}
	if len(e.modified) > 0 {
		b = http1.AppendField(b, []byte("If-Modified-Since"), e.modified)
	}
	return b
}

// Refresh returns the entry as a 304 of the app, to a request with its conditions, has changed it (RFC 9111 §3.2, §4.3.4),
// and the verdict on that. Without an entry, the 304 is about another response or says that this one is not to be kept: of
// the first, OtherThan, the request has to be sent again without conditions; with the second, the entry that was asked about
// may still be given to the client.
func (e *Entry) Refresh(p *Policy, q *Request, fields []http1.Field, now time.Time) (*Entry, Verdict) {
	if !e.isAbout(fields) {
		return nil, Verdict{policy: p, Reason: OtherThan}
	}
	merged := make([]http1.Field, 0, len(fields)+16)
	for line := range bytes.SplitSeq(e.fields, []byte("\r\n")) {
		f, fault := http1.ParseField(line)
		if fault == "" && (!headers.Has(fields, lowered(f.Name)) || ofContent.Has(f.Name)) && !(e.ownETag && http1.EqualFold(f.Name, "etag")) {
			merged = append(merged, f)
		}
	}
	for _, f := range fields {
		if !f.Drop && !ofContent.Has(f.Name) {
			merged = append(merged, f)
		}
	}
	r := Response{Status: e.status, Fields: merged}
	v := Judge(p, e.place, q, r, now)
	if v.Reason != None {
		return nil, v
	}
	fresh := NewEntry(&v, r, e.line, e.body, now)
	fresh.encodings = e.encodings
	return fresh, v
}

// isAbout reports whether a 304 can be about the entry: it names no other validator.
func (e *Entry) isAbout(fields []http1.Field) bool {
	if etag, n := headers.Value(fields, "etag"); n > 0 && len(e.etag) > 0 && !e.ownETag {
		return n == 1 && bytes.Equal(opaque(etag), opaque(e.etag))
	}
	modified, n := headers.Value(fields, "last-modified")
	return n == 0 || len(e.modified) == 0 || n == 1 && bytes.Equal(modified, e.modified)
}

// ofContent are fields that tell how the stored body is to be read, and so a 304 does not change them.
var ofContent = http1.NewNameSet("content-range", "content-length", "content-encoding")

func lowered(name []byte) string { return string(bytes.ToLower(name)) }
