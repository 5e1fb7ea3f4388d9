package strictjson

import (
	"errors"
	"strings"
	"testing"
)

// TestPointer has the examples of RFC 6901 §5 and what names nothing.
func TestPointer(t *testing.T) {
	const body = ` {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
"~1": 9, "deep": {"x": [[], {"y": null}]}, "0": "zero"}`
	v, err := One([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{
		"": strings.TrimSpace(body), "/foo": `["bar", "baz"]`, "/foo/0": `"bar"`, "/": "0", "/a~1b": "1", "/c%d": "2", "/e^f": "3",
		"/g|h": "4", `/i\j`: "5", `/k"l`: "6", "/ ": "7", "/m~0n": "8", "/~01": "9", "/deep/x/1/y": "null", "/0": `"zero"`,
		"/foo/2": "", "/foo/-": "", "/foo/00": "", "/foo/-1": "", "/foo/1e0": "", "/foo/bar": "", "/foo/99999999999999999999": "",
		"/none": "", "/foo/0/0": "", "/deep/x/1/y/z": "", "/Foo": "",
	} {
		p, err := ParsePointer(pointer)
		if err != nil {
			t.Errorf("%s: %v", pointer, err)
			continue
		}
		got, err := p.Find(v)
		if string(got.Raw()) != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, Error) {
			t.Errorf("%s: %q, %v; want %q", pointer, got.Raw(), err, want)
		}
	}
	for _, bad := range []string{"foo", "#/foo", "/~", "/~2", "/a~b", "/~~0"} {
		if _, err := ParsePointer(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	twice, err := One([]byte(`{"a": {"b": 1, "b": 2}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (Pointer{[]string{"a", "b"}}).Find(twice); err == nil {
		t.Errorf("a key that comes twice has %q", got.Raw())
	}
}
