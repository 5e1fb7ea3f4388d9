package fetch

import (
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
)

// Answer is what a request is answered with instead of asking the app.
type Answer struct {
	*cache.Entry
	collapsed bool // it was fetched for another request
	validated bool // the app was asked about it
	fwd       cache.Forward
	result    Result // NoRule: as Answer.Result finds
}

// answered returns what answers the request of what another has fetched, or what is stale as the app fails.
func (*Fetch) answered(e *cache.Entry, collapsed bool, now time.Time) Answer {
	a := Answer{Entry: e, collapsed: collapsed}
	if !e.IsFresh(now) && e.Status() < 500 {
		a.result = Stale
	}
	return a
}

// Append adds the head of the answer to a request with these fields, but for what is about the connection and the empty line,
// and returns it with the status and the body.
func (a *Answer) Append(b []byte, fields []http1.Field, now time.Time) (head []byte, status int, body []byte) {
	if a.Unchanged(fields) {
		status, b = 304, a.AppendNotModified(b)
	} else {
		status, body, b = a.Status(), a.Body(), a.AppendHead(b)
	}
	b = a.AppendAge(b, now)
	switch {
	case a.collapsed:
		b = cache.AppendCollapsed(b, cache.FwdURIMiss, cache.None)
	case a.validated:
		b = cache.AppendForwarded(b, a.fwd, 304, cache.None)
	default:
		b = a.AppendHit(b, now)
	}
	return b, status, body
}
