package upgrade

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/internal/hub"
)

// FuzzSSE: what an EventSource makes of a message is exactly one event, with its text.
func FuzzSSE(f *testing.F) {
	f.Add([]byte("hello"), "")
	f.Add([]byte("a\rb\nc\r\nd\n\n\r\re"), "moved")
	f.Add([]byte("\nid: 7\n\ndata: x"), "a")
	f.Add([]byte("\x00 \u2028\u0085:"), "")
	f.Fuzz(func(t *testing.T, data []byte, event string) {
		if strings.ContainsAny(event, "\r\n\x00") || !utf8.ValidString(event) || strings.HasPrefix(event, " ") {
			return // refused by the hooks
		}
		m := &hub.Message{ID: 42, Channel: "a", Event: event, Data: data, Binary: !utf8.Valid(data)}
		out := renderSSE(m)
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

// FuzzSaid: no bytes make the parser of the subprotocol panic; what it accepts is one JSON object with exact
// names, has what its type needs, and a ref that can be sent back as it is.
func FuzzSaid(f *testing.F) {
	for _, s := range []string{
		`{"type":"subscribe","channels":["a","b.c"],"last_id":"0000000000001","ref":1}`, `{"type":"unsubscribe","channels":["a"],"ref":"x\n"}`,
		`{"type":"ping"}`, ` {"ref" : -1e5, "type":"ping"}`, `{"type":"ping","type":"ping"}`, `{"\u0074ype":"ping"}`, `{"type":"ping"}x`, `{"channels":[null]}`, `{"ref":tru`, `[`, ``, "\ufeff{\"type\":\"ping\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := parseClientFrame(p)
		if s.ref != "" {
			var ref any
			if json.Unmarshal([]byte(s.ref), &ref) != nil || len(s.ref) > maxRef {
				t.Errorf("ref %q", s.ref)
			}
			switch ref.(type) {
			case string, float64:
			default:
				t.Errorf("ref %q", s.ref)
			}
		}
		if err != nil {
			return
		}
		var plain map[string]json.RawMessage
		p = bytes.TrimPrefix(p, []byte("\ufeff"))
		if e := json.Unmarshal(p, &plain); e != nil {
			t.Fatalf("%q accepted: %v", p, e)
		}
		var kind string
		if json.Unmarshal(plain["type"], &kind) != nil || kind != s.kind {
			t.Errorf("type %q of %q", s.kind, p)
		}
		if (s.kind == "ping") != (len(s.channels) == 0) || len(plain["channels"]) > 0 != (len(s.channels) > 0) {
			t.Errorf("%s with channels %q", s.kind, s.channels)
		}
		if !json.Valid(movedJSON("subscribed", s.channels, "", s.ref)) {
			t.Errorf("answered %s", movedJSON("subscribed", s.channels, "", s.ref))
		}
	})
}
