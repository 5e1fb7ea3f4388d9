package cache

import (
	"bytes"
	"net/url"
	"strings"

	"holdfast/internal/cache/headers"
)

// IsUnsafe reports whether a request of this method may change something (RFC 9110 §9.2.1). Methods that are not known may.
func IsUnsafe(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return false
	}
	return true
}

// Changed drops what the app's response to a request of an unsafe method ends: its URL and those of Location and
// Content-Location that are of the same origin (RFC 9111 §4.4), and the groups that it names (RFC 9875 §3). A response that
// says that nothing has changed, of a status of 400 and above, drops nothing, nor does one to a safe method. It is to be
// called before the response is passed on. It returns how many were dropped. Sessions are another matter: see
// rules.Set.Sessions.
func (s *Store) Changed(q *Request, r Response) (dropped int) {
	if !IsUnsafe(q.Method) || r.Status < 200 || r.Status >= 400 {
		return 0
	}
	origin := originOf(q)
	dropped = s.InvalidateURL(origin, string(q.Target))
	for _, name := range [...]string{"location", "content-location"} {
		if v, n := headers.Value(r.Fields, name); n > 0 {
			if target, ok := sameOrigin(q, origin, v); ok {
				dropped += s.InvalidateURL(origin, target)
			}
		}
	}
	return dropped + ChangedGroups(s, q, r)
}

// ChangedGroups is Store.Changed of the groups alone: for a request that a rule is about, as all polls of an app may have one URL.
func ChangedGroups(s *Store, q *Request, r Response) (dropped int) {
	if !IsUnsafe(q.Method) || r.Status < 200 || r.Status >= 400 {
		return 0
	}
	for _, group := range headers.InvalidatedGroups(r.Fields) {
		dropped += s.InvalidateGroup(originOf(q), group)
	}
	return dropped
}

// sameOrigin returns the path and query of a URL, relative to a request's, if it is of the same origin.
func sameOrigin(q *Request, origin string, reference []byte) (target string, ok bool) {
	base, err := url.Parse(origin + string(q.Target))
	if err != nil {
		return "", false
	}
	u, err := base.Parse(strings.TrimSpace(string(reference)))
	if err != nil {
		return "", false
	}
	other := Request{HTTPS: strings.EqualFold(u.Scheme, "https"), Host: []byte(u.Host)}
	if originOf(&other) != origin || !other.HTTPS && !strings.EqualFold(u.Scheme, "http") {
		return "", false
	}
	target = u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		target += "?" + u.RawQuery
	}
	return string(bytes.Clone([]byte(target))), true
}
