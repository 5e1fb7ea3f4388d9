package proxy

import (
	"bytes"
	"net/netip"

	"holdfast/internal/accesslog"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// statusGone is what nginx logs for a client that left before it was answered.
const statusGone = 499

// entry is what the access log wants of a head.
func (h *head) entry(q *request.Request) *accesslog.Request {
	r := &accesslog.Request{Client: q.Client.Addr(), Method: h.method, Target: h.target, Minor: h.minor, Host: h.host}
	for i := range h.fields {
		switch f := &h.fields[i]; {
		case http1.EqualFold(f.name, "referer"):
			r.Referer = f.value
		case http1.EqualFold(f.name, "user-agent"):
			r.UserAgent = f.value
		case http1.EqualFold(f.name, "authorization"):
			r.Authorization = f.value
		}
	}
	return r
}

// log writes the access log's line. end is empty after a complete response.
func (x *exchange) log(end string) {
	l := x.f.p.o.Access
	if l == nil {
		return
	}
	o := accesslog.Outcome{
		Status: x.status, Received: x.received, Now: x.f.loop.Now(), Started: x.started,
		AppTime: x.upstream, End: end,
	}
	o.Bytes = max(x.passed-x.heads-x.waiting(), 0)
	if !x.asked.IsZero() {
		o.Upstream = x.upstreamName()
		if x.upstream == 0 {
			o.AppTime = o.Now.Sub(x.asked)
		}
	}
	l.End(x.entry, &o)
}

// upstreamName is the server that was asked last.
func (x *exchange) upstreamName() string {
	if x.server != nil {
		return x.server.String()
	}
	return x.name
}

// logRefusal writes the line of a request that was not let in. b begins with what there is of its head;
// sent is the size of the page.
func (f *Front) logRefusal(client netip.Addr, b []byte, why *refusal, sent int) {
	l := f.p.o.Access
	if l == nil {
		return
	}
	line, _, _ := bytes.Cut(bytes.TrimLeft(b[:min(len(b), 1024)], "\r\n"), []byte("\n"))
	r := accesslog.Request{Client: client.Unmap(), Line: bytes.TrimSuffix(line, []byte("\r"))}
	now := f.loop.Now()
	l.End(l.Begin(nil, &r), &accesslog.Outcome{Status: why.status, Bytes: int64(sent), Now: now, Started: now, End: why.reason})
}
