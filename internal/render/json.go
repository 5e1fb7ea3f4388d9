// Package render renders messages, gaps and notices as clients receive them: JSON objects, server-sent events and the
// responses to long polls. docs/reference/client-protocol.md describes these forms.
package render

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/jsontext"
)

// Ping is a heartbeat that reaches the page: browsers hide WebSocket pings and comments of streams.
const Ping = `{"type":"ping"}`

// Message returns a message as an object of the subprotocol, which has a type.
func Message(m *hub.Message) []byte { return AppendMessage(Room(m, nil), m) }

// AppendMessage appends what Message returns.
func AppendMessage(b []byte, m *hub.Message) []byte {
	return appendMembers(append(b, `{"type":"message",`...), m)
}

// Room returns room, or for nil an empty slice that has room for a message in JSON and what is around it, unless much of
// it has to be escaped.
func Room(m *hub.Message, room []byte) []byte {
	if room != nil {
		return room
	}
	n := 80 + len(m.Channel) + len(m.Data)
	if m.Event != "" {
		n += len(`,"event":""`) + len(m.Event)
	}
	if m.Binary {
		n += base64.StdEncoding.EncodedLen(len(m.Data)) - len(m.Data) + len(`,"encoding":"base64"`)
	}
	return make([]byte, 0, n)
}

// appendMembers appends the members of a message and the closing brace.
func appendMembers(b []byte, m *hub.Message) []byte {
	b = append(b, `"id":"`...)
	b = m.ID.Append(b)
	b = append(b, `","channel":`...)
	b = jsontext.AppendString(b, m.Channel)
	if m.Event != "" {
		b = append(b, `,"event":`...)
		b = jsontext.AppendString(b, m.Event)
	}
	b = AppendData(append(b, `,"data":`...), m.Data, m.JSON, m.Binary)
	return append(b, '}')
}

// AppendData appends data as a JSON value, and its encoding if it has one. With isJSON, data is a JSON value already.
func AppendData(b, data []byte, isJSON, binary bool) []byte {
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

// undelivered returns the number of gaps and messages that follow before the ID of the hello is valid. Gaps count, too:
// a client whose connection breaks before it gets one would otherwise resume after it, and never get it.
func undelivered(r hub.Replay) int { return len(r.Gaps) + len(r.Messages) }

// Hello is the first object of a connection with the subprotocol. It has the position after the gaps and messages of
// replay, which follow, and the interval of the heartbeats.
func Hello(id hub.ID, heartbeat time.Duration, replay hub.Replay) []byte {
	return fmt.Appendf(nil, `{"type":"hello","id":"%s","heartbeat":%s,"replay":%d}`, id,
		strconv.FormatFloat(heartbeat.Seconds(), 'f', -1, 64), undelivered(replay))
}

// Gap returns the object of a gap.
func Gap(g hub.Gap) []byte {
	b := jsontext.AppendString([]byte(`{"type":"gap","channel":`), g.Channel)
	return append(g.Through.Append(append(b, `,"id":"`...)), `"}`...)
}

// Change is a change of a connection's channels. Position is the connection's position after the replay. Ref is JSON
// that the response repeats; empty: none.
type Change struct {
	Join, Leave []string
	Ref         string
	Position    hub.ID
	Replay      hub.Replay
}

// Objects returns the objects for the change and for its gaps.
func (c *Change) Objects() (list [][]byte) {
	if len(c.Leave) > 0 {
		list = append(list, changed("unsubscribed", c.Leave, "", c.Ref))
	}
	if len(c.Join) > 0 || len(c.Leave) == 0 {
		at := fmt.Sprintf(`,"id":"%s","replay":%d`, c.Position, undelivered(c.Replay))
		list = append(list, changed("subscribed", c.Join, at, c.Ref))
	}
	for _, g := range c.Replay.Gaps {
		list = append(list, Gap(g))
	}
	return list
}

// changed returns the object for channels that were joined or left; more has further members.
func changed(kind string, channels []string, more, ref string) []byte {
	b := append([]byte(`{"type":"`), kind...)
	b = append(b, `","channels":[`...)
	for i, name := range channels {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.AppendString(b, name)
	}
	b = append(append(b, ']'), more...)
	return append(AppendRef(b, ref), '}')
}

// AppendRef appends the member ref of an object, unless ref is empty.
func AppendRef(b []byte, ref string) []byte {
	if ref == "" {
		return b
	}
	return append(append(b, `,"ref":`...), ref...)
}
