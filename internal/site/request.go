package site

import (
	"strings"
	"time"

	"holdfast/internal/expand"
	"holdfast/internal/http1"
)

// Request is what an answer depends on.
type Request struct {
	Method string
	Path   string // as it was sent, without the query
	Query  string // without the '?'
	Base   string // what stands before Path for the client, "/files"; empty without

	// Precompressed says which codings the client takes instead of a file of a media type; nil: none.
	Precompressed func(kind string) []http1.Coding

	Values   *expand.Values // for try_files with variables; see Expands
	rewrites bool           // Path and Query are not the client's

	// What makes it conditional (RFC 9110 §13.1) or asks for a part (§14.2); Field fills it in.
	ifMatch, ifNoneMatch       string
	ifModified, ifUnmodified   single
	ifRange, ranges            single
	hasIfMatch, hasIfNoneMatch bool
}

// single is a field that may be sent once; sent more often, it is as good as not sent.
type single struct {
	value string
	n     int
}

func (s *single) set(value string) { s.value, s.n = value, s.n+1 }

// RequestOf copies what an answer to a request depends on.
func RequestOf(h *http1.Head) *Request {
	r := &Request{Method: string(h.Method), Path: string(h.Path)}
	if len(h.Target) > len(h.Path) {
		r.Query = string(h.Target[len(h.Path)+1:])
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop {
			r.Field(f.Name, f.Value)
		}
	}
	return r
}

// SetQuery has a script get another query than the client's.
func (r *Request) SetQuery(query string) { r.Query, r.rewrites = query, true }

// Field takes one of the request's fields and keeps a copy if it matters.
func (r *Request) Field(name, value []byte) {
	if len(name) < 5 || len(name) > 19 {
		return
	}
	switch v := string(value); strings.ToLower(string(name)) {
	case "range":
		r.ranges.set(v)
	case "if-range":
		r.ifRange.set(v)
	case "if-match":
		r.ifMatch, r.hasIfMatch = r.ifMatch+","+v, true
	case "if-none-match":
		r.ifNoneMatch, r.hasIfNoneMatch = r.ifNoneMatch+","+v, true
	case "if-modified-since":
		r.ifModified.set(v)
	case "if-unmodified-since":
		r.ifUnmodified.set(v)
	}
}

// condition evaluates the conditions in the order of RFC 9110 §13.2.2: 304, 412, or 0 to go on. modified
// is in whole seconds, zero if it is not known.
func (r *Request) condition(tag string, modified time.Time) int {
	switch {
	case r.hasIfMatch:
		if !listed(r.ifMatch, tag, false) {
			return 412
		}
	case !modified.IsZero():
		if t, ok := r.ifUnmodified.date(); ok && modified.After(t) {
			return 412
		}
	}
	switch {
	case r.hasIfNoneMatch:
		if listed(r.ifNoneMatch, tag, true) {
			return 304
		}
	case !modified.IsZero():
		if t, ok := r.ifModified.date(); ok && !modified.After(t) {
			return 304
		}
	}
	return 0
}

// inRange says whether If-Range lets a Range count (RFC 9110 §13.1.5).
func (r *Request) inRange(tag string, modified time.Time) bool {
	switch v := r.ifRange.value; {
	case r.ifRange.n == 0:
		return true
	case r.ifRange.n > 1:
		return false
	case strings.HasPrefix(v, `"`):
		return v == tag
	default: // a weak tag is no date either
		t, ok := r.ifRange.date()
		return ok && !modified.IsZero() && modified.Equal(t)
	}
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT" // IMF-fixdate, RFC 9110 §5.6.7

// date parses one of the three forms that a date has had.
func (s *single) date() (time.Time, bool) {
	if s.n != 1 {
		return time.Time{}, false
	}
	for _, layout := range [...]string{httpDate, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s.value); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// listed looks for a strong tag in a list of entity tags (RFC 9110 §8.8.3), or for "*". weak says that
// the list's weak tags count, too. Nothing after a syntax error counts.
func listed(list, tag string, weak bool) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		if list == "" {
			return false
		}
		if strings.TrimRight(list, " \t,") == "*" {
			return true
		}
		rest, isWeak := strings.CutPrefix(list, "W/")
		if rest[:min(1, len(rest))] != `"` {
			return false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == tag && (weak || !isWeak) {
			return true
		}
		list = rest[end+2:]
		if list = strings.TrimLeft(list, " \t"); list != "" && list[0] != ',' {
			return false
		}
	}
}
