package fetch

import (
	"bytes"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
)

// recording is what is kept of the app's response while it comes.
type recording struct {
	on      bool
	share   bool // it is an error that those who wait are given
	verdict cache.Verdict
	cache.Response
	line []byte
	body []byte
	came time.Time // its head
}

// Head records the response's head as the client is sent it. It reports whether the client has the response already, and is
// sent a 304 instead.
func (f *Fetch) Head(a *http1.Answer) (unchanged bool) {
	if f.answer.on {
		f.announce(a)
		f.answer.line = bytes.Clone(a.Line)
		f.answer.Fields = http1.CloneFields(a.Fields)
	}
	return f.strips && a.Status == 200 && cache.IsUnchanged(f.req.Fields, a.Fields)
}

// Add records a piece of the response's body.
func (f *Fetch) Add(p []byte, now time.Time) {
	switch {
	case !f.answer.on:
	case len(f.answer.body)+len(p) > f.rule.MaxBytes:
		f.answer.body = nil
		f.abandon(cache.TooLarge, 2*time.Minute, now)
	case !f.hold(len(p)):
		f.answer.body = nil
		f.abandon(cache.NoRoom, 0, now)
	default:
		f.answer.body = append(f.answer.body, p...)
	}
}

// Complete stores a response that has come whole.
func (f *Fetch) Complete(now time.Time) {
	if !f.answer.on || f.flight == nil {
		return
	}
	r := &f.answer
	e := cache.NewEntry(&r.verdict, r.Response, r.line, r.body, r.came)
	if r.share {
		f.c.of(f.rule).refused[cache.Failed].Add(1)
		f.c.Store.Share(f.flight, e, now)
	} else {
		f.finish(e, now)
	}
	f.flight, r.on = nil, false
}
