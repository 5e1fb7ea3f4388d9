package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// beginSilence begins connections on which Holdfast sends nothing.
func (v *visit) beginSilence(ctx context.Context) []*conn {
	return []*conn{
		v.front.fetch(ctx, "stream", v.pushURL(v.quiet, "silent-sse", "silent", "1"), "text/event-stream"),
		v.front.webSocket(ctx, "WebSocket", v.pushURL(v.quiet, "silent-websocket", "silent", "1")),
	}
}

// awaitSilence waits until the connections have been silent for long enough, or are cut.
func (v *visit) awaitSilence(ctx context.Context, silent []*conn, began time.Time) {
	defer func() {
		for _, c := range silent {
			c.cancel()
			<-c.donec
		}
	}()
	var cut []*conn
	least := v.Wait
	tested := 0
	for _, c := range silent {
		c.wait(ctx, time.Until(began.Add(v.Wait)), func() bool { return false })
		c.mu.Lock()
		lasted, over, status := c.ended.Sub(c.last), c.err != nil, c.status
		c.mu.Unlock()
		if status != http.StatusOK && status != http.StatusSwitchingProtocols {
			continue // another check has it
		}
		if tested++; over {
			cut = append(cut, c)
			least = min(least, lasted)
		}
	}
	switch {
	case tested == 0:
		v.report.skip("how long a connection may be silent: none could be opened.")
	case len(cut) == 0:
		v.stayedOpen()
	default:
		v.wasCut(cut, least)
	}
}

// stayedOpen reports that nothing was cut.
func (v *visit) stayedOpen() {
	heartbeat := v.server.Settings.Heartbeat.Duration()
	v.report.add(Finding{Kind: Fine, Check: checkSilence, Title: fmt.Sprintf("Connections may be silent for %v.", v.Wait)})
	switch {
	case heartbeat == 0:
		v.report.skip("silence of more than %v. push.heartbeat is 0, so connections can be silent for ever: -wait 5m.", v.Wait)
	case v.Wait <= heartbeat:
		v.report.skip("silence of more than %v. Holdfast sends something every %v; -wait %v tells whether that is enough.", v.Wait, heartbeat, (heartbeat + heartbeat/4).Round(time.Second))
	}
}

// wasCut reports after how much silence connections were cut.
func (v *visit) wasCut(cut []*conn, least time.Duration) {
	least = least.Round(100 * time.Millisecond)
	heartbeat := v.server.Settings.Heartbeat.Duration()
	what := "Streams and WebSockets are"
	switch {
	case len(cut) > 1:
	case cut[0].name == "stream":
		what = "Streams are"
	default:
		what = "WebSockets are"
	}
	f := Finding{
		Kind: Broken, Check: checkSilence, Title: fmt.Sprintf("%s cut after %v of silence, before Holdfast's next heartbeat.", what, least),
		Sent: "a connection without data", Seen: fmt.Sprintf("it was closed after %v; push.heartbeat is %v", least, heartbeat),
		Change: append(v.changes([]string{"proxy_read_timeout 1h;"},
			[]string{"timeout client 60s", "timeout server 60s", "timeout tunnel 1h"},
			[]string{"ProxyTimeout 3600"}),
			inConfig(fmt.Sprintf("push: {heartbeat: %v}", max((least/2).Round(time.Second), time.Second)))),
	}
	switch {
	case heartbeat == 0:
		f.Title = fmt.Sprintf("%s cut after %v of silence, and Holdfast sends no heartbeats.", what, least)
	case least > heartbeat+heartbeat/5:
		f = Finding{Kind: Fine, Check: checkSilence, Title: fmt.Sprintf("%s cut after %v of silence; the heartbeat every %v prevents it.", what, least, heartbeat)}
	case least > heartbeat:
		f.Kind, f.Title = WillBite, fmt.Sprintf("%s cut after %v of silence, hardly later than Holdfast's heartbeat.", what, least)
	}
	v.report.add(f)
}
