package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// heldConns are one connection of each transport.
type heldConns struct {
	sse, webSocket, poll *conn
	token                string // in the data of all that is published
	took                 map[*conn]time.Duration
}

// arriveTimeout is how long a connection may take to begin, and a message to arrive. On the way there is no reason for
// more than a fraction of it.
const arriveTimeout = 8 * time.Second

// beginHeld begins the connections, and waits until Holdfast has them or they have failed.
func (v *visit) beginHeld(ctx context.Context) *heldConns {
	held := &heldConns{
		token: rand.Text(), took: map[*conn]time.Duration{},
		sse:       v.front.fetch(ctx, "sse", v.pushURL(v.server, "sse"), "text/event-stream"),
		webSocket: v.front.webSocket(ctx, "websocket", v.pushURL(v.server, "websocket")),
		poll:      v.front.fetch(ctx, "poll", v.pushURL(v.server, "poll", "wait", "20"), "application/json"),
	}
	deadline := time.Now().Add(arriveTimeout)
	for _, c := range []*conn{held.sse, held.webSocket} {
		c.wait(ctx, time.Until(deadline), func() bool { return c.status != 0 })
	}
	for time.Now().Before(deadline) && ctx.Err() == nil { // a poll has no response yet, nor has a stream that is buffered
		if v.refresh(ctx); v.seen["sse"].Name != "" && v.seen["poll"].Name != "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return held
}

// has reports whether a connection has received what was published. Its lock is held.
func (held *heldConns) has(c *conn) bool { return bytes.Contains(c.got, []byte(held.token)) }

// deliver publishes, and reports which connections receive it.
func (v *visit) deliver(ctx context.Context, held *heldConns) {
	started := time.Now()
	all := []*conn{held.sse, held.webSocket, held.poll}
	for i := 0; time.Since(started) < arriveTimeout && ctx.Err() == nil; i++ {
		if _, err := v.server.publish(ctx, fmt.Sprintf("%s %d", held.token, i)); err != nil {
			v.report.add(Finding{Kind: Broken, Check: checkPublish, Title: "Holdfast refuses to publish.", Sent: "POST " + v.server.shown + "/doctor/…/publish", Seen: clip(err.Error())})
			return
		}
		published := time.Now()
		missing := 0
		for _, c := range all { // a connection may just be beginning, so it is published again
			if held.took[c] == 0 && c.wait(ctx, time.Second/3, func() bool { return held.has(c) }) {
				held.took[c] = max(c.lastAt().Sub(published), time.Millisecond)
			}
			if _, _, _, err := c.look(); held.took[c] == 0 && err == nil {
				missing++
			}
		}
		if missing == 0 {
			break
		}
	}
	v.refresh(ctx)
	v.checkUpgrade(held)
	v.checkPoll(held)
	v.checkCompress(held)
}

// checkPoll looks at the long poll, which nearly everything lets through.
func (v *visit) checkPoll(held *heldConns) {
	if held.took[held.poll] > 0 {
		return
	}
	status, _, got, err := held.poll.look()
	v.report.add(Finding{
		Kind: Broken, Check: checkPublish, Title: "A publish does not arrive by long poll.",
		Sent: "GET " + v.server.Settings.PushPaths[0] + ", and a publish", Seen: outcome(status, got, err),
		Change: v.changes([]string{"proxy_cache off;    # below " + v.server.Settings.PushPaths[0]}, nil, nil),
	})
}

// outcome describes what came of a connection.
func outcome(status int, got []byte, err error) string {
	switch {
	case status == 0 && err != nil:
		return clip(err.Error())
	case status == 0:
		return "no response"
	case len(got) > 0:
		return fmt.Sprintf("status %d: %s", status, clip(string(got)))
	}
	return fmt.Sprintf("status %d, and nothing else", status)
}

// checkUpgrade looks at the WebSocket.
func (v *visit) checkUpgrade(held *heldConns) {
	c := held.webSocket
	status, header, got, err := c.look()
	r, arrived := v.seen["websocket"]
	if status == http.StatusSwitchingProtocols {
		if held.took[c] > 0 {
			v.report.add(Finding{Kind: Fine, Check: checkUpgrade, Title: "WebSockets get through."})
			return
		}
		v.report.add(Finding{
			Kind: Broken, Check: checkUpgrade, Title: "A WebSocket opens, but a publish does not arrive on it.",
			Sent: "a WebSocket, and a publish", Seen: outcome(status, got, err),
		})
		return
	}
	upgrade, hasUpgrade := "", false
	if arrived {
		upgrade, hasUpgrade = field(&r, "Upgrade")
	}
	if hasUpgrade && !r.OriginOK { // another check has the cause
		return
	}
	f := Finding{
		Kind: Broken, Check: checkUpgrade, Title: "WebSockets do not get through. The browser client falls back to slower ways.",
		Sent: "GET with Upgrade: websocket", Seen: outcome(status, got, err),
		Change: v.changes(
			[]string{"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`},
			[]string{"mode http, and no del-header Upgrade or Connection"},
			[]string{"ProxyPass / http://127.0.0.1:8080/ upgrade=websocket    # before 2.4.47: mod_proxy_wstunnel, and a RewriteRule to ws://"}),
	}
	switch {
	case !arrived:
		f.Seen = "the proxy answered itself: " + f.Seen + ", Server " + clip(header.Get("Server"))
	case !hasUpgrade:
		f.Seen = "the request arrived by " + r.Protocol + " without the header Upgrade"
	default:
		f.Seen = "the request arrived by " + r.Protocol + " with Upgrade: " + clip(upgrade) + ". Result: " + f.Seen
	}
	v.report.add(f)
}

// checkCompress looks at the coding of the stream.
func (v *visit) checkCompress(held *heldConns) {
	status, header, _, _ := held.sse.look()
	coding := header.Get("Content-Encoding")
	if status != http.StatusOK || coding == "" {
		if status == http.StatusOK {
			v.report.add(Finding{Kind: Fine, Check: checkCompress, Title: "Streams are not compressed on the way."})
		}
		return
	}
	v.report.add(Finding{
		Kind: WillBite, Check: checkCompress, Title: "The proxy compresses streams: events may wait in its compressor, and each stream costs it memory.",
		Sent: "GET with Accept: text/event-stream and Accept-Encoding: gzip", Seen: "a response with Content-Encoding: " + clip(coding),
		Change: v.changes([]string{"gzip off;    # in the location of " + v.server.Settings.PushPaths[0]},
			[]string{"no text/event-stream in compression type"},
			[]string{"SetEnvIf Request_URI ^" + v.server.Settings.PushPaths[0] + " no-gzip=1"}),
	})
}

// endHeld ends the connections, and looks at what a stream that was buffered receives at its end.
func (v *visit) endHeld(ctx context.Context, held *heldConns) {
	ended := v.server.end(ctx)
	c := held.sse
	if held.took[c] > 0 {
		v.report.add(Finding{Kind: Fine, Check: checkStream, Title: "Streams are not buffered."})
		held.reportTimes(v.report)
		held.cancel()
		return
	}
	late := ended == nil && c.wait(ctx, arriveTimeout, func() bool { return held.has(c) })
	status, header, got, err := c.look()
	f := Finding{
		Kind: Broken, Check: checkStream, Title: "Events do not arrive by stream (SSE).",
		Sent: "GET with Accept: text/event-stream, and a publish", Seen: outcome(status, got, err),
		Change: v.changes(
			[]string{"proxy_buffering off;    # and no proxy_ignore_headers X-Accel-Buffering", "proxy_cache off;"},
			[]string{"no option http-buffer-response or filter that collects responses"},
			[]string{"ProxyPass / http://127.0.0.1:8080/ flushpackets=on"}),
	}
	if late {
		f.Title = "The proxy buffers streams: events arrive only when the stream ends."
		f.Seen = fmt.Sprintf("nothing for %v; all of it once Holdfast ended the stream", arriveTimeout)
	}
	if strings.Contains(header.Get("Content-Encoding"), "gzip") {
		f.Change = append(v.changes([]string{"gzip off;"}, nil, nil), f.Change...)
	}
	v.report.add(f)
	held.reportTimes(v.report)
	held.cancel()
}

func (held *heldConns) cancel() {
	for _, c := range []*conn{held.sse, held.webSocket, held.poll} {
		c.cancel()
		<-c.donec
	}
}

// reportTimes says how long a publish has taken.
func (held *heldConns) reportTimes(r *Report) {
	var list []string
	for _, t := range []struct {
		name string
		conn *conn
	}{{"SSE", held.sse}, {"WebSocket", held.webSocket}, {"long poll", held.poll}} {
		if took := held.took[t.conn]; took > 0 {
			list = append(list, fmt.Sprintf("%s %d ms", t.name, took.Milliseconds()))
		}
	}
	if len(list) > 0 {
		r.add(Finding{Kind: Fine, Check: checkPublish, Title: "A publish arrives: " + strings.Join(list, ", ") + "."})
	}
}
