package cache

import (
	"strings"
	"testing"
)

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
