package headers

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
