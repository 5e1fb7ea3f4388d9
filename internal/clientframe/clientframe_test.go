package clientframe

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzParse: no bytes make the parser of the subprotocol panic; what it accepts is one JSON object with exact
// names, has what its type needs, and a ref that can be sent back as it is.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"subscribe","channels":["a","b.c"],"last_id":"0000000000001","ref":1}`, `{"type":"unsubscribe","channels":["a"],"ref":"x\n"}`,
		`{"type":"ping"}`, ` {"ref" : -1e5, "type":"ping"}`, `{"type":"ping","type":"ping"}`, `{"\u0074ype":"ping"}`, `{"type":"ping"}x`, `{"channels":[null]}`, `{"ref":tru`, `[`, ``, "\ufeff{\"type\":\"ping\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Parse(p)
		if s.Ref != "" {
			var ref any
			if json.Unmarshal([]byte(s.Ref), &ref) != nil || len(s.Ref) > MaxRef {
				t.Errorf("ref %q", s.Ref)
			}
			switch ref.(type) {
			case string, float64:
			default:
				t.Errorf("ref %q", s.Ref)
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
		if json.Unmarshal(plain["type"], &kind) != nil || kind != s.Type {
			t.Errorf("type %q of %q", s.Type, p)
		}
		if (s.Type == "ping") != (len(s.Channels) == 0) || len(plain["channels"]) > 0 != (len(s.Channels) > 0) {
			t.Errorf("%s with channels %q", s.Type, s.Channels)
		}
	})
}
