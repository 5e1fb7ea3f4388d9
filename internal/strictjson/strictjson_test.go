package strictjson

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// show writes a value as Members, Elements and Raw see it.
func show(v Value) string {
	switch {
	case v.IsObject():
		var b strings.Builder
		err := v.Members(func(key string, m Value) error {
			fmt.Fprintf(&b, "%s=%s@%d ", key, m.Raw(), m.offset)
			return nil
		})
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(b.String())
	case v.IsString():
		s, err := v.Text()
		return fmt.Sprintf("%q %v", s, err)
	}
	return string(v.Raw())
}

func TestSplit(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	for _, tt := range []struct{ body, split, one, object string }{
		{`{"a":1}`, "a=1@5", "a=1@5", "a=1@5"},
		{"\ufeff {\"a\": [1] }\r\n", "a=[1]@10", "a=[1]@10", "a=[1]@10"},
		{"\ufeff\ufeff{}", "line 1, offset 3: bad JSON", "line 1, offset 3: bad JSON", "line 1, offset 3: bad JSON"},
		{"[{\"a\":1},\n {\"b\":2}]", "a=1@6|b=2@16", "[{\"a\":1},\n {\"b\":2}]", "want one object"},
		{"{\"a\":1}\n{\"b\":2}", "a=1@5|b=2@13", "want one value, not 2", "want one object"},
		{`{"a":1}{"b":2}`, "offset 7: bad JSON: more than one value on a line", "more than one value", "more than one value"},
		{`{} x`, "offset 3: bad JSON: invalid character 'x'", "offset 3", "offset 3"},
		{`{"a":1,"a":1}`, `offset 11: bad JSON: key "a" for the second time`, `key "a"`, `key "a"`},
		{`{"a":1,"\u0061":1}`, `key "a" for the second time`, `key "a"`, `key "a"`},
		{`{"\ud800":1,"\ud801":2}`, `half of a character`, `half of a character`, `half of a character`},
		{`{"a":1,"A":2}`, "a=1@5 A=2@11", "a=1@5 A=2@11", "a=1@5 A=2@11"},
		{"{\"a\":\"\xff\"}", "offset 6: bad JSON: not UTF-8", "not UTF-8", "not UTF-8"},
		{`{"a":"\"[[[{"}`, `a="\"[[[{"@5`, `a="\"[[[{"@5`, `a="\"[[[{"@5`},
		{`"\\"`, `"\\" <nil>`, `"\\" <nil>`, "want one object"},
		{`{"a":1`, "offset 6: bad JSON: unexpected end", "unexpected end", "unexpected end"},
		{`null`, "null", "null", "want one object"},
		{``, "", "want one value, not 0", "want one object"},
		{deep, deep[1 : len(deep)-1], deep, "want one object"},
		{"[" + deep + "]", "offset 512: bad JSON: arrays and objects nested more than 512 deep", "more than 512", "more than 512"},
		{`01`, "bad JSON", "bad JSON", "bad JSON"},
		{`NaN`, "bad JSON", "bad JSON", "bad JSON"},
		{"{\"a\":\"\n\"}", "offset 6: bad JSON", "bad JSON", "bad JSON"},
		{`{a:1}`, "bad JSON", "bad JSON", "bad JSON"},
		{`{"a":1,}`, "bad JSON", "bad JSON", "bad JSON"},
		{`// x`, "bad JSON", "bad JSON", "bad JSON"},
	} {
		values, _, err := Split([]byte(tt.body), nil)
		var list []string
		for _, v := range values {
			list = append(list, show(v))
		}
		check := func(what, got, want string, err error) {
			t.Helper()
			if err != nil {
				if got = err.Error(); !errors.Is(err, Error) {
					t.Errorf("%s of %.60q: %v is no Error", what, tt.body, err)
				}
			}
			if !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s of %.60q: %.200s; want %.200s", what, tt.body, got, want)
			}
		}
		check("Split", strings.Join(list, "|"), tt.split, err)
		v, err := One([]byte(tt.body))
		check("One", show(v), tt.one, err)
		v, err = Object([]byte(tt.body))
		check("Object", show(v), tt.object, err)
	}
}

func TestValue(t *testing.T) {
	for _, tt := range []struct {
		text    string
		strings string // what StringOrStrings says
		number  string
		integer bool
	}{
		{`"a"`, "[a]", "wrong type", false},
		{`["a","b"]`, "[a b]", "wrong type", false},
		{`["a",1]`, "wrong type", "wrong type", false},
		{`{"a":"b"}`, "wrong type", "wrong type", false},
		{`null`, "wrong type", "wrong type", false},
		{`-12`, "wrong type", "-12", true},
		{`1.5`, "wrong type", "1.5", false},
		{`1e2`, "wrong type", "100", false},
		{`1e999`, "wrong type", "cannot unmarshal", false},
		{`"\ud83d\ude00 \\ud83d \uE000\u0ddc"`, "[😀 \\ud83d \ue000\u0ddc]", "wrong type", false},
		{`"a\ud83d"`, "half of a character", "wrong type", false},
		{`["b","\uDBFFx\uDC00"]`, "half of a character", "wrong type", false},
		{`"\ud83d\n"`, "half of a character", "wrong type", false},
		{`"\ud83d\ud83d\ude00"`, "half of a character", "wrong type", false},
		{`"\udE00\ud83d"`, "half of a character", "wrong type", false},
	} {
		v, err := One([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		list, err := v.StringOrStrings()
		if got := fmt.Sprint(list); got != tt.strings && (err == nil || !strings.Contains(err.Error(), tt.strings)) {
			t.Errorf("strings of %s: %s, %v; want %s", tt.text, got, err, tt.strings)
		}
		n, err := v.Number()
		if got := fmt.Sprint(n); got != tt.number && (err == nil || !strings.Contains(err.Error(), tt.number)) {
			t.Errorf("number of %s: %s, %v; want %s", tt.text, got, err, tt.number)
		}
		if v.IsInteger() != tt.integer {
			t.Errorf("%s: integer %v", tt.text, !tt.integer)
		}
	}
	var none Value
	if _, err := none.Elements(); err == nil || none.IsObject() || none.IsString() || none.Members(nil) == nil {
		t.Errorf("no value is one: %v", err)
	}
}
