package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/internal/hub"
)

// FuzzEvent: what an EventSource makes of a message is exactly one event, with its text.
func FuzzEvent(f *testing.F) {
	f.Add([]byte("hello"), "")
	f.Add([]byte("a\rb\nc\r\nd\n\n\r\re"), "moved")
	f.Add([]byte("\nid: 7\n\ndata: x"), "a")
	f.Add([]byte("\x00 \u2028\u0085:"), "")
	f.Fuzz(func(t *testing.T, data []byte, event string) {
		if strings.ContainsAny(event, "\r\n\x00") || !utf8.ValidString(event) || strings.HasPrefix(event, " ") {
			return // refused by the hooks
		}
		m := &hub.Message{ID: 42, Channel: "a", Event: event, Data: data, Binary: !utf8.Valid(data)}
		out := renderEvent(m, nil)
		events := eventSource(append([]byte(":\n\n"), out...))
		if len(events) != 1 {
			t.Fatalf("%d events of %q", len(events), out)
		}
		want := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
		e := events[0]
		if e.id != m.ID.String() || e.event != event || !m.Binary && e.data != want {
			t.Fatalf("%q became %+v; want %q", out, e, want)
		}
	})
}

type sourceEvent struct{ id, event, data string }

// eventSource parses a stream by the rules of WHATWG HTML §9.2.6, written anew from them.
func eventSource(b []byte) (events []sourceEvent) {
	var e sourceEvent
	var data []string
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			break // an incomplete line is dropped
		}
		line := string(b[:i])
		if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			i++
		}
		b = b[i+1:]
		if line == "" {
			if data != nil {
				e.data = strings.Join(data, "\n")
				events = append(events, e)
			}
			e, data = sourceEvent{id: e.id}, nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.event = value
		case "data":
			data = append(data, value)
		case "id":
			if !strings.Contains(value, "\x00") {
				e.id = value
			}
		}
	}
	return events
}

// FuzzChangeObject: what tells of a change is one JSON object, whatever the channels are named.
func FuzzChangeObject(f *testing.F) {
	f.Add("a", "1")
	f.Add("\"\\\n\u2028", `"x\n"`)
	f.Fuzz(func(t *testing.T, name, ref string) {
		if !json.Valid([]byte(ref)) {
			ref = ""
		}
		if b := changed("subscribed", []string{name, "b"}, "", ref); !json.Valid(b) {
			t.Errorf("%s", b)
		}
	})
}
