package proxy

import (
	"net/netip"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/http1"
	"holdfast/internal/tracecontext"
)

// logEntry is the access log's line of an exchange.
type logEntry struct {
	line    []byte // begun; empty without a log
	started time.Time
	status  int // of the response
	cache   fetch.Result
	trace   tracecontext.Context
}

// statusGone is what nginx logs for a client that disconnected before the response.
const statusGone = 499

// endLog counts the response and writes the line of the access log. end is empty after a complete response.
func (x *exchange) endLog(end string) {
	x.f.responses.Add(x.log.status)
	if x.was == nil {
		x.f.durations.Add(x.f.loop.Now().Sub(x.log.started))
	}
	x.p.o.Cache.Count(x.log.cache)
	l := x.p.o.Access
	if l == nil {
		return
	}
	o := accesslog.Outcome{
		Status: x.log.status, Received: x.upload.received, Now: x.f.loop.Now(), Started: x.log.started,
		AppTime: x.app.took, End: end, Cache: x.log.cache.String(), Trace: &x.log.trace,
	}
	o.Bytes = max(x.client.passed-x.client.heads-x.client.waiting(), 0)
	if !x.app.asked.IsZero() {
		o.Upstream = x.upstreamName()
		if x.app.took == 0 {
			o.AppTime = o.Now.Sub(x.app.asked)
		}
	}
	l.End(x.log.line, &o)
}

// upstreamName returns the server to which the request was last sent.
func (x *exchange) upstreamName() string {
	if x.app.server != nil {
		return x.app.server.String()
	}
	return x.app.name
}

// logRefusal counts a refused request and writes its line of the access log. b begins with the received part of its
// head; sent is the size of the page.
func (f *Front) logRefusal(client netip.Addr, b []byte, why *http1.Refusal, sent int) {
	f.responses.Add(why.Status)
	l := f.p.o.Access
	if l == nil {
		return
	}
	now := f.loop.Now()
	l.End(l.Begin(nil, accesslog.RequestOfLine(b, client)), &accesslog.Outcome{Status: why.Status, Bytes: int64(sent), Now: now, Started: now, End: why.Reason})
}
