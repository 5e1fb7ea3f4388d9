package upgrade

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
)

// Slots of hub.Message.Rendered: a message is rendered once for all connections of a kind.
const (
	slotRaw  = iota // WebSocket: the data as it is
	slotV1          // WebSocket with subprotocol: a JSON frame
	slotSSE         // an event
	slotJSON        // an object of a long poll's list
)

func (x *held) render(m *hub.Message) []byte {
	switch {
	case x.kind == sse:
		return m.Rendered(slotSSE, renderSSE)
	case x.v1:
		return m.Rendered(slotV1, renderV1)
	}
	return m.Rendered(slotRaw, renderRaw)
}

func renderRaw(m *hub.Message) []byte {
	if m.Binary {
		return appendFrame(nil, ws.OpBinary, m.Data)
	}
	return appendFrame(nil, ws.OpText, m.Data)
}

func renderV1(m *hub.Message) []byte {
	return appendFrame(nil, ws.OpText, appendJSON([]byte(`{"type":"message",`), m))
}

func renderJSON(m *hub.Message) []byte { return appendJSON([]byte{'{'}, m) }

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
	b = append(b, `,"data":`...)
	switch {
	case m.JSON:
		b = append(b, m.Data...)
	case m.Binary:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, m.Data)
		b = append(b, `","encoding":"base64"`...)
	default:
		b = append(b, quote(string(m.Data))...)
	}
	return append(b, '}')
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

func helloJSON(id hub.ID) []byte { return []byte(`{"type":"hello","id":"` + id.String() + `"}`) }

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
