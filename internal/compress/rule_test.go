package compress

import (
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// TestHead: which responses are compressed, and what becomes of their heads.
func TestHead(t *testing.T) {
	const html = "Content-Type: text/html; charset=utf-8\r\n"
	both := Options{MinLength: 100}
	for _, tt := range []struct {
		name   string
		o      Options
		accept string
		status int
		fields string
		on     bool
		want   string // of the fields afterwards
	}{
		{"html", both, "gzip", 200, html, true, html + "Vary: Accept-Encoding\r\n"},
		{"not accepted", both, "", 200, html, false, html + "Vary: Accept-Encoding\r\n"},
		{"other type", both, "gzip", 200, "Content-Type: image/png\r\n", false, ""},
		{"no type", both, "gzip", 200, "", false, ""},
		{"two types", both, "gzip", 200, html + html, false, ""},
		{"encoded", both, "gzip", 200, html + "Content-Encoding: br\r\n", false, ""},
		{"a part", both, "gzip", 206, html + "Content-Range: bytes 0-1/3\r\n", false, ""},
		{"a part by mistake", both, "gzip", 200, html + "Content-Range: bytes 0-1/3\r\n", false, ""},
		{"no content", both, "gzip", 204, html, false, ""},
		{"reset content", both, "gzip", 205, html, false, ""},
		{"not modified", both, "gzip", 304, html + "ETag: \"x\"\r\n", false, ""},
		{"an error", both, "gzip", 500, html, true, html + "Vary: Accept-Encoding\r\n"},
		{"not found", both, "gzip", 404, html, true, html + "Vary: Accept-Encoding\r\n"},
		{"no-transform", both, "gzip", 200, html + "Cache-Control: public, No-Transform\r\n", false, ""},
		{"short", both, "gzip", 200, html + "Content-Length: 99\r\n", false, ""},
		{"empty", both, "gzip, identity;q=0", 200, html + "Content-Length: 0\r\n", false, ""},
		{"long enough", both, "gzip", 200, html + "Content-Length: 100\r\n", true, html + "Vary: Accept-Encoding\r\n"},
		{"not to be buffered", both, "gzip", 200, html + "X-Accel-Buffering: no\r\n", false, ""},
		{"events", both, "gzip", 200, "Content-Type: text/event-stream\r\n", false, ""},
		{"events, asked for", Options{Types: []string{"text/event-stream"}}, "gzip", 200, "Content-Type: text/event-stream\r\n", true, "Content-Type: text/event-stream\r\nVary: Accept-Encoding\r\n"},
		{"NDJSON", both, "gzip", 200, "Content-Type: application/x-ndjson\r\n", false, ""},
		{"JSON that streams", both, "gzip", 200, "Content-Type: application/stream+json\r\n", false, ""},
		{"a cookie", both, "gzip", 200, html + "Set-Cookie: a=b\r\n", true, html + "Set-Cookie: a=b\r\nVary: Accept-Encoding\r\n"},
		{"a cookie that counts", Options{SkipCookies: true}, "gzip", 200, html + "Set-Cookie: a=b\r\n", false, ""},
		{"tag", both, "gzip", 200, html + "ETag: \"x\"\r\n", true, html + "ETag: W/\"x-hfz\"\r\nVary: Accept-Encoding\r\n"},
		{"tag, not accepted", both, "deflate", 200, html + "ETag: \"x\"\r\n", false, html + "ETag: \"x\"\r\nVary: Accept-Encoding\r\n"},
		{"weak tag", both, "gzip", 200, html + "ETag: W/\"x\"\r\n", true, html + "ETag: W/\"x\"\r\nVary: Accept-Encoding\r\n"},
		{"what compression changes", both, "gzip", 200, html + "Accept-Ranges: bytes\r\nContent-MD5: x\r\nDigest: x\r\nContent-Digest: x\r\nRepr-Digest: x\r\nContent-Length: 5000\r\n", true, html + "Vary: Accept-Encoding\r\n"},
		{"Vary", both, "gzip", 200, html + "Vary: Cookie\r\n", true, html + "Vary: Cookie, Accept-Encoding\r\n"},
		{"Vary that has it", both, "gzip", 200, html + "Vary: accept-encoding, Cookie\r\n", true, html + "Vary: accept-encoding, Cookie\r\n"},
		{"two of Vary", both, "gzip", 200, html + "Vary: Cookie\r\nVary: Accept-Encoding\r\n", true, html + "Vary: Cookie\r\nVary: Accept-Encoding\r\n"},
		{"Vary by all", both, "gzip", 200, html + "Vary: *\r\n", true, html + "Vary: *\r\n"},
		{"empty Vary", both, "gzip", 200, html + "Vary:\r\n", true, html + "Vary: \r\nVary: Accept-Encoding\r\n"},
		{"SVG", both, "gzip", 200, "Content-Type: image/svg+xml\r\n", true, "Content-Type: image/svg+xml\r\nVary: Accept-Encoding\r\n"},
		{"wasm", both, "gzip", 200, "Content-Type: Application/WASM\r\n", true, "Content-Type: Application/WASM\r\nVary: Accept-Encoding\r\n"},
	} {
		b := newBench(t)
		x := rule(t, tt.o).Begin(b.loop, request(t, "GET", tt.accept), &reader{b: b})
		a := answer(t, tt.status, tt.fields)
		if on := x.Head(a); on != tt.on || x.IsOn() != on {
			t.Errorf("%s: compressed %v, want %v", tt.name, on, tt.on)
		}
		want := tt.want
		if want == "" {
			want = tt.fields
		}
		if _, got, _ := strings.Cut(string(a.Append(nil)), "\r\n"); got != want {
			t.Errorf("%s:\n%swant\n%s", tt.name, got, want)
		}
	}
}

// TestHeadOfHEAD: the head is that of the response to GET, but for the length.
func TestHeadOfHEAD(t *testing.T) {
	b := newBench(t)
	x := rule(t, Options{}).Begin(b.loop, request(t, "HEAD", "gzip"), &reader{b: b})
	a := answer(t, 200, "Content-Type: text/css\r\nContent-Length: 9999\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\n")
	if x.Head(a) {
		t.Error("a body is expected")
	}
	if _, got, _ := strings.Cut(string(a.Append(nil)), "\r\n"); got != "Content-Type: text/css\r\nETag: W/\"x-hfz\"\r\nVary: Accept-Encoding\r\nContent-Encoding: gzip\r\n" {
		t.Errorf("%s", got)
	}
}

// TestOldClient: HTTP/1.0 gets no compression, but Vary.
func TestOldClient(t *testing.T) {
	raw := []byte("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
	h := new(http1.Head)
	if r := h.Parse(raw, http1.Limits{Bytes: len(raw), Fields: 9}); r != nil {
		t.Fatal(r)
	}
	b := newBench(t)
	a := answer(t, 200, "Content-Type: text/css\r\n")
	if rule(t, Options{}).Begin(b.loop, h, &reader{b: b}).Head(a) || !a.Has("vary") {
		t.Errorf("%s", a.Append(nil))
	}
}

// TestConditions: the app gets its own entity tags, and its 304 those of the client.
func TestConditions(t *testing.T) {
	b := newBench(t)
	r := rule(t, Options{})
	h := request(t, "GET", "gzip", "If-None-Match: W/\"x-hfz\", \"y\"\r\n", "If-Match: W/\"z-hfz\"\r\n", "If-Range: W/\"x-hfz\"\r\n")
	x := r.Begin(b.loop, h, &reader{b: b})
	x.Request(h)
	x.Request(h)
	for name, want := range map[string]string{"if-none-match": `"x", "y"`, "if-match": `"z"`, "if-range": `W/"x-hfz"`} {
		if got := http1.AppendValues(nil, h.Fields, name); len(got) != 1 || string(got[0]) != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	a := answer(t, 304, "ETag: \"x\"\r\n")
	x.Head(a)
	if _, got, _ := strings.Cut(string(a.Append(nil)), "\r\n"); got != "ETag: W/\"x-hfz\"\r\nVary: Accept-Encoding\r\n" {
		t.Errorf("%s", got)
	}
}

func TestRuleOptions(t *testing.T) {
	for _, o := range []Options{
		{Level: -1}, {Level: 10}, {Codings: []http1.Coding{http1.Identity}}, {Types: []string{"text"}}, {Types: []string{"text/"}},
		{Types: []string{"/x"}}, {Types: []string{"*/*"}}, {Types: []string{"text/html; charset=utf-8"}}, {Types: []string{strings.Repeat("x", 100) + "/" + strings.Repeat("y", 100)}},
	} {
		if _, err := NewRule(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if (*Rule)(nil).Begin(nil, nil, nil) != nil {
		t.Error("no rule compresses")
	}
	var none *Response
	none.Request(nil)
	none.Close()
	if none.Head(nil) || none.IsOn() || none.Full() || !none.Done() || none.Pending() != 0 {
		t.Error("no response does something")
	}
}

func TestTypes(t *testing.T) {
	s, err := newTypeSet([]string{"text/*", "application/JSON", "*+xml"})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		"text/html": true, "TEXT/Plain;x": true, "text/": false, "text": false, "textx/y": false, "application/json ; x": true,
		"application/jsonx": false, "image/svg+xml": true, "+xml": false, "a/+xml": true, "": false, "text/event-stream": false,
		"text/" + strings.Repeat("x", 500): true,
	} {
		if got := s.has([]byte(value)); got != want {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.has([]byte("application/Vnd.x+xml")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
