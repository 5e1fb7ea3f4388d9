package client

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"testing"
)

// scripts are the files that browsers load.
func scripts() map[string]*script { return map[string]*script{"client.js": sent(), "shim.js": shim()} }

func TestScriptsAreSmall(t *testing.T) {
	for name, s := range scripts() {
		const most = 6000
		t.Logf("%s: %d bytes sent, %d compressed", name, len(s.plain), len(s.gzip))
		if len(s.gzip) >= most {
			t.Errorf("%s takes %d bytes compressed, want less than %d", name, len(s.gzip), most)
		}
		r, err := gzip.NewReader(bytes.NewReader(s.gzip))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, s.plain) {
			t.Errorf("%s unpacks to %d bytes, %v; want the %d plain ones", name, len(b), err, len(s.plain))
		}
	}
}

// A page from 2012 has a browser that stops at the first word it does not know.
func TestScriptsAreES5(t *testing.T) {
	for name, s := range scripts() {
		code := regexp.MustCompile(`'[^'\n]*'|"[^"\n]*"`).ReplaceAll(s.plain, []byte(`""`))
		code = regexp.MustCompile(`//.*`).ReplaceAll(code, nil)
		for what, newer := range map[string]string{
			"arrow function":  `=>`,
			"template string": "`",
			"declaration":     `\b(let|const|class|async|await|import|export)\b[^:]`,
			"spread":          `\.\.\.`,
			"exponent":        `\*\*`,
			"optional chain":  `\?\.[a-zA-Z(\[]|\?\?`,
			"for of":          `\bfor \(\w+ \w+ of\b`,
			"trailing comma":  `,\s*\)`,
		} {
			if at := regexp.MustCompile(newer).FindIndex(code); at != nil {
				t.Errorf("%s in %s: %.60q", what, name, code[at[0]:])
			}
		}
	}
}

func TestStripLeavesCodeAlone(t *testing.T) {
	got := string(strip([]byte("// a comment\nif (a) {\n    // of b\n    b(\"// no comment\"); // left out\n\n  c(\" // d\"); // it's kept\n}\n")))
	want := "if (a) {\nb(\"// no comment\");\nc(\" // d\"); // it's kept\n}\n"
	if _, code, _ := bytes.Cut([]byte(got), []byte("\n")); string(code) != want {
		t.Errorf("stripped to %q, want %q", code, want)
	}
}

func TestMatches(t *testing.T) {
	for field, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `"b", "a"`: true, `*`: true, `"b"`: false, ``: false, `"a-gzip"`: false,
	} {
		if got := matches([][]byte{[]byte(field)}, `"a"`); got != want {
			t.Errorf("If-None-Match: %s: %v, want %v", field, got, want)
		}
	}
}
