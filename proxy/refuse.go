package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// refuse answers a request that is not let in, and closes. b begins with what there is of its head, which nobody
// could read: it is the peer's.
func (f *Front) refuse(c *park.Conn, r *http1.Refusal, b []byte) {
	f.refuseClient(c, c.RemoteAddr(), r, b)
}

// refuseClient is refuse where the head tells the client.
func (f *Front) refuseClient(c *park.Conn, client netip.AddrPort, r *http1.Refusal, b []byte) {
	f.p.stats.refused.Add(1)
	f.logRefused(client, r.Status, r.Reason)
	answer := http1.Page(r.Status, r.After, true, true)
	if r.Told { // to who cannot read a page
		answer = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
			r.Status, http.StatusText(r.Status), f.loop.Now().UTC().Format(http.TimeFormat), len(r.Reason)+1, r.Reason)
	}
	f.logRefusal(client.Addr(), b, r, len(answer)-bytes.Index(answer, []byte("\r\n\r\n"))-4)
	c.Write(answer) // a peer that does not even take this gets nothing
	park.Linger(c)
}

// maxRefusedLines a second and loop go to the log.
const maxRefusedLines = 10

func (f *Front) logRefused(client netip.AddrPort, status int, reason string, fields ...any) {
	due, skipped := f.refused.Due(f.loop.Now())
	if skipped > 0 {
		f.p.o.Log.Info("more requests were refused", "skipped", skipped)
	}
	if due {
		f.p.o.Log.Info("request refused", append([]any{"status", status, "reason", reason, "client", request.AddrText(client)}, fields...)...)
	}
}
