package proxy

import (
	"net/netip"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/http1"
)

// logEntry is the access log's line of an exchange.
type logEntry struct {
	line    []byte // begun; empty without a log
	started time.Time
	status  int // of the response
}

// statusGone is what nginx logs for a client that left before it was answered.
const statusGone = 499

// endLog counts the response and writes the access log's line. end is empty after a complete response.
func (x *exchange) endLog(end string) {
	x.f.responses.Add(x.log.status)
	x.f.durations.Add(x.f.loop.Now().Sub(x.log.started))
	l := x.f.p.o.Access
	if l == nil {
		return
	}
	o := accesslog.Outcome{
		Status: x.log.status, Received: x.upload.received, Now: x.f.loop.Now(), Started: x.log.started,
		AppTime: x.app.took, End: end,
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

// upstreamName is the server that was asked last.
func (x *exchange) upstreamName() string {
	if x.app.server != nil {
		return x.app.server.String()
	}
	return x.app.name
}

// logRefusal counts and writes the line of a request that was not let in. b begins with what there is of its head;
// sent is the size of the page.
func (f *Front) logRefusal(client netip.Addr, b []byte, why *http1.Refusal, sent int) {
	f.responses.Add(why.Status)
	l := f.p.o.Access
	if l == nil {
		return
	}
	now := f.loop.Now()
	l.End(l.Begin(nil, accesslog.RequestOfLine(b, client)), &accesslog.Outcome{Status: why.Status, Bytes: int64(sent), Now: now, Started: now, End: why.Reason})
}
