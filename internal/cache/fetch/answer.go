package fetch

import (
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/http1"
)

// Answer is what a request is answered with instead of asking the app.
type Answer struct {
	*cache.Entry
	collapsed bool // it was fetched for another request
	validated bool // the app was asked about it
	fwd       cache.Forward
	result    Result // NoRule: as Answer.Result finds

	rule       *rules.Rule
	key        cache.Key
	head, body []byte // of the request, see Request
}

// answerOf returns an entry as what answers the request.
func (f *Fetch) answerOf(e *cache.Entry) Answer {
	return Answer{Entry: e, rule: f.rule, key: f.key, head: f.raw, body: f.req.Body}
}

// answered returns what answers the request of what another has fetched, or what is stale as the app fails.
func (f *Fetch) answered(e *cache.Entry, collapsed bool, now time.Time) Answer {
	a := f.answerOf(e)
	a.collapsed = collapsed
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

// Request returns the request that is answered: its key, its head as it came, and its body without chunks. What it points to is
// valid during the call of Exchange.Serve.
func (a *Answer) Request() (k cache.Key, head, body []byte) { return a.key, a.head, a.body }

// Encodings returns the body in content codings.
func (a *Answer) Encodings(c *Cache, now time.Time) cache.Encodings {
	return cache.Encodings{Entry: a.Entry, Store: c.Store, Now: now}
}
