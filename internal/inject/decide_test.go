package inject

import (
	"strings"
	"testing"

	"holdfast/internal/http1"
)

const shim = "/_push/shim.js"

// request parses the head of a request with these lines.
func request(t testing.TB, line string, fields ...string) *http1.Head {
	t.Helper()
	raw := line + "\r\nHost: app.example\r\n"
	for _, f := range fields {
		raw += f + "\r\n"
	}
	raw += "\r\n"
	var h http1.Head
	if r := h.Parse([]byte(raw), http1.Limits{Bytes: 1 << 16, Fields: 100}); r != nil {
		t.Fatalf("%q: %v", raw, r)
	}
	return &h
}

// response parses the head of a response with these lines.
func response(t testing.TB, status string, fields ...string) *http1.Answer {
	t.Helper()
	var a http1.Answer
	raw := "HTTP/1.1 " + status + "\r\n"
	for _, f := range fields {
		raw += f + "\r\n"
	}
	if err := a.Parse([]byte(raw + "\r\n")); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return &a
}

func TestRequest(t *testing.T) {
	r := NewRule(shim)
	for _, c := range []struct {
		line   string
		fields []string
		want   Reason
	}{
		{"GET / HTTP/1.1", nil, ""},
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest: document"}, ""},
		{"GET / HTTP/1.1", []string{"sec-fetch-dest: Iframe"}, ""},
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest: frame"}, ""},
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest:"}, ""},
		{"GET / HTTP/1.1", []string{"X-Requested-With: com.android.browser"}, ""}, // a WebView names its app so
		{"HEAD / HTTP/1.1", nil, ""},
		{"HEAD / HTTP/1.1", []string{"Sec-Fetch-Dest: empty"}, Script},
		{"POST / HTTP/1.1", nil, Method},
		{"GET / HTTP/1.1", []string{"X-Requested-With: XMLHttpRequest"}, Script},
		{"GET / HTTP/1.1", []string{"x-requested-with: xmlhttprequest"}, Script},
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest: empty"}, Script}, // fetch and XMLHttpRequest
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest: object"}, Script},
		{"GET / HTTP/1.1", []string{"Sec-Fetch-Dest: script"}, Script},
	} {
		h := request(t, c.line, c.fields...)
		if got := r.Request(h); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.line, c.fields, got, c.want)
		}
	}
}

// What the app is sent for a page, and what for others.
func TestRequestChangesTheHead(t *testing.T) {
	r := NewRule(shim)
	old := NewRule(shim, Attr{"data-polls", "/old"})
	now, was := string(r.weaken([]byte(`"v1"`))), string(old.weaken([]byte(`"v1"`)))
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"compression", []string{"Accept-Encoding: gzip, br"}, []string{"Accept-Encoding: identity"}},
		{"no compression", []string{"Accept: text/html"}, []string{"Accept: text/html"}},
		{"the tag's own", []string{"If-None-Match: " + now, "If-Modified-Since: x"}, []string{`If-None-Match: "v1"`, "If-Modified-Since: x"}},
		{"weak at the app", []string{"If-None-Match: " + string(r.weaken([]byte(`W/"a,b"`)))}, []string{`If-None-Match: W/"a,b"`}},
		{"another's", []string{"If-None-Match: " + was, "If-Modified-Since: x"}, nil},
		{"a list", []string{`If-None-Match: "x", ` + was + " ,," + now + `, W/"y"`}, []string{`If-None-Match: "x", "v1", W/"y"`}},
		{"from before", []string{`If-None-Match: "v1"`, "If-Modified-Since: x"}, []string{`If-None-Match: "v1"`, "If-Modified-Since: x"}},
		{"any", []string{"If-None-Match: *"}, []string{"If-None-Match: *"}},
		{"not a list", []string{"If-None-Match: " + now + " v1"}, []string{"If-None-Match: " + now + " v1"}},
		{"the rest of a page", []string{"Range: bytes=9-", "If-Range: " + now}, nil},
		{"the rest of a page known by its date", []string{"Range: bytes=9-", "If-Range: Sat, 29 Oct 1994 19:43:31 GMT"}, nil},
		{"the rest of something else", []string{"Range: bytes=9-", `If-Range: "v1"`}, []string{"Range: bytes=9-", `If-Range: "v1"`}},
		{"a range", []string{"Range: bytes=9-"}, []string{"Range: bytes=9-"}},
		{"for a script", []string{"X-Requested-With: XMLHttpRequest", "Accept-Encoding: br"}, []string{"X-Requested-With: XMLHttpRequest", "Accept-Encoding: br"}},
	} {
		h := request(t, "GET / HTTP/1.1", c.in...)
		r.Request(h)
		var got []string
		for _, f := range h.Fields[1:] {
			if !f.Drop {
				got = append(got, string(f.Name)+": "+string(f.Value))
			}
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestWeaken(t *testing.T) {
	r := NewRule(shim)
	for tag, want := range map[string]string{
		`"a"`:   `W/"a-hfs` + r.mark + `"`,
		`W/"a"`: `W/"a-hfw` + r.mark + `"`,
		`""`:    `W/"-hfs` + r.mark + `"`,
		`a`:     `a`, `"a`: `"a`, `"`: `"`, `W/`: `W/`, `"a"b"`: `"a"b"`, ``: ``,
	} {
		got := string(r.weaken([]byte(tag)))
		if got != want {
			t.Errorf("%s becomes %s, want %s", tag, got, want)
		}
		if back, dropped := r.restore([]byte(got)); string(back) != tag || dropped {
			t.Errorf("%s comes back as %s, %v; want %s", got, back, dropped, tag)
		}
	}
}

func TestDecide(t *testing.T) {
	const page = "Content-Type: text/html; charset=utf-8"
	for _, c := range []struct {
		status string
		fields []string
		want   Reason
	}{
		{"200 OK", []string{page}, ""},
		{"200 OK", []string{"content-type: Text/HTML"}, ""},
		{"200 OK", []string{"Content-Type: application/xhtml+xml"}, ""},
		{"200 OK", []string{page, "Content-Encoding: gzip"}, ""},
		{"200 OK", []string{page, "Content-Encoding: X-Gzip"}, ""},
		{"200 OK", []string{page, "Content-Encoding: identity"}, ""},
		{"200 OK", []string{page, "Content-Encoding:"}, ""},
		{"200 OK", []string{page, "Content-Disposition: inline; filename=attachment"}, ""},
		{"200 OK", []string{page, "Cache-Control: no-cache, private"}, ""},
		{"200 OK", []string{page, "Transfer-Encoding: chunked"}, ""},
		{"201 Created", []string{page}, Status},
		{"206 Partial Content", []string{page, "Content-Range: bytes 0-1/2"}, Status},
		{"304 Not Modified", []string{page}, Status},
		{"404 Not Found", []string{page}, Status},
		{"500 Internal Server Error", []string{page}, Status},
		{"200 OK", []string{page, "Integrity-Policy: blocked-destinations=(style script), endpoints=(x)"}, Policy},
		{"200 OK", []string{page, "Integrity-Policy: endpoints=(script), Blocked-Destinations=( script )"}, ""}, // keys are in lower case
		{"200 OK", []string{page, "Integrity-Policy: sources=(inline), blocked-destinations=( script )"}, Policy},
		{"200 OK", []string{page, "Integrity-Policy: blocked-destinations=(style), endpoints=(script)"}, ""},
		{"200 OK", []string{page, "Integrity-Policy-Report-Only: blocked-destinations=(script)"}, ""},
		{"200 OK", nil, Type},
		{"200 OK", []string{page, page}, Type},
		{"200 OK", []string{"Content-Type: application/json"}, Type},
		{"200 OK", []string{"Content-Type: text/html-sandboxed"}, Type},
		{"200 OK", []string{"Content-Type: text/plain; a=text/html"}, Type},
		{"200 OK", []string{"Content-Type: text/xml"}, Type},
		{"200 OK", []string{page, "Content-Encoding: br"}, Encoding},
		{"200 OK", []string{page, "Content-Encoding: deflate"}, Encoding},
		{"200 OK", []string{page, "Content-Encoding: gzip, gzip"}, Encoding},
		{"200 OK", []string{page, "Content-Encoding: gzip", "Content-Encoding: br"}, Encoding},
		{"200 OK", []string{page, "Content-Disposition: attachment; filename=report.html"}, Download},
		{"200 OK", []string{page, "Content-Disposition: ATTACHMENT"}, Download},
		{"200 OK", []string{page, "Content-Disposition: whatever"}, Download},
		{"200 OK", []string{page, "Content-Range: bytes 0-1/2"}, Range},
		{"200 OK", []string{page, "Cache-Control: public", "Cache-Control: max-age=1, No-Transform"}, NoTransform},
		{"200 OK", []string{page, "Content-Security-Policy: script-src 'none'"}, Policy},
	} {
		f, got := NewRule(shim).Decide(response(t, c.status, c.fields...), Origin{"http", "app.example"})
		if got != c.want || (f == nil) != (got != "") {
			t.Errorf("%s %q: %v, %q, want %q", c.status, c.fields, f != nil, got, c.want)
		}
	}
}

func TestCharset(t *testing.T) {
	for charset, want := range map[string]Reason{
		"utf-8": "", `"UTF-8"`: "", "'utf-8'": "", "ISO-8859-1": "", "windows-1252": "", "Shift_JIS": "", "gb2312": "", "euc-kr": "", "": "",
		"utf-16": Charset, "UTF-16LE": Charset, "utf-7": Charset, "utf-32": Charset, "iso-2022-jp": Charset, "hz-gb-2312": Charset,
		"ibm037": Charset, "unknown": Charset,
	} {
		if _, got := typeOf(response(t, "200 OK", "Content-Type: text/html; a=b ;Charset="+charset).Fields); got != want {
			t.Errorf("charset=%s: %q, want %q", charset, got, want)
		}
	}
}

func TestPolicy(t *testing.T) {
	const none = "-"
	own := Origin{"https", "app.example"}
	for _, c := range []struct {
		policies []string
		origin   Origin
		want     string // the nonce; none: not allowed
	}{
		{nil, own, ""},
		{[]string{""}, own, ""},
		{[]string{"img-src 'none'; connect-src 'self'"}, own, ""},
		{[]string{"default-src 'self'"}, own, ""},
		{[]string{"DEFAULT-SRC 'Self'"}, own, ""},
		{[]string{"default-src 'none'"}, own, none},
		{[]string{"default-src"}, own, none},
		{[]string{"script-src 'unsafe-inline'"}, own, none},
		{[]string{"default-src 'self'; script-src https://cdn.example"}, own, none},
		{[]string{"default-src 'none'; script-src 'self'"}, own, ""},
		{[]string{"script-src 'none'; script-src-elem 'self'"}, own, ""},
		{[]string{"script-src-elem 'none'; script-src 'self'"}, own, none},
		{[]string{"script-src 'self'; script-src 'none'"}, own, ""}, // the first counts
		{[]string{"script-src 'none'; script-src 'self'"}, own, none},
		{[]string{"script-src-attr 'none'; script-src 'self'"}, own, ""},

		{[]string{"script-src 'nonce-abc'"}, own, "abc"},
		{[]string{"script-src 'NONCE-aB+/-_9=='"}, own, "aB+/-_9=="},
		{[]string{"default-src 'nonce-abc'"}, own, "abc"},
		{[]string{"script-src 'self' 'nonce-abc'"}, own, "abc"},
		{[]string{"script-src 'strict-dynamic' 'nonce-abc' 'unsafe-inline' https:"}, own, "abc"},
		{[]string{"script-src 'strict-dynamic' 'self'"}, own, none},
		{[]string{"script-src 'strict-dynamic' 'sha256-AAAA' *"}, own, none},
		{[]string{`script-src 'nonce-a"b'`}, own, none},
		{[]string{"script-src 'nonce-'"}, own, none},
		{[]string{"script-src 'nonce-ab===' 'nonce-=' nonce-abc"}, own, none},

		{[]string{"script-src 'self'", "script-src 'none'"}, own, none},
		{[]string{"script-src 'self', script-src 'none'"}, own, none},
		{[]string{"script-src 'nonce-abc'", "script-src 'self'"}, own, "abc"},
		{[]string{"script-src 'self'", "img-src x, default-src 'nonce-abc'"}, own, "abc"},
		{[]string{"script-src 'nonce-abc'", "script-src 'nonce-def'"}, own, none},
		{[]string{"script-src 'nonce-abc' 'nonce-def'", "script-src 'nonce-def'"}, own, "def"},
		{[]string{"script-src 'nonce-abc' 'self'", "script-src 'self' 'strict-dynamic' 'nonce-xyz'"}, own, "xyz"},

		{[]string{"script-src *"}, own, ""},
		{[]string{"script-src https:"}, own, ""},
		{[]string{"script-src http:"}, own, ""},
		{[]string{"script-src https:"}, Origin{"http", "app.example"}, none},
		{[]string{"script-src data: blob: 'unsafe-eval'"}, own, none},
		{[]string{"script-src app.example"}, own, ""},
		{[]string{"script-src APP.example"}, own, ""},
		{[]string{"script-src https://app.example"}, own, ""},
		{[]string{"script-src https://app.example:443/"}, own, ""},
		{[]string{"script-src http://app.example:80"}, own, ""},
		{[]string{"script-src https://app.example"}, Origin{"http", "app.example"}, none},
		{[]string{"script-src app.example"}, Origin{"http", "app.example:8080"}, none},
		{[]string{"script-src app.example:8080"}, Origin{"http", "app.example:8080"}, ""},
		{[]string{"script-src app.example:*"}, Origin{"http", "app.example:8080"}, ""},
		{[]string{"script-src *:8080"}, Origin{"http", "app.example:8080"}, ""},
		{[]string{"script-src *.example"}, own, ""},
		{[]string{"script-src *.app.example"}, own, none},
		{[]string{"script-src *.pp.example"}, own, none},
		{[]string{"script-src app.example/_push/"}, own, ""},
		{[]string{"script-src app.example/_push/shim.js"}, own, ""},
		{[]string{"script-src app.example/_push"}, own, none},
		{[]string{"script-src app.example/js/"}, own, none},
		{[]string{"script-src ''"}, own, none},
		{[]string{"script-src /"}, own, none},
		{[]string{"script-src [::1]:8080"}, Origin{"http", "[::1]:8080"}, ""},
		{[]string{"script-src [::1]"}, Origin{"http", "[::1]"}, ""},

		{[]string{"sandbox"}, own, none},
		{[]string{"sandbox allow-forms"}, own, none},
		{[]string{"sandbox allow-forms allow-scripts"}, own, ""},
		{[]string{"sandbox allow-scripts", "script-src 'none'"}, own, none},
	} {
		var lines []string
		for _, p := range c.policies {
			lines = append(lines, "Content-Security-Policy: "+p)
		}
		lines = append(lines, "Content-Security-Policy-Report-Only: script-src 'none'")
		nonce, ok := NewRule(shim).allowed(response(t, "200 OK", lines...).Fields, c.origin)
		if got := nonce; !ok && c.want != none || ok && got != c.want {
			t.Errorf("%q at %v: %q, %v; want %q", c.policies, c.origin, nonce, ok, c.want)
		}
	}
}

// The tag is ASCII, and well-formed XML, whatever it is to carry.
func TestTag(t *testing.T) {
	r := NewRule("/a&b.js", Attr{"data-x", "<\"é\n'>"})
	want := `<script src="/a&#38;b.js" data-x="&#60;&#34;&#233;&#10;'&#62;" nonce="q=="></script>`
	if got := string(r.tag(nil, "q==")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := string(r.tag([]byte("h:"), "")), `<h:script src="/a&#38;b.js" data-x="&#60;&#34;&#233;&#10;'&#62;"></h:script>`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
