package structured

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		field string
		want  []string
		bad   bool
	}{
		{`"a"`, []string{"a"}, false},
		{` "a" , "b"` + "\t,\t" + `"c"`, []string{"a", "b", "c"}, false},
		{`"a";x;y=1;z="s";t=tok/en:1;d=-1.25;b=?0;bytes=:YQ==:;at=@1;dis=%"f%c3%bc", "b"`, []string{"a", "b"}, false},
		{`"a\"b\\c"`, []string{`a"b\c`}, false},
		{`""`, []string{""}, false},
		{``, nil, false},
		{`   `, nil, false},

		{`a`, nil, true},
		{`"a", b`, nil, true},
		{`"a", 1`, nil, true},
		{`"a", ("b" "c")`, nil, true},
		{`"a",`, nil, true},
		{`, "a"`, nil, true},
		{`"a" "b"`, nil, true},
		{`"a";`, nil, true},
		{`"a";X=1`, nil, true},
		{`"a`, nil, true},
		{`"a\`, nil, true},
		{`"a\n"`, nil, true},
		{"\"a\x7f\"", nil, true},
		{"\"ä\"", nil, true},
		{"\t\"a\"", nil, true}, // only spaces may come first
		{`'a'`, nil, true},
	} {
		got, ok := Strings([]byte(c.field))
		if ok == c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q, %v", c.field, got, ok, c.want, !c.bad)
		}
	}
}

func TestDictionary(t *testing.T) {
	for _, c := range []struct{ field, want string }{
		{`a`, "a:6:1"},
		{`a, b=?0, c=1;p`, "a:6:1 b:6:0 c:1:1"},
		{`max-age=3600, x=tok`, "max-age:1:3600 x:4:tok"},
		{`a=1, a=2`, "a:1:1 a:1:2"},
		{`a=-5, b=1.5, c="s"`, "a:1:-5 b:2 c:3:s"},
		{`a=(1 2);q, b=()`, "a:9 b:9"},
		{`*a.b_c-1=:aGk=:`, "*a.b_c-1:5"},
		{`a=@17, b=%"x"`, "a:7:17 b:8"},
		{`a=999999999999999`, "a:1:999999999999999"},
		{`a=999999999999.999`, "a:2"},
		{``, ""},

		{`a=`, "bad"},
		{`a =1`, "bad"},
		{`a= 1`, "bad"},
		{`A=1`, "bad"},
		{`a=1,`, "bad"},
		{`a=1;;b`, "bad"},
		{`a=1.`, "bad"},
		{`a=1.2345`, "bad"},
		{`a=.5`, "bad"},
		{`a=-`, "bad"},
		{`a=1000000000000000`, "bad"},
		{`a=1234567890123.1`, "bad"},
		{`a=(1`, "bad"},
		{`a=("x"2)`, "bad"},
		{`a=?2`, "bad"},
		{`a=?`, "bad"},
		{`a=:_:`, "bad"},
		{`a=:aGk=`, "bad"},
		{`a=@1.5`, "bad"},
		{`a=%"%C3"`, "bad"},
		{`a=%"x`, "bad"},
		{`a=&`, "bad"},
		{`a, &&&&&`, "bad"},
		{`1a`, "bad"},
	} {
		var got []string
		ok := Dictionary([]byte(c.field), func(key string, v Item) bool {
			text := fmt.Sprintf("%s:%d", key, v.Kind)
			switch v.Kind {
			case Integer, Boolean, Date:
				text += fmt.Sprintf(":%d", v.Number)
			case String, Token:
				text += ":" + string(v.Text)
			}
			got = append(got, text)
			return true
		})
		text := strings.Join(got, " ")
		if !ok {
			text = "bad"
		}
		if text != c.want {
			t.Errorf("%s: %s; want %s", c.field, text, c.want)
		}
	}
}

// TestDictionaryStops: a member that is not wanted makes the field void.
func TestDictionaryStops(t *testing.T) {
	n := 0
	if Dictionary([]byte("a, b, c"), func(string, Item) bool { n++; return n < 2 }) || n != 2 {
		t.Errorf("went on to member %d", n)
	}
}

// FuzzStructured: a list of strings is one again when it is written, and what is after a field that is right is not.
func FuzzStructured(f *testing.F) {
	for _, seed := range []string{
		`"a", "b";x=1`, `a=1, b="x", c=(1 2);d`, `"a\"\\"`, `a=:YQ==:, b=@1, c=%"%c3%bc", d=?1, e=-1.5`, `"a",`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		Dictionary(field, func(string, Item) bool { return true })
		list, ok := Strings(field)
		if !ok {
			return
		}
		var b []byte
		for i, s := range list {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(b, '"')
			for _, c := range []byte(s) {
				if c == '"' || c == '\\' {
					b = append(b, '\\')
				}
				b = append(b, c)
			}
			b = append(b, '"')
		}
		again, ok := Strings(b)
		if !ok || !slices.Equal(again, list) {
			t.Errorf("%q is %q, and that is %q", field, list, again)
		}
		if _, ok = Strings(append(bytes.Clone(field), ", a"...)); ok && len(list) > 0 {
			t.Errorf("%q with a token behind it is a list of strings", field)
		}
	})
}
