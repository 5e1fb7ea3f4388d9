package proxy

import (
	"bytes"
	"net/netip"

	"holdfast/internal/admit"
	"holdfast/internal/http1"
	"holdfast/internal/linger"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

// HeadRefused implements headread.Owner. The head can't be parsed, so the peer counts as the client.
func (f *Front) HeadRefused(c *park.Conn, r *http1.Refusal, b []byte) {
	f.refuseClient(c, c.RemoteAddr(), nil, r, b)
}

// refuseClient responds to a refused request and closes. The route is that of what the request's site has no other for; nil: the
// site is not known. b begins with the received part of the head; fields are more for the log.
func (f *Front) refuseClient(c *park.Conn, client netip.AddrPort, of *route.Route, r *http1.Refusal, b []byte, fields ...any) {
	f.p.stats.Refused.Add(1)
	f.logRefused(client, r.Status, r.Reason, fields...)
	s := new(route.Settings)
	if rest := f.p.Sites.Rest(); of != nil {
		s = of.Settings
	} else if rest != nil {
		s = rest.Rest().Settings
	}
	answer := f.errorPage(s, r.Status, r.After, "Connection: close\r\n", true)
	if r.Told { // for clients that can't show an HTML page
		answer = http1.TextPage(r.Status, r.Reason)
	}
	f.sendAndClose(c, client.Addr(), b, r, answer)
}

// sendAndClose sends a whole response of Holdfast's own to a request that is no exchange. why has what is logged of it.
func (f *Front) sendAndClose(c *park.Conn, client netip.Addr, b []byte, why *http1.Refusal, answer []byte) {
	f.logRefusal(client, b, why, len(answer)-bytes.Index(answer, []byte("\r\n\r\n"))-4)
	c.Write(answer) // if the peer accepts no bytes, the rest is lost
	linger.Close(c)
}

// finishEarly gives the gate's answer.
func (x *exchange) finishEarly(a *admit.Answer, h *http1.Head) {
	if a.Denied {
		x.p.stats.Refused.Add(1)
		x.f.logRefused(x.client.from, a.Status, a.Why.Error(), x.log.trace.With(a.Details(h))...)
	}
	x.finishFields(a.Status, a.After, a.Fields, a.Why)
}

// maxRefusedLines is how many refusals a loop logs per second.
const maxRefusedLines = 10

func (f *Front) logRefused(client netip.AddrPort, status int, reason string, fields ...any) {
	fields = append([]any{"status", status, "reason", reason, "client", request.AddrText(client)}, fields...)
	f.refused.Log(f.loop.Now(), f.p.o.Log, "request refused", "more requests were refused", fields...)
}
