package upgrade

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
)

const eventStream = "text/event-stream"

// retryTime is after how long a browser comes back, spread so that they do not come all at once.
const retryTime = 4 * time.Second

// sseHeartbeat is a comment: browsers ignore it, proxies see life.
var sseHeartbeat = []byte(":\n\n")

var encodingSSE = &hub.Encoding{Render: renderSSE}

// sse is server-sent events (WHATWG HTML §9.2).
type sse struct{ readOnly }

func newSSE(*Keeper) dialect { return sse{} }

func (sse) name() string      { return "sse" }
func (sse) transport() string { return "sse" }

func (sse) matches(r *choice) bool { return r.accepts(eventStream) }

func (sse) check(ctx *fasthttp.RequestCtx, _ *Spec) (int, string) {
	if len(ctx.QueryArgs().Peek("protocol")) > 0 {
		return 400, "the protocol spoken here is " + subprotocol
	}
	return 0, ""
}

// postponed ends an event stream that can't begin now. An EventSource never comes back after a 503; after the end of a
// stream it does.
func (sse) postponed(why, hint, retryAfter string) (contentType, body string) {
	return eventStream, comeBack(why, hint, retryAfter)
}

func (sse) begin(x *held, s *Spec, replay hub.Replay) {
	b := append(streamHead(eventStream, s), retryHint()...)
	x.beginStream(appendGapEvents(b, x, replay), replay)
}

func (sse) encoding() *hub.Encoding { return encodingSSE }

// gap has no id: a client that comes back after it comes back with that of the message before.
func (sse) gap(g hub.Gap) []byte { return fmt.Appendf(nil, "event: gap\ndata: %s\n\n", gapJSON(g)) }

func (sse) changed(x *held, _ channelChange, replay hub.Replay) []byte {
	return appendGapEvents(nil, x, replay)
}

func (sse) heartbeat(x *held) bool { return x.send(sseHeartbeat, true) }
func (sse) drain(x *held)          { x.finish(retryHint(), draining) }

func retryHint() []byte { return fmt.Appendf(nil, "retry: %d\n\n", jitter(retryTime).Milliseconds()) }

// comeBack is the whole of an event stream that tells a browser when to come back. Comments say why; retryAfter is the
// app's, empty for none.
func comeBack(why, hint, retryAfter string) string {
	b := ": " + why + "\n"
	if hint != "" {
		b += ": " + hint + "\n"
	}
	retry := retryTime
	if seconds, err := strconv.Atoi(retryAfter); err == nil && seconds > 0 {
		retry = 2 * min(time.Duration(seconds)*time.Second, time.Hour) // of which jitter leaves half at least
	}
	return b + fmt.Sprintf("retry: %d\n\n", jitter(retry).Milliseconds())
}

// appendGapEvents tells of all gaps. Only the last event has an id, where a client stands that was told of them and
// of no message yet: a connection that breaks in between is told of the others when it comes back.
func appendGapEvents(b []byte, x *held, replay hub.Replay) []byte {
	id := x.membership.Position()
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

// renderSSE encodes an event (WHATWG HTML §9.2): the stream knows three line ends, and data with any of
// them becomes several data lines. Binary data comes in base64.
func renderSSE(m *hub.Message) []byte {
	b := make([]byte, 0, len(m.Data)+64)
	b = append(b, "id: "...)
	b = m.ID.Append(b)
	if m.Event != "" {
		b = append(b, "\nevent: "...)
		b = append(b, m.Event...)
	}
	data := m.Data
	if m.Binary {
		data = base64.StdEncoding.AppendEncode(nil, data)
	}
	for more := true; more; {
		line := data
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
			line = data[:i]
			if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
				i++
			}
			data = data[i+1:]
		} else {
			more = false
		}
		b = append(b, "\ndata: "...)
		b = append(b, line...)
	}
	return append(b, "\n\n"...)
}
