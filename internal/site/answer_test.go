package site

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStatic asks for a file of ten bytes.
func TestStatic(t *testing.T) {
	root := newTree(t, map[string]string{"a.txt": "0123456789", "empty.css": "", "docs/index.html": "x"})
	s := newSite(t, Options{Root: root})
	const date, before, after = "Thu, 29 Feb 2024 12:34:56 GMT", "Thu, 29 Feb 2024 12:34:55 GMT", "Thu, 29 Feb 2024 12:34:57 GMT"
	tag := fmt.Sprintf(`"%x-a"`, modified.UnixNano())
	validators := "ETag: " + tag + "\r\nLast-Modified: " + date + "\r\n"
	kind := "Accept-Ranges: bytes\r\nContent-Type: text/plain\r\n"
	whole := "200\r\n" + validators + kind + "Content-Length: 10\r\n\r\n0123456789"
	part := func(first, last int) string {
		return fmt.Sprintf("206\r\n%sContent-Range: bytes %d-%d/10\r\n%sContent-Length: %d\r\n\r\n%s", validators, first, last, kind, last-first+1,
			"0123456789"[first:last+1])
	}
	const not = "416\r\nContent-Range: bytes */10\r\n\r\n"
	same := "304\r\n" + validators + "\r\n"
	const failed = "412\r\n\r\n"
	tests := []struct{ request, want string }{ // "method path", then fields
		{"GET /a.txt", whole},
		{"HEAD /a.txt", strings.TrimSuffix(whole, "0123456789")},
		{"HEAD /a.txt|Range: bytes=0-1", strings.TrimSuffix(whole, "0123456789")},
		{"POST /a.txt", "405\r\nAllow: GET, HEAD\r\n\r\n"},
		{"OPTIONS /a.txt", "405\r\nAllow: GET, HEAD\r\n\r\n"},
		{"get /a.txt", "405\r\nAllow: GET, HEAD\r\n\r\n"},
		{"POST /none.txt", "404\r\n\r\n"},
		{"GET /empty.css", "200\r\n" + strings.Replace(validators, "-a\"", "-0\"", 1) + "Accept-Ranges: bytes\r\nContent-Type: text/css\r\nContent-Length: 0\r\n\r\n"},

		{"GET /a.txt|Range: bytes=0-0", part(0, 0)},
		{"GET /a.txt|range: BYTES=2-5", part(2, 5)},
		{"GET /a.txt|Range: bytes=5-", part(5, 9)},
		{"GET /a.txt|Range: bytes=-3", part(7, 9)},
		{"GET /a.txt|Range: bytes=-99", part(0, 9)},
		{"GET /a.txt|Range: bytes=0-99", part(0, 9)},
		{"GET /a.txt|Range: bytes=9-99999999999999999999999999", part(9, 9)},
		{"GET /a.txt|Range: bytes=10-", not},
		{"GET /a.txt|Range: bytes=99999999999999999999999999-", not},
		{"GET /a.txt|Range: bytes=-0", not},
		{"GET /a.txt|Range: bytes=5-2", whole},
		{"GET /a.txt|Range: bytes=a-b", whole},
		{"GET /a.txt|Range: bytes=-", whole},
		{"GET /a.txt|Range: bytes=", whole},
		{"GET /a.txt|Range: bytes=5", whole},
		{"GET /a.txt|Range: bytes=+1-2", whole},
		{"GET /a.txt|Range: bytes=1--2", whole},
		{"GET /a.txt|Range: lines=1-2", whole},
		{"GET /a.txt|Range: bytes", whole},
		{"GET /a.txt|Range: bytes=0-1,5-6", whole},
		{"GET /a.txt|Range: bytes=0-1|Range: bytes=2-3", whole},
		{"GET /empty.css|Range: bytes=0-", "416\r\nContent-Range: bytes */0\r\n\r\n"},

		{"GET /a.txt|Range: bytes=0-1|If-Range: " + tag, part(0, 1)},
		{"GET /a.txt|Range: bytes=0-1|If-Range: " + date, part(0, 1)},
		{"GET /a.txt|Range: bytes=0-1|If-Range: \"other\"", whole},
		{"GET /a.txt|Range: bytes=0-1|If-Range: W/" + tag, whole},
		{"GET /a.txt|Range: bytes=0-1|If-Range: " + after, whole},
		{"GET /a.txt|Range: bytes=0-1|If-Range: rubbish", whole},
		{"GET /a.txt|Range: bytes=0-1|If-Range: " + tag + "|If-Range: " + tag, whole},
		{"GET /a.txt|Range: bytes=99-|If-Range: \"other\"", whole},

		{"GET /a.txt|If-None-Match: " + tag, same},
		{"HEAD /a.txt|If-None-Match: W/" + tag, same},
		{"GET /a.txt|If-None-Match: \"x,y\" , " + tag, same},
		{"GET /a.txt|If-None-Match: \"x\"|If-None-Match: " + tag, same},
		{"GET /a.txt|If-None-Match: *", same},
		{"GET /a.txt|If-None-Match: \"x\"", whole},
		{"GET /a.txt|If-None-Match: " + strings.Trim(tag, `"`), whole},
		{"GET /a.txt|If-None-Match: \"x\" " + tag, whole},
		{"GET /a.txt|If-None-Match: \"x", whole},
		{"GET /a.txt|If-None-Match: \"x\"|If-Modified-Since: " + after, whole},
		{"GET /a.txt|If-None-Match: " + tag + "|If-Modified-Since: " + before, same},
		{"GET /a.txt|If-None-Match: " + tag + "|Range: bytes=0-1", same},
		{"GET /a.txt|If-Modified-Since: " + date, same},
		{"GET /a.txt|If-Modified-Since: " + after, same},
		{"GET /a.txt|If-Modified-Since: " + before, whole},
		{"GET /a.txt|If-Modified-Since: Thursday, 29-Feb-24 12:34:56 GMT", same},
		{"GET /a.txt|If-Modified-Since: Thu Feb 29 12:34:56 2024", same},
		{"GET /a.txt|If-Modified-Since: rubbish", whole},
		{"GET /a.txt|If-Modified-Since: " + date + "|If-Modified-Since: " + date, whole},

		{"GET /a.txt|If-Match: " + tag, whole},
		{"GET /a.txt|If-Match: \"x\", " + tag, whole},
		{"GET /a.txt|If-Match: *", whole},
		{"GET /a.txt|If-Match: \"x\"", failed},
		{"GET /a.txt|If-Match: W/" + tag, failed},
		{"GET /a.txt|If-Match:", failed},
		{"GET /a.txt|If-Match: " + tag + "|If-Unmodified-Since: " + before, whole},
		{"GET /a.txt|If-Match: " + tag + "|If-None-Match: " + tag, same},
		{"GET /a.txt|If-Unmodified-Since: " + date, whole},
		{"GET /a.txt|If-Unmodified-Since: " + before, failed},
		{"GET /a.txt|If-Unmodified-Since: rubbish", whole},
		{"GET /a.txt|If-Unmodified-Since: " + date + "|If-Modified-Since: " + date, same},

		{"GET /docs", "301\r\nLocation: /docs/\r\n\r\n"},
		{"POST /docs", "308\r\nLocation: /docs/\r\n\r\n"},
	}
	for _, test := range tests {
		lines := strings.Split(test.request, "|")
		r := new(Request)
		r.Method, r.Path, _ = strings.Cut(lines[0], " ")
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ":")
			r.Field([]byte(name), []byte(strings.TrimSpace(value)))
		}
		a, err := s.Serve(r)
		if err != nil {
			t.Fatalf("%s: %v", test.request, err)
		}
		if got := fmt.Sprintf("%d\r\n%s\r\n%s", a.Status, a.Head, body(t, &a)); got != test.want {
			t.Errorf("%s:\n%q, want\n%q", test.request, got, test.want)
		}
		if a.File != nil {
			a.File.Close()
		}
	}
}

func TestRedirectWithHostileQuery(t *testing.T) {
	s := newSite(t, Options{Root: newTree(t, map[string]string{"docs/index.html": "x", "a\"<é>/index.html": "y", "@evil.test/index.html": "z"})})
	for in, want := range map[[2]string]string{
		{"/docs", "a\r\nSet-Cookie: x"}: "400 ",
		{"/docs", "a b"}:                "400 ",
		{"/docs", "a?b/../c"}:           "301 Location: /docs/?a?b/../c\r\n",
		{"/a%22%3C%C3%A9%3E", ""}:       "301 Location: /a%22%3C%C3%A9%3E/\r\n",
		{"//@evil.test", ""}:            "301 Location: /@evil.test/\r\n",
		{"//evil.test/../docs", ""}:     "301 Location: /docs/\r\n",
	} {
		a, err := s.Serve(&Request{Method: "GET", Path: in[0], Query: in[1]})
		if got := fmt.Sprintf("%d %s", a.Status, a.Head); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestTypes(t *testing.T) {
	own := newSite(t, Options{Root: t.TempDir(), Types: []string{"image/x-pcx pcx PCC", "text/x-own .md;", "x/y holdfast"}})
	for name, want := range map[string]string{
		"a.html": "text/html", "a.HTML": "text/html", "a.min.js": "text/javascript", "a.svg": "image/svg+xml", "a.woff2": "font/woff2",
		"a.svgz": "image/svg+xml", "a.jnlp": "application/x-java-jnlp-file", "a.KML": "application/vnd.google-earth.kml+xml", "a.crt": "application/x-x509-ca-cert", "a.3gp": "video/3gpp",
		"a.pcx": "image/x-pcx", "a.md": "text/x-own", "a.holdfast": "x/y",
		"html": unknownType, "a.": unknownType, "a.html.none": unknownType, "a": unknownType,
	} {
		if got := own.contentType(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	rules, err := newFileRules(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for ending, kind := range types {
		if _, hidden := rules.hides("x." + ending); hidden || ending != strings.ToLower(ending) || !strings.Contains(kind, "/") || strings.ContainsAny(kind, " \r\n") {
			t.Errorf("%s: %q", ending, kind)
		}
	}
	s := newSite(t, Options{Root: newTree(t, map[string]string{"a.bin": "x", "a.txt": "-> a.bin"})})
	for path, want := range map[string]bool{"/a.bin": true, "/a.txt": false} { // the name that was asked for counts
		a, err := s.Serve(&Request{Method: "HEAD", Path: path})
		if got := strings.Contains(string(a.Head), "\r\nX-Content-Type-Options: nosniff\r\n"); err != nil || got != want {
			t.Errorf("%s: %q, %v", path, a.Head, err)
		}
	}
}

func TestParseTypes(t *testing.T) {
	got := parseTypes("# a list\ntypes {\n\ttext/a  a aa;\ntext/b\n text/c c # d\ntext/d a e\nnone x\na b/c d\ntext/x; x\n}\n")
	if want := map[string]string{"a": "text/a", "aa": "text/a", "c": "text/c", "e": "text/d"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestDates has the times for which there is no Last-Modified.
func TestDates(t *testing.T) {
	root := newTree(t, map[string]string{"a.txt": "x"})
	s := newSite(t, Options{Root: root})
	for when, want := range map[time.Time]bool{
		time.Now().Add(48 * time.Hour): false, time.Unix(0, 0): false, time.Unix(-5, 0): false, time.Unix(1, 0): true,
	} {
		if err := os.Chtimes(filepath.Join(root, "a.txt"), when, when); err != nil {
			t.Fatal(err)
		}
		r := &Request{Method: "HEAD", Path: "/a.txt"}
		r.Field([]byte("If-Unmodified-Since"), []byte("Thu, 01 Jan 1960 00:00:00 GMT"))
		a, err := s.Serve(r)
		if got := a.Status == 412; err != nil || got != want {
			t.Errorf("%v: %d %q, %v", when, a.Status, a.Head, err)
		}
		r = &Request{Method: "HEAD", Path: "/a.txt"}
		a, err = s.Serve(r)
		if got := strings.Contains(string(a.Head), "Last-Modified"); err != nil || got != want || !strings.Contains(string(a.Head), "ETag: \"") {
			t.Errorf("%v: %q, %v", when, a.Head, err)
		}
	}
}

// TestForbidden looks at what the system does not let the process read.
func TestForbidden(t *testing.T) {
	tests := []struct {
		t    target
		err  error
		want int
	}{
		{target{}, &fs.PathError{Err: syscall.EACCES}, 403},
		{target{}, &fs.PathError{Err: syscall.EIO}, 0},
		{target{}, nil, 404},
		{hidden, nil, 404},
	}
	for _, test := range tests {
		got, err := settle(test.t, test.err)
		if got.status != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%v: %d, %v, want %d", test.err, got.status, err, test.want)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	s := newSite(b, Options{Root: newTree(b, map[string]string{"a/b/c/d.css": "x"})})
	r := &Request{Method: "GET", Path: "/a/b/c/d.css"}
	b.ReportAllocs()
	for b.Loop() {
		a, err := s.Serve(r)
		if err != nil || a.File == nil {
			b.Fatal(a, err)
		}
		a.File.Close()
	}
}

// TestLifetime: how long a file may be used is said wherever there is one, and nowhere else.
func TestLifetime(t *testing.T) {
	for _, tt := range []struct {
		age    time.Duration
		status int
		want   string
	}{
		{0, 200, ""},
		{30 * 24 * time.Hour, 200, "Cache-Control: max-age=2592000\r\nExpires: Wed, 31 Jan 2024 12:00:00 GMT\r\n"},
		{time.Minute, 206, "Cache-Control: max-age=60\r\nExpires: Mon, 01 Jan 2024 12:01:00 GMT\r\n"},
		{time.Minute, 304, "Cache-Control: max-age=60\r\nExpires: Mon, 01 Jan 2024 12:01:00 GMT\r\n"},
		{time.Minute, 416, ""}, {time.Minute, 412, ""},
		{-1, 200, "Cache-Control: no-cache\r\n"}, {-1, 304, "Cache-Control: no-cache\r\n"},
	} {
		s := newSite(t, Options{Root: "/srv", MaxAge: tt.age})
		if got := string(s.appendLifetime(nil, tt.status, time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))); got != tt.want {
			t.Errorf("%v, %d: %q; want %q", tt.age, tt.status, got, tt.want)
		}
	}
}
