package upgrade

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"holdfast/internal/deflate"
	"holdfast/internal/hub"
	"holdfast/internal/wsframe"
)

// Encodings of messages: one rendering is shared by all connections that have it.
var (
	encodingRaw      = &hub.Encoding{Render: renderRaw}      // WebSocket: the data as it is
	encodingV1       = &hub.Encoding{Render: renderV1}       // WebSocket with subprotocol: a JSON frame
	encodingSSE      = &hub.Encoding{Render: renderSSE}      // an event
	encodingJSON     = &hub.Encoding{Render: renderJSON}     // SSE with the subprotocol: an event whose data is an object of a long poll's list
	encodingDeflated = &hub.Encoding{Render: renderDeflated} // the object in encodingJSON, as blocks of a long poll's answer in gzip
)

// What is around the object in encodingJSON. Long poll leaves it out.
const (
	eventBegin = "data: "
	eventEnd   = "\n\n"
)

// pingJSON is a sign of life that a page can see: browsers keep pings and comments to themselves.
const pingJSON = `{"type":"ping"}`

func (x *held) render(m *hub.Message) []byte {
	switch {
	case x.kind == sse && x.v1:
		return m.Rendered(encodingJSON)
	case x.kind == sse:
		return m.Rendered(encodingSSE)
	case x.v1 && x.compress:
		return m.Rendered(x.k.deflateV1)
	case x.v1:
		return m.Rendered(encodingV1)
	case x.compress:
		return m.Rendered(x.k.deflateRaw)
	}
	return m.Rendered(encodingRaw)
}

func renderRaw(m *hub.Message) []byte {
	if m.Binary {
		return wsframe.Append(nil, ws.OpBinary, m.Data)
	}
	return wsframe.Append(nil, ws.OpText, m.Data)
}

func renderV1(m *hub.Message) []byte {
	return wsframe.Append(nil, ws.OpText, v1Object(m))
}

func v1Object(m *hub.Message) []byte { return appendJSON([]byte(`{"type":"message",`), m) }

func renderJSON(m *hub.Message) []byte {
	return append(appendJSON([]byte(eventBegin+"{"), m), eventEnd...)
}

// object returns what renderJSON has rendered without the event around it.
func object(m *hub.Message) []byte {
	b := m.Rendered(encodingJSON)
	return b[len(eventBegin) : len(b)-len(eventEnd)]
}

// appendJSON appends the fields of a message and the closing brace.
func appendJSON(b []byte, m *hub.Message) []byte {
	b = append(b, `"id":"`...)
	b = m.ID.Append(b)
	b = append(b, `","channel":`...)
	b = append(b, quote(m.Channel)...)
	if m.Event != "" {
		b = append(b, `,"event":`...)
		b = append(b, quote(m.Event)...)
	}
	b = appendData(append(b, `,"data":`...), m.Data, m.JSON, m.Binary)
	return append(b, '}')
}

// appendData appends data as a JSON value, and its encoding if it has one.
func appendData(b, data []byte, isJSON, binary bool) []byte {
	switch {
	case isJSON:
		return appendLine(b, data)
	case binary:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, data)
		return append(b, `","encoding":"base64"`...)
	}
	return append(b, quote(string(data))...)
}

// appendLine appends valid JSON without line ends: in an event they would end the data.
func appendLine(b, data []byte) []byte {
	if !bytes.ContainsAny(data, "\r\n") {
		return append(b, data...)
	}
	line := bytes.NewBuffer(b)
	if json.Compact(line, data) != nil {
		return append(b, "null"...) // it was checked when it was published
	}
	return line.Bytes()
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
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return `""` // a string always encodes
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func (k *Keeper) renderRawDeflated(m *hub.Message) []byte {
	op := ws.OpText
	if m.Binary {
		op = ws.OpBinary
	}
	if len(m.Data) >= k.o.Compress {
		if b := wsframe.Deflated(op, m.Data); b != nil {
			return b
		}
	}
	return m.Rendered(encodingRaw)
}

func (k *Keeper) renderV1Deflated(m *hub.Message) []byte {
	if len(m.Data) >= k.o.Compress {
		if b := wsframe.Deflated(ws.OpText, v1Object(m)); b != nil {
			return b
		}
	}
	return m.Rendered(encodingV1)
}

func renderDeflated(m *hub.Message) []byte { return deflate.Append(nil, object(m)) }

func deflatedObject(m *hub.Message) []byte { return m.Rendered(encodingDeflated) }
