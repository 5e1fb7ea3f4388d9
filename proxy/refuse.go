package proxy

import (
	"bytes"
	"net/netip"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// HeadRefused implements headread.Owner. As nobody could read the head, the request is the peer's.
func (f *Front) HeadRefused(c *park.Conn, r *http1.Refusal, b []byte) {
	f.refuseClient(c, c.RemoteAddr(), r, b)
}

// refuseClient answers a request that is not let in, and closes. b begins with what there is of its head.
func (f *Front) refuseClient(c *park.Conn, client netip.AddrPort, r *http1.Refusal, b []byte) {
	f.p.stats.refused.Add(1)
	f.logRefused(client, r.Status, r.Reason)
	answer := http1.Page(r.Status, r.After, "Connection: close\r\n", true)
	if r.Told { // to who cannot read a page
		answer = http1.TextPage(r.Status, r.Reason)
	}
	f.logRefusal(client.Addr(), b, r, len(answer)-bytes.Index(answer, []byte("\r\n\r\n"))-4)
	c.Write(answer) // a peer that does not even take this gets nothing
	park.Linger(c)
}

// maxRefusedLines a second and loop go to the log.
const maxRefusedLines = 10

func (f *Front) logRefused(client netip.AddrPort, status int, reason string, fields ...any) {
	fields = append([]any{"status", status, "reason", reason, "client", request.AddrText(client)}, fields...)
	f.refused.Log(f.loop.Now(), f.p.o.Log, "request refused", "more requests were refused", fields...)
}
