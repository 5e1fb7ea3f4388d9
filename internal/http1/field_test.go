package http1

import "testing"

func TestBytes(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		digit := b >= '0' && b <= '9'
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		hex := digit || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
		if IsDigit(b) != digit || IsHex(b) != hex || IsDashed[b] != (digit || letter || b == '-') {
			t.Errorf("%q: digit %v, hex %v, dashed %v", b, IsDigit(b), IsHex(b), IsDashed[b])
		}
		if IsToken[b] && (b <= ' ' || b >= 0x7f || b == ':' || b == '"' || b == ',') || (digit || letter || b == '_') && !IsToken[b] {
			t.Errorf("%q: token %v", b, IsToken[b])
		}
	}
}

func TestFieldFunctions(t *testing.T) {
	if got := TrimOWS([]byte(" \t a b\t ")); string(got) != "a b" {
		t.Errorf("TrimOWS: %q", got)
	}
	if !EqualFold([]byte("hOsT"), "host") || EqualFold([]byte("hosts"), "host") || EqualFold([]byte("ho\x13t"), "ho3t") || !EqualFold([]byte("a.Test"), "A.tesT") || EqualFold([]byte("@[`{"), "`{@[") || EqualFold([]byte("\xc5"), "\xe5") {
		t.Error("EqualFold")
	}
	if rest, ok := CutPrefixFold([]byte("HTTP://x"), "http://"); !ok || string(rest) != "x" {
		t.Errorf("CutPrefixFold: %q %v", rest, ok)
	}
	for in, want := range map[string]int64{"0": 0, "007": 7, "999999999999999999": 999999999999999999, "": -1, "+1": -1, "-1": -1, "1 ": -1, "1,1": -1, "1e3": -1, "1000000000000000000": -1} {
		if n, ok := ParseLength([]byte(in)); ok != (want >= 0) || ok && n != want {
			t.Errorf("ParseLength(%q) = %d, %v; want %d", in, n, ok, want)
		}
	}
}

func TestAppendOnce(t *testing.T) {
	for head, want := range map[string]string{
		"":                                     "A-B: c\r\n",
		"HTTP/1.1 200 OK\r\nA: a-b: c\r\n":     "HTTP/1.1 200 OK\r\nA: a-b: c\r\nA-B: c\r\n",
		"HTTP/1.1 200 OK\r\na-b:d\r\nB: c\r\n": "HTTP/1.1 200 OK\r\na-b:d\r\nB: c\r\n",
	} {
		if got := string(AppendOnce([]byte(head), "A-B", "c")); got != want {
			t.Errorf("%q: %q", head, got)
		}
	}
}
