package pushfields

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/hub"
)

// encoders write text as the functions of common languages do.
var encoders = map[string]func(string) string{
	"urlencode of PHP":    url.QueryEscape,
	"rawurlencode of PHP": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
	"URLEncoder of Java":  func(s string) string { return strings.NewReplacer("%2A", "*", "~", "%7E").Replace(url.QueryEscape(s)) },
	"encodeURIComponent": func(s string) string {
		return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(url.QueryEscape(s))
	},
	"every byte, in small letters": func(s string) string { return everyByte(s) },
}

func everyByte(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.Write([]byte{'%', digits[s[i]>>4], digits[s[i]&15]})
	}
	return b.String()
}

// FuzzDecode: what any encoder has written is read as what it was.
func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add("It has arrived: 100% für \"Anna\" + Bert\r\n\x00\xff~*'()!")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(string(all))
	f.Fuzz(func(t *testing.T, text string) {
		for name, encode := range encoders {
			if got, err := decode([]byte(encode(text))); err != nil || string(got) != text {
				t.Errorf("%s: %q of %q: %v", name, got, text, err)
			}
		}
	})
}

// TestDecodeRefuses: a value that was not encoded is an error, not another text.
func TestDecodeRefuses(t *testing.T) {
	for _, value := range []string{`{"a":1}`, "a b", "100%", "%", "%2", "%2x", "%%41", "a&b", "ä", "a\tb", "a/b", "a=b", "a:b"} {
		if got, err := decode([]byte(value)); err == nil {
			t.Errorf("%q is read as %q", value, got)
		}
	}
}

type recorder struct{ drafts []hub.Draft }

func (r *recorder) Publish(d hub.Draft) (hub.Receipt, error) {
	r.drafts = append(r.drafts, d)
	return hub.Receipt{}, nil
}

func (r *recorder) Changed(channels []string, event string) (int, hub.Receipt, error) {
	return 0, hub.Receipt{}, nil
}

// FuzzHead: whatever an app sends, a message is published as a whole or not at all, nothing of the fields but a Push-Channel that
// publishes nothing is left, and no memory stays reserved.
func FuzzHead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nPush-Channel: a, b;x\r\nPush-Data: a%20b\r\nContent-Length: 2\r\n\r\n", "ok", true, 1)
	f.Add("HTTP/1.1 200 OK\r\nPush-Channel: a\r\nPush-Body: 1\r\n\r\n", "body in two pieces", false, 5)
	f.Add("HTTP/1.1 304 OK\r\nPUSH-CHANNEL: a\r\nX-Accel-Redirect: /x\r\n\r\n", "", true, 0)
	f.Fuzz(func(t *testing.T, head, body string, safe bool, cut int) {
		var a http1.Answer
		if a.Parse([]byte(head)) != nil {
			return
		}
		method := "POST"
		if safe {
			method = "GET"
		}
		var h http1.Head
		if r := h.Parse([]byte(method+" / HTTP/1.1\r\nHost: x\r\n\r\n"), http1.Limits{Bytes: 100, Fields: 10}); r != nil {
			t.Fatal(r)
		}
		var got recorder
		reader := New(Options{Publisher: &got, MaxMessage: 100, MaxTotal: 1000, Log: slog.New(slog.DiscardHandler)})
		x := reader.Request(&h, true)
		x.Head(&a)
		reads := x.reading
		cut = min(max(cut, 0), len(body))
		x.Add([]byte(body[:cut]), false)
		x.Add([]byte(body[cut:]), true)
		x.Close()
		for _, field := range a.Fields {
			name := strings.ToLower(string(field.Name))
			if !field.Drop && (name == "push-data" || name == "push-body" || name == "push-event" || name == "push-channel" && !safe) {
				t.Errorf("%s is left", field.Name)
			}
		}
		for _, d := range got.drafts {
			if len(d.Channels) == 0 || len(d.Channels) > maxChannels || len(d.Data) > 100 || reads && !bytes.Equal(d.Data, []byte(body)) {
				t.Errorf("published %+v", d)
			}
		}
		if len(got.drafts) > 1 || reader.Stats().Buffered != 0 {
			t.Errorf("%d published, %+v", len(got.drafts), reader.Stats())
		}
	})
}
