package http1

import "testing"

func TestOverlong(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a/b": "a/b", "\xc0\xaf": "/", "x\xc0\xae\xc0\xaey": "x..y", "\xc1\x9c": `\`, "\xe0\x80\xaf": "/", "\xe0\x81\x9c": `\`,
		"\xf0\x80\x80\xaf": "/", "\xf8\x80\x80\x80\xaf": "/", "\xfc\x80\x80\x80\x80\xaf": "/", "\xc0\x80": "\x00",
		"\xc0\xcc\xbf\xeb": "\xc0\xcc\xbf\xeb", "\xc0 propos": "\xc0 propos", "\xc0": "\xc0", "\xe0\x80": "\xe0\x80", "é한": "é한", "\xe0\xa0\x80": "\xe0\xa0\x80",
		"\xe0\x82\x80": "\xe0\x82\x80",
	} {
		if got := string(AppendOverlong(nil, in)); got != want || HasOverlong(in) != (in != want) {
			t.Errorf("%q: %q, %v; want %q", in, got, HasOverlong(in), want)
		}
	}
}
