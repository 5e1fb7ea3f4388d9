package upgrade

import (
	"fmt"
	"time"

	"holdfast/internal/hub"
)

// retryTime is after how long a browser comes back, spread so that they do not come all at once.
const retryTime = 4 * time.Second

// sseHeartbeat is a comment: browsers ignore it, proxies see life.
var sseHeartbeat = []byte(":\n\n")

var ssePing = []byte(eventBegin + pingJSON + eventEnd)

func retryHint() []byte { return fmt.Appendf(nil, "retry: %d\n\n", jitter(retryTime).Milliseconds()) }

// beginSSE sends the head and the first bytes. The stream ends with the connection: no chunk around
// each event.
func (x *held) beginSSE(replay hub.Replay) {
	b := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n")
	b = append(x.allowOrigin(b), "\r\n"...)
	b = append(b, retryHint()...)
	if x.v1 {
		b = fmt.Appendf(b, "%s%s%s", eventBegin, helloJSON(x.stand.Position(), x.k.o.Heartbeat, len(replay.Messages)), eventEnd)
	}
	for _, g := range replay.Gaps {
		if x.v1 {
			b = fmt.Appendf(b, "%s%s%s", eventBegin, gapJSON(g), eventEnd)
			continue
		}
		b = appendGapEvent(b, g)
	}
	x.c.SetDeadline(jitter(x.k.o.Heartbeat))
	if x.send(b, false) && len(replay.Messages) > 0 {
		x.Deliver(replay.Messages)
	}
}

func appendGapEvent(b []byte, g hub.Gap) []byte {
	return fmt.Appendf(b, "event: gap\nid: %s\ndata: %s\n\n", g.Through, gapJSON(g))
}

func (x *held) allowOrigin(b []byte) []byte {
	if x.cors == "" {
		return b
	}
	return fmt.Appendf(b, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n", x.cors)
}
