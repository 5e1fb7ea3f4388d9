package render

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"holdfast/internal/deflate"
	"holdfast/internal/hub"
)

// Encodings of messages.
var (
	Event       = &hub.Encoding{Render: renderEvent}       // a server-sent event
	ObjectEvent = &hub.Encoding{Render: renderObjectEvent} // an event whose data is an object

	// ObjectDeflated is the object alone, as blocks of a gzip member.
	ObjectDeflated = &hub.Encoding{Render: func(m *hub.Message, room []byte) []byte { return deflate.Append(room, object(m)) }}
)

// What is around the object in ObjectEvent. Long poll leaves it out.
const (
	eventBegin = "data: "
	eventEnd   = "\n\n"
)

// renderEvent encodes an event (WHATWG HTML §9.2): the stream knows three line ends, and data with any of
// them becomes several data lines. Binary data comes in base64.
func renderEvent(m *hub.Message, b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, len(m.Data)+64)
	}
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

func renderObjectEvent(m *hub.Message, b []byte) []byte {
	return append(appendMembers(append(Room(m, b), eventBegin+"{"...), m), eventEnd...)
}

// object returns a message as an object without a type.
func object(m *hub.Message) []byte {
	b := m.Rendered(ObjectEvent)
	return b[len(eventBegin) : len(b)-len(eventEnd)]
}

// deflatedObject is object compressed, as blocks of a gzip member.
func deflatedObject(m *hub.Message) []byte { return m.Rendered(ObjectDeflated) }

// AppendEvent appends an event with an object.
func AppendEvent(b, object []byte) []byte {
	return append(append(append(b, eventBegin...), object...), eventEnd...)
}

// GapEvent returns the event of a gap in the middle of a stream. It has no ID: a client that reconnects after it sends
// the ID of the message before.
func GapEvent(g hub.Gap) []byte { return fmt.Appendf(nil, "event: gap\ndata: %s\n\n", Gap(g)) }

// AppendGapEvents appends the events of all gaps of a replay; the client's position after them is position. Only the
// last event has an ID: the one before the first message, or position. So a client whose connection breaks before it
// gets all gaps again.
func AppendGapEvents(b []byte, position hub.ID, replay hub.Replay) []byte {
	id := position
	if len(replay.Messages) > 0 {
		id = replay.Messages[0].ID - 1
	}
	for i, g := range replay.Gaps {
		b = append(b, "event: gap\n"...)
		if i == len(replay.Gaps)-1 {
			b = fmt.Appendf(b, "id: %s\n", id)
		}
		b = fmt.Appendf(b, "data: %s\n\n", Gap(g))
	}
	return b
}

// retryTime is after how long a browser reconnects; it is spread, so that not all reconnect at once.
const retryTime = 4 * time.Second

// RetryHint returns the line that tells a browser after how long to reconnect when the stream ends.
func RetryHint() []byte { return appendRetry(nil, retryTime) }

// appendRetry appends that line, for a time between half of a time and all of it.
func appendRetry(b []byte, most time.Duration) []byte {
	b = strconv.AppendInt(append(b, "retry: "...), (most/2 + rand.N(most/2+1)).Milliseconds(), 10)
	return append(b, "\n\n"...)
}

// ComeBack returns a whole event stream that tells a browser when to reconnect. Comments have the reason, and a hint if
// there is one. retryAfter is the app's Retry-After in seconds; without one, it is empty.
func ComeBack(why, hint, retryAfter string) string {
	b := append([]byte(": "), why...)
	if hint != "" {
		b = append(append(b, "\n: "...), hint...)
	}
	most := retryTime
	if n, err := strconv.Atoi(retryAfter); err == nil && n > 0 {
		most = 2 * min(time.Duration(n)*time.Second, time.Hour) // of which at least half is left
	}
	return string(appendRetry(append(b, '\n'), most))
}
