package http1

import "bytes"

// Field is one header field. Name and Value point into the bytes that were parsed.
type Field struct {
	Name, Value []byte
	Drop        bool // it is not forwarded
}

// ParseField parses a line that is not folded. fault says what is wrong with it; it is empty for a valid line.
func ParseField(line []byte) (f Field, fault string) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return f, "header field without a name"
	}
	f = Field{Name: line[:colon], Value: TrimOWS(line[colon+1:])}
	for _, c := range f.Name {
		if !IsToken[c] {
			return f, "invalid byte in a header field's name"
		}
	}
	for _, c := range f.Value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return f, "control byte in a header field"
		}
	}
	return f, ""
}

// HasOddName reports whether a field's name is no token, but has no white space or control byte, so that no parser can
// read it as another name. Such a line can be dropped.
func HasOddName(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte(":"))
	odd := false
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return false
		}
		odd = odd || !IsToken[c]
	}
	return ok && odd
}

// isOnly reports whether a list has this token and no other.
func isOnly(list []byte, token string) bool {
	found := false
	for t := range bytes.SplitSeq(list, []byte(",")) {
		if t = TrimOWS(t); len(t) > 0 && !EqualFold(t, token) {
			return false
		}
		found = found || len(t) > 0
	}
	return found
}

// CloneFields returns the fields that are sent on, with bytes of their own.
func CloneFields(fields []Field) []Field {
	n, kept := 0, make([]Field, 0, len(fields))
	for _, f := range fields {
		if !f.Drop {
			kept, n = append(kept, f), n+len(f.Name)+len(f.Value)
		}
	}
	b := make([]byte, 0, n)
	for i := range kept {
		f := &kept[i]
		begin, end := len(b), len(b)+len(f.Name)
		b = append(append(b, f.Name...), f.Value...)
		f.Name, f.Value = b[begin:end:end], b[end:len(b):len(b)]
	}
	return kept
}

// AppendField adds a field's line.
func AppendField(b, name, value []byte) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// AppendOnce is AppendField, unless the head that b is so far has a field of that name.
func AppendOnce(b []byte, name, value string) []byte {
	for line := range bytes.Lines(b) {
		if field, _, ok := bytes.Cut(line, []byte(":")); ok && EqualFold(field, name) {
			return b
		}
	}
	return AppendField(b, []byte(name), []byte(value))
}

// IsToken marks the bytes of a token (RFC 9110 §5.6.2).
var IsToken = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

// IsDashed marks letters, digits and the dash: names of these are the same name for every app.
var IsDashed = func() (t [256]bool) {
	for _, c := range "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

// IsDigit and IsHex are about ASCII only.
func IsDigit(c byte) bool { return c >= '0' && c <= '9' }

func IsHex(c byte) bool { return IsDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// TrimOWS removes optional white space (RFC 9110 §5.6.3).
func TrimOWS(b []byte) []byte {
	b = trimLeftOWS(b)
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func trimLeftOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// EqualFold reports whether b is the word, if ASCII letters are compared without case.
func EqualFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c != word[i] && lower(c) != lower(word[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// CutPrefixFold cuts a prefix off b, compared as by EqualFold.
func CutPrefixFold(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || !EqualFold(b[:len(prefix)], prefix) {
		return b, false
	}
	return b[len(prefix):], true
}

// HasToken reports whether a list has a token, in any case. Parameters after it are ignored.
func HasToken(list []byte, token string) bool {
	for element := range bytes.SplitSeq(list, []byte(",")) {
		name, _, _ := bytes.Cut(element, []byte(";"))
		if len(token) > 0 && EqualFold(TrimOWS(name), token) {
			return true
		}
	}
	return false
}

// ParseLength parses a Content-Length: digits only (RFC 9110 §8.6), below 10^18.
func ParseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if !IsDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// AppendValues appends the values of the fields of a name that are not dropped.
func AppendValues(list [][]byte, fields []Field, name string) [][]byte {
	for i := range fields {
		if f := &fields[i]; !f.Drop && EqualFold(f.Name, name) {
			list = append(list, f.Value)
		}
	}
	return list
}
