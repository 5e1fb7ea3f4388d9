package cache

import (
	"slices"
	"testing"
)

func TestCanonicalURL(t *testing.T) {
	for target, want := range map[string]string{
		"/":                        "/",
		"/a/b?x=1":                 "/a/b?x=1",
		"/%61/b?x=%61":             "/a/b?x=%61",
		"/a/../b":                  "/b",
		"/a//b":                    "/a/b",
		"/a%2fb":                   "/a\x00b", // an encoded slash is no slash, and no text has this byte
		"/a;v=1/b;jsessionid=x?y":  "/a/b?y",
		"/a/;x":                    "/a/",
		"/%61/":                    "/a/",
		"/%00":                     "/%00",
		"/..":                      "/..",
		"*":                        "*",
		"/a?b?c":                   "/a?b?c",
		"/status.php;jsessionid=1": "/status.php",
	} {
		if got := canonicalURL([]byte(target)); got != want {
			t.Errorf("%s is %q; want %q", target, got, want)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for _, c := range []struct {
		https bool
		host  string
		want  string
	}{
		{false, "Example.COM", "http://example.com"},
		{false, "example.com:80", "http://example.com"},
		{false, "example.com:", "http://example.com"},
		{false, "example.com:443", "http://example.com:443"},
		{true, "example.com:443", "https://example.com"},
		{true, "example.com:80", "https://example.com:80"},
		{true, "[::1]:443", "https://[::1]"},
		{false, "[::1]", "http://[::1]"},
		{false, "", "http://"},
	} {
		if got := originOf(&Request{HTTPS: c.https, Host: []byte(c.host)}); got != c.want {
			t.Errorf("%v %s: %s; want %s", c.https, c.host, got, c.want)
		}
	}
}

// TestChanged: what the response to a request that may change something drops.
func TestChanged(t *testing.T) {
	urls := []string{"/form", "/form?x=1", "/new", "/here?a=b", "/other", "/dir/rel", "/"}
	for _, c := range []struct {
		line, fields string
		status       int
		want         []string // what is dropped
	}{
		{"POST /form", "", 200, []string{"/form"}},
		{"POST /%66orm", "", 200, []string{"/form"}},
		{"PUT /form?x=1", "", 201, []string{"/form?x=1"}},
		{"DELETE /form", "", 204, []string{"/form"}},
		{"PATCH /form", "", 200, []string{"/form"}},
		{"M-SEARCH /form", "", 200, []string{"/form"}},
		{"post /form", "", 200, []string{"/form"}}, // methods have a case, and this one is not known
		{"POST /form", "", 399, []string{"/form"}},
		{"POST /form", "", 400, nil},
		{"POST /form", "Location: /new", 500, nil},
		{"POST /form", "", 101, nil},
		{"GET /form", "Cache-Group-Invalidation: \"g\"", 200, nil},
		{"HEAD /form", "", 200, nil},
		{"OPTIONS /form", "", 200, nil},
		{"PROPFIND /form", "", 207, nil},

		{"POST /form", "Location: /new", 303, []string{"/form", "/new"}},
		{"POST /form", "Location: http://www.example.com/new", 303, []string{"/form", "/new"}},
		{"POST /form", "Location: http://WWW.example.com:80/new", 303, []string{"/form", "/new"}},
		{"POST /form", "Location: //www.example.com/new", 303, []string{"/form", "/new"}},
		{"POST /form", "Location: http://www.example.com", 303, []string{"/form", "/"}},
		{"POST /form", "Location: https://www.example.com/new", 303, []string{"/form"}},
		{"POST /form", "Location: http://www.example.com:81/new", 303, []string{"/form"}},
		{"POST /form", "Location: http://evil.example/new", 303, []string{"/form"}},
		{"POST /form", "Location: http://www.example.com@evil.example/new", 303, []string{"/form"}},
		{"POST /dir/x", "Location: rel", 303, []string{"/dir/rel"}},
		{"POST /form", "Location: ?x=1", 303, []string{"/form", "/form?x=1"}},
		{"POST /form", "Location: /new#part", 303, []string{"/form", "/new"}},
		{"POST /form", "Content-Location: /here?a=b\nLocation: /new", 201, []string{"/form", "/here?a=b", "/new"}},
		{"POST /form", "Location: http://[bad", 303, []string{"/form"}},
		{"POST /form", "Cache-Group-Invalidation: \"of /other\", \"none\"", 200, []string{"/form", "/other"}},
		{"POST /form", "Cache-Group-Invalidation: \"of /other\", none", 200, []string{"/form"}},
		{"POST /form", "Cache-Group-Invalidation: \"of /other\"", 409, nil},
	} {
		h := NewHasher()
		s := NewStore(Options{}, h)
		keys := map[string]Key{}
		for i, url := range urls {
			keys[url] = Key{byte(i)}
			q := requestOf(t, url, "")
			if turn := store(t, s, h, keys[url], q, "Cache-Control: max-age=60\nCache-Groups: \"of "+url+"\""); !turn {
				t.Fatal("not stored")
			}
		}
		n := s.Changed(requestOf(t, c.line, ""), responseOf(t, c.status, c.fields))
		var gone []string
		for _, url := range urls {
			if _, state := s.Find(keys[url], nil, start); state != Fresh {
				gone = append(gone, url)
			}
		}
		slices.Sort(gone)
		slices.Sort(c.want)
		if !slices.Equal(gone, c.want) || n != len(c.want) {
			t.Errorf("%s, %d %s: %d dropped, %q; want %q", c.line, c.status, c.fields, n, gone, c.want)
		}
	}
}
