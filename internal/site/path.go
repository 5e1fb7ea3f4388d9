package site

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"

	"holdfast/internal/http1"
)

var errPath = errors.New("site: path that has no single meaning")

// split takes a request path apart and decodes each element, once. Empty and "." elements vanish, ".." takes one
// back. slash says that the path names a folder: it ends in a slash, or in a dot element.
//
// A path is bytes, in whatever encoding. An element may have an encoded slash or a backslash in it, which PATH_INFO
// may have too, or control bytes, as links that were pasted with the end of their line; no file has such a name (see
// isName). Refused is what two readings would take to different places: dot segments between such slashes, or in
// overlong UTF-8, bad escapes, NUL, and a path that leaves the root.
func split(path string) (elements []string, slash bool, err error) {
	if path == "" || path[0] != '/' {
		return nil, false, errPath
	}
	for raw := range strings.SplitSeq(path[1:], "/") {
		e, err := decode(raw)
		if err != nil {
			return nil, false, err
		}
		switch slash = false; e {
		case "", ".":
			slash = true
		case "..":
			if len(elements) == 0 {
				return nil, false, errPath
			}
			elements, slash = elements[:len(elements)-1], true
		default:
			if hasDotSegment(e) {
				return nil, false, errPath
			}
			elements = append(elements, e)
		}
	}
	return elements, slash, nil
}

func decode(path string) (string, error) {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return "", errPath
			}
			high, low := hexValue(path[i+1]), hexValue(path[i+2])
			if high < 0 || low < 0 {
				return "", errPath
			}
			c = byte(high<<4 | low)
			i += 2
		}
		if c == 0 {
			return "", errPath
		}
		b = append(b, c)
	}
	return string(b), nil
}

// hasDotSegment reports whether some reader finds "." or ".." in an element: one that takes encoded slashes and
// backslashes for separators, or decodes overlong UTF-8. The bytes C0 AF alone are a Korean syllable in EUC-KR.
func hasDotSegment(element string) bool {
	if strings.IndexByte(element, '.') < 0 && !http1.HasOverlong(element) {
		return false
	}
	for _, read := range [2]string{element, string(http1.AppendOverlong(nil, element))} {
		for part := range strings.FieldsFuncSeq(read, func(r rune) bool { return r == '/' || r == '\\' }) {
			if part == "." || part == ".." {
				return true
			}
		}
	}
	return false
}

// isName reports whether a file may have this name: no separator and no control byte is in it. A backslash behind a byte above 127 is
// the second byte of a character in Shift_JIS, GBK and Big5, and but on Windows a byte like others.
func isName(element string) bool {
	for i := range len(element) {
		switch c := element[i]; {
		case c == '/' || isControl(c):
			return false
		case c == '\\':
			if i == 0 || element[i-1] < 0x80 || runtime.GOOS == "windows" {
				return false
			}
		}
	}
	return true
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// encode is the path of a redirect: whatever is not plain is percent-encoded, and as the elements are
// not empty, it cannot begin with two slashes, which would name another host.
func encode(elements []string) string {
	const plain = "-._~!$&'()*+,;=:@"
	var b strings.Builder
	for _, e := range elements {
		b.WriteByte('/')
		for i := range len(e) {
			c := e[i]
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(plain, c) >= 0 {
				b.WriteByte(c)
				continue
			}
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// mayOpen says whether elements may name something that is opened at all.
func mayOpen(elements []string) bool {
	for i, e := range elements {
		if !isSafe(e) || isHidden(i, e) {
			return false
		}
	}
	return true
}

// isSafe reports whether the element may be passed to the file system.
func isSafe(e string) bool {
	return isName(e) && filepath.IsLocal(e) && (runtime.GOOS != "windows" || !strings.ContainsAny(e, ":~")) // devices, streams, short names
}

// isHidden reports whether a file of this name, as element i, is never served: its name begins with a dot, or has an
// ending that some systems ignore, so that rules for names would miss it.
func isHidden(i int, e string) bool {
	return e[0] == '.' && (i > 0 || e != ".well-known") || strings.HasSuffix(e, ".") || strings.HasSuffix(e, " ")
}

// below says whether elements are at or under a prefix, in any case of letters.
func below(elements []string, prefix []string) bool {
	if len(elements) < len(prefix) {
		return false
	}
	for i, p := range prefix {
		if !strings.EqualFold(elements[i], p) {
			return false
		}
	}
	return true
}
