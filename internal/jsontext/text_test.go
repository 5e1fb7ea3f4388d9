package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
)

// standard is what encoding/json writes.
func standard(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func TestAppendString(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `""`,
		"tick":                   `"tick"`,
		`a "b" \c`:               `"a \"b\" \\c"`,
		"\b\f\n\r\t\x00\x1f\x7f": `"\b\f\n\r\t\u0000\u001f` + "\x7f" + `"`,
		"<b>&":                   `"<b>&"`,
		"grün €😀":                `"grün €😀"`,
		"a\u2028b\u2029":         `"a\u2028b\u2029"`,
		"\xff\xe2\x80":           `"\ufffd\ufffd\ufffd"`,
		"\ufffd":                 "\"\ufffd\"",
		"end \xf0\x9f":           `"end \ufffd\ufffd"`,
	} {
		if got := string(AppendString([]byte("x"), text)); got != "x"+want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if want != standard(text) {
			t.Errorf("%q: the standard library has %s", text, standard(text))
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, text := range []string{"a", "\u2028\xe2\x80", "\"\\\x00", "\U0010ffff\xed\xa0\x80"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := standard(text)
		if got := string(AppendString(nil, text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if got := string(AppendString(nil, []byte(text))); got != want {
			t.Errorf("%q as bytes: %s, want %s", text, got, want)
		}
	})
}

// TestEveryPair compares all texts of two bytes, and those in a frame of others.
func TestEveryPair(t *testing.T) {
	for i := range 1 << 16 {
		pair := string([]byte{byte(i >> 8), byte(i)})
		for _, text := range []string{pair, "\xe2" + pair, "a\x80" + pair + "z"} {
			if got, want := string(AppendString(nil, text)), standard(text); got != want {
				t.Fatalf("%q: %s, want %s", text, got, want)
			}
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	room, text := make([]byte, 0, 64), []byte("a \"tick\" of 5 €\n")
	if n := testing.AllocsPerRun(100, func() { AppendString(room, text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
