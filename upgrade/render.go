package upgrade

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"holdfast/internal/deflate"
	"holdfast/internal/hub"
	"holdfast/internal/jsontext"
)

// Encodings that dialects share.
var (
	encodingJSON     = &hub.Encoding{Render: renderJSON}     // an event whose data is an object
	encodingDeflated = &hub.Encoding{Render: renderDeflated} // that object, compressed as blocks of a gzip member
)

// What is around the object in encodingJSON. Long poll leaves it out.
const (
	eventBegin = "data: "
	eventEnd   = "\n\n"
)

// pingJSON is a sign of life that a page can see: browsers keep pings and comments to themselves.
const pingJSON = `{"type":"ping"}`

func renderJSON(m *hub.Message) []byte {
	return append(appendJSON(append(roomFor(m), eventBegin+"{"...), m), eventEnd...)
}

// object returns what renderJSON has rendered without the event around it.
func object(m *hub.Message) []byte {
	b := m.Rendered(encodingJSON)
	return b[len(eventBegin) : len(b)-len(eventEnd)]
}

// roomFor has room for a message in JSON and what is around it, unless much of it has to be escaped.
func roomFor(m *hub.Message) []byte {
	n := 80 + len(m.Channel) + len(m.Data)
	if m.Event != "" {
		n += len(`,"event":""`) + len(m.Event)
	}
	if m.Binary {
		n += base64.StdEncoding.EncodedLen(len(m.Data)) - len(m.Data) + len(`,"encoding":"base64"`)
	}
	return make([]byte, 0, n)
}

// appendJSON appends the fields of a message and the closing brace.
func appendJSON(b []byte, m *hub.Message) []byte {
	b = append(b, `"id":"`...)
	b = m.ID.Append(b)
	b = append(b, `","channel":`...)
	b = jsontext.AppendString(b, m.Channel)
	if m.Event != "" {
		b = append(b, `,"event":`...)
		b = jsontext.AppendString(b, m.Event)
	}
	b = appendData(append(b, `,"data":`...), m.Data, m.JSON, m.Binary)
	return append(b, '}')
}

// appendData appends data as a JSON value, and its encoding if it has one.
func appendData(b, data []byte, isJSON, binary bool) []byte {
	switch {
	case isJSON:
		return jsontext.AppendLine(b, data)
	case binary:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, data)
		return append(b, `","encoding":"base64"`...)
	}
	return jsontext.AppendString(b, data)
}

// owed is how much comes before the id of the hello counts. Gaps are part of it: a client whose connection
// breaks before it is told of one would otherwise come back from after it, and never be told.
func owed(r hub.Replay) int { return len(r.Gaps) + len(r.Messages) }

// helloJSON begins a connection that speaks the subprotocol: where it stands after as many gaps and messages
// as replay says, which come next, and how often it gets a sign of life, in seconds.
func helloJSON(id hub.ID, heartbeat time.Duration, replay int) []byte {
	return fmt.Appendf(nil, `{"type":"hello","id":"%s","heartbeat":%s,"replay":%d}`, id,
		strconv.FormatFloat(heartbeat.Seconds(), 'f', -1, 64), replay)
}

func gapJSON(g hub.Gap) []byte {
	return []byte(`{"type":"gap","channel":` + quote(g.Channel) + `,"id":"` + g.Through.String() + `"}`)
}

// quote returns s as a JSON string.
func quote(s string) string { return string(jsontext.AppendString(nil, s)) }

func renderDeflated(m *hub.Message) []byte { return deflate.Append(nil, object(m)) }

func deflatedObject(m *hub.Message) []byte { return m.Rendered(encodingDeflated) }
