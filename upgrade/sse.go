package upgrade

import (
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
	"holdfast/internal/wsframe"
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
	b := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close\r\n")
	b = append(append(b, x.fields...), "\r\n"...)
	x.fields = ""
	b = append(b, retryHint()...)
	if x.v1 {
		b = fmt.Appendf(b, "%s%s%s", eventBegin, helloJSON(x.stand.Position(), x.k.o.Heartbeat, owed(replay)), eventEnd)
		for _, g := range replay.Gaps {
			b = fmt.Appendf(b, "%s%s%s", eventBegin, gapJSON(g), eventEnd)
		}
	} else {
		b = x.appendGapEvents(b, replay)
	}
	x.await(jitter(x.k.o.Heartbeat))
	if x.send(b, false) {
		x.replay(replay.Messages)
	}
}

// appendGapEvents tells of all gaps. Only the last event has an id, where a client stands that was told of them and
// of no message yet: a connection that breaks in between is told of the others when it comes back.
func (x *held) appendGapEvents(b []byte, replay hub.Replay) []byte {
	id := x.stand.Position()
	if len(replay.Messages) > 0 {
		id = replay.Messages[0].ID - 1
	}
	for i, g := range replay.Gaps {
		b = append(b, "event: gap\n"...)
		if i == len(replay.Gaps)-1 {
			b = fmt.Appendf(b, "id: %s\n", id)
		}
		b = fmt.Appendf(b, "data: %s\n\n", gapJSON(g))
	}
	return b
}

// gapText tells of a gap in the middle of a connection, in the form of its kind. It has no id: who comes back after it
// comes back with that of the message before.
func (x *held) gapText(g hub.Gap) []byte {
	switch {
	case x.kind == webSocket:
		return wsframe.Append(nil, ws.OpText, gapJSON(g))
	case x.v1:
		return fmt.Appendf(nil, "%s%s%s", eventBegin, gapJSON(g), eventEnd)
	}
	return fmt.Appendf(nil, "event: gap\ndata: %s\n\n", gapJSON(g))
}

// extraFields returns the lines of a response's head that allow an origin by name, unless it is empty, and set cookies.
func extraFields(origin string, setCookie []string) string {
	var b []byte
	if origin != "" {
		b = fmt.Appendf(b, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n", origin)
	}
	for _, cookie := range setCookie {
		b = fmt.Appendf(b, "Set-Cookie: %s\r\n", cookie)
	}
	return string(b)
}
