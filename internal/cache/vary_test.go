package cache

import (
	"strings"
	"testing"
)

func TestParseVary(t *testing.T) {
	many := "Vary: a"
	for c := 'b'; c <= 'q'; c++ {
		many += ", " + string(c)
	}
	for _, c := range []struct{ fields, want string }{
		{"", ""},
		{"Vary:", ""},
		{"Vary: Accept", "accept"},
		{"Vary: accept ,ACCEPT\nvary: Cookie,,", "accept cookie"},
		{"Vary: b, a", "a b"},
		{"Vary: *", "always"},
		{"Vary: *, *", "always"},
		{"Vary: , *", "always"},
		{"Vary: Foo, *", "always"},
		{"Vary: *, Foo", "always"},
		{"Vary:\nVary: *", "always"},
		{"Vary: **", "**"}, // it is no *, and no request has a field of this name
		{"Vary: X-Real-IP", "always"},
		{"Vary: Forwarded", "always"},
		{"Vary: Host, X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Proto", ""},
		{"Vary: X-Forwarded-Prefix", "x-forwarded-prefix"},
		{many, "always"},
		{strings.TrimSuffix(many, ", q"), "a b c d e f g h i j k l m n o p"},

		// What apps forget.
		{"Content-Encoding: gzip", "accept-encoding"},
		{"Content-Encoding: gzip\nVary: Accept-Encoding", "accept-encoding"},
		{"Content-Encoding: identity", ""},
		{"Access-Control-Allow-Origin: https://a.example", "origin"},
		{"Access-Control-Allow-Origin: *", ""},
		{"Access-Control-Allow-Origin: null\nVary: Accept", "accept origin"},
	} {
		names, always := ParseVary(fieldsOf(t, c.fields))
		got := strings.Join(names, " ")
		if always {
			got = "always"
		}
		if got != c.want {
			t.Errorf("%s: %q; want %q", c.fields, got, c.want)
		}
	}
}

// TestVariant: which requests are the same for a response that varies, and which are not.
func TestVariant(t *testing.T) {
	h := NewHasher()
	for _, c := range []struct {
		names, a, b string
		same        bool
	}{
		{"accept", "Accept: text/html", "accept: text/html", true},
		{"accept", "Accept: text/html,  a/b", "Accept: text/html , a/b", true},
		{"accept", "Accept: text/html, a/b", "Accept: a/b, text/html", false},
		{"accept", "Accept: text/html", "Accept: Text/html", false},
		{"accept", "Accept: a/b", "", false},
		{"accept", "Accept:", "", false},
		{"accept", "X: 1", "X: 2", true},
		{"accept", `Accept: a/b;x="1 ,2"`, `Accept: a/b;x="1,2"`, false},
		{"accept", "Accept: ab, c", "Accept: a, bc", false},
		{"a b", "A: 1\nB: 2", "B: 2\nA: 1", true},
		{"a b", "A: 1\nB: 2", "A: 2\nB: 1", false},
		{"a b", "A: 1", "B: 1", false},
		{"a", "A: 1\nA: 2", "A: 1, 2", false}, // an app may take the first
		{"accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: br,gzip", true},
		{"accept-encoding", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Encoding: GZIP,deflate,zstd ,br", true},
		{"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, br", false},
		{"accept-encoding", "Accept-Encoding: gzip", "", false},
		{"accept-encoding", "Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip", false},
		{"accept-encoding", "Accept-Encoding: gzip;q=1, br;q=0.1", "Accept-Encoding: gzip;q=0.1, br;q=1", false},
		{"accept-encoding", "Accept-Encoding: gzip, exi", "Accept-Encoding: gzip", false},
		{"accept-encoding", "Accept-Encoding: *", "Accept-Encoding: gzip", false},
		{"accept-encoding", "Accept-Encoding: x-gzip", "Accept-Encoding: gzip", false},
		{"cookie", "Cookie: a=1; b=2", "Cookie: a=1; b=2", true},
		{"cookie", "Cookie: a=1; b=2", "Cookie: b=2; a=1", false},
		{"cookie", "Cookie: a=1,b", "Cookie: a=1, b", false},
	} {
		names := strings.Fields(c.names)
		same := h.variant(names, fieldsOf(t, c.a)) == h.variant(names, fieldsOf(t, c.b))
		if same != c.same {
			t.Errorf("by %s, %q and %q: the same is %v", c.names, c.a, c.b, same)
		}
	}
	names, fields := []string{"a"}, fieldsOf(t, "A: 1")
	if h.variant(nil, fields) != (Key{}) || h.variant(names, fields) == NewHasher().variant(names, fields) {
		t.Error("without fields there is a variant, or hashers with different secrets agree")
	}
}
