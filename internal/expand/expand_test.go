package expand

import (
	"errors"
	"strings"
	"testing"
)

func TestAppend(t *testing.T) {
	groups := []string{"", "", "name"}
	v := &Values{Path: []byte("/a%20b&c"), Query: []byte("x=1&y"), Groups: [][]byte{[]byte("/a/b c"), []byte("a\x00b/\xff&=?#%"), []byte("\"<\r\n>")}}
	for text, want := range map[string]string{
		"": "", "/plain": "/plain", "/x$path": "/x/a%20b&c", "/x?u=$path&$query": "/x?u=/a%20b%26c&x=1&y", "$0": "/a/b%20c",
		"/$1": "/a%2Fb/%FF%26%3D%3F%23%25", "/${name}.x": "/%22%3C%0D%0A%3E.x", "/$2x": "/%22%3C%0D%0A%3Ex", "/a$$b": "/a$b", "/${path}y": "//a%20b&cy", "/$name/": "/%22%3C%0D%0A%3E/",
	} {
		text, err := Parse(text, groups)
		if err != nil {
			t.Errorf("%v: %v", text, err)
			continue
		}
		if got := string(text.Append(nil, v)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if text.Append(nil, new(Values)); strings.ContainsAny(string(text.Append(nil, v)), "\r\n") {
			t.Errorf("%q has a line", want)
		}
	}
}

func TestParse(t *testing.T) {
	for text, part := range map[string]string{
		"$": "no variable follows", "/a$": "no variable follows", "$-": "no variable follows", "${": "without its }", "${1": "without its }", "${}": "no variable follows",
		"$3": "has 2 groups", "$other": "no variable", "$uri": "want $path", "$is_args$args": "the query is kept", "$pathx": "no variable",
	} {
		if _, err := Parse(text, []string{"", "", "name"}); !errors.Is(err, ErrText) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v; want %q", text, err, part)
		}
	}
	if _, err := Parse("/$1", nil); err == nil || !strings.Contains(err.Error(), "no pattern") {
		t.Error(err)
	}
	text, _ := Parse("/a$$b?c", nil)
	if s, ok := text.Plain(); !ok || s != "/a$b?c" {
		t.Error(s, ok)
	}
	text, _ = Parse("/a$path", nil)
	if _, ok := text.Plain(); ok || text.Start() != "/a" {
		t.Error("a text with a variable is plain")
	}
}

// FuzzAppend: what groups have in them is in a URL as a part of a path or of a value.
func FuzzAppend(f *testing.F) {
	f.Add("/x$1?y=$1", "a/b")
	f.Fuzz(func(t *testing.T, text, group string) {
		parsed, err := Parse(text, []string{"", ""})
		if err != nil {
			return
		}
		with := parsed.Append(nil, &Values{Groups: [][]byte{[]byte(group), []byte(group)}})
		without := parsed.Append(nil, &Values{})
		for _, c := range []string{"?", "#", "&", "=", "\r", "\n", " ", "\x00", "\""} {
			if strings.Count(string(with), c) != strings.Count(string(without), c) {
				t.Fatalf("%q with %q: %q", text, group, with)
			}
		}
	})
}
