package proxy

import (
	"bytes"

	"holdfast/internal/http1"
)

// reading is one of the ways in which an app may understand a path. Which one it is cannot be known, so a path
// has to mean the same route in all of them.
type reading uint8

const (
	stripParams  reading = 1 << iota // ";…" of a segment does not count (Tomcat)
	keepEmpty                        // "//" has an empty segment in it, and is not one slash
	decodeTwice                      // %2561 is a
	encodedSlash                     // %2f separates segments, and so does a backslash in any form
	overlong                         // %c0%af is a slash, and "%c0%80" ends the path
	readings     = 1 << iota
)

// literal stands for an encoded slash that does not separate.
const literal byte = 0

// isPlain reports whether all readings of a path are the path itself, but for a slash at its end.
func isPlain(path []byte) bool {
	for i, c := range path {
		switch {
		case c == '%' || c == ';' || c == '\\' || c < ' ' || c >= 0x7f:
			return false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			return false
		}
	}
	return len(path) > 0 && path[0] == '/'
}

// canonical appends a path as it is read: decoded, without dot segments and without a slash at its end. dots
// says that there were dot segments. It reports false for a path that nobody should have to read: with control
// bytes, bad escapes, or more ".." than segments. Bytes above 127 are characters of whatever encoding.
func canonical(dst, path []byte, how reading) (_ []byte, dots, ok bool) {
	path, ok = decodePath(make([]byte, 0, len(path)), path, how, false)
	if how&overlong != 0 {
		path = readOverlong(path)
	}
	if ok && how&decodeTwice != 0 {
		if path, ok = decodePath(make([]byte, 0, len(path)), path, how, true); how&overlong != 0 {
			path = readOverlong(path)
		}
	}
	if !ok || len(path) == 0 || path[0] != '/' {
		return dst, false, false
	}
	start := len(dst)
	for rest := path[1:]; rest != nil; {
		segment := rest
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			segment, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if how&stripParams != 0 {
			segment, _, _ = bytes.Cut(segment, []byte(";"))
		}
		switch string(segment) {
		case "":
			if how&keepEmpty != 0 && rest != nil {
				dst = append(dst, '/')
			}
		case ".":
			dots = true
		case "..":
			dots = true
			if len(dst) == start {
				return dst, dots, false
			}
			dst = dst[:start+bytes.LastIndexByte(dst[start:], '/')]
		default:
			dst = append(append(dst, '/'), segment...)
		}
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst, dots, true
}

// decodePath decodes percent-encoding, once. again says that it was decoded before: then what is no escape is
// what it is.
func decodePath(dst, path []byte, how reading, again bool) ([]byte, bool) {
	for i := 0; i < len(path); i++ {
		c, escaped := path[i], false
		if c == '%' {
			switch {
			case i+2 < len(path) && http1.IsHex(path[i+1]) && http1.IsHex(path[i+2]):
				c, escaped = http1.HexValue(path[i+1])<<4|http1.HexValue(path[i+2]), true
				i += 2
			case !again:
				return dst, false
			}
		}
		switch {
		case c == literal && !escaped && again:
		case c < ' ' || c == 0x7f:
			return dst, false
		case c == '\\' && how&encodedSlash != 0:
			c = '/'
		case c == '/' && escaped && how&encodedSlash == 0:
			c = literal
		}
		dst = append(dst, c)
	}
	return dst, true
}

// hasDots reports whether a path has dot segments in some reading, or none at all.
func hasDots(path []byte) bool {
	if isPlain(path) {
		return false
	}
	for how := range readings {
		if _, dots, ok := canonical(nil, path, reading(how)); dots || !ok {
			return true
		}
	}
	return false
}

// mayBeOverlong reports whether a path may have overlong UTF-8 in it, raw or in escapes of any depth.
func mayBeOverlong(path []byte) bool {
	for i, c := range path {
		if c >= 0xc0 || c|0x20 >= 'c' && c|0x20 <= 'f' && i > 0 && path[i-1] == '%' {
			return true
		}
	}
	return bytes.Contains(path, []byte("%25"))
}

// readOverlong decodes overlong UTF-8. In Korean, Japanese and Chinese encodings the same bytes are characters, and
// so this is only one of the readings. A zero byte ends the path, as it does in C.
func readOverlong(path []byte) []byte {
	if !http1.HasOverlong(path) {
		return path
	}
	var read []byte
	for i := 0; i < len(path); {
		n := 1
		for i+n < len(path) && path[i+n]&0xc0 == 0x80 {
			n++
		}
		c := http1.AppendOverlong(nil, path[i:i+n])
		switch {
		case path[i] < 0x80 || c[0] >= 0x80:
		case c[0] == 0:
			return read
		case c[0] == '\\':
			c[0] = '/'
		}
		read = append(read, c...)
		i += n
	}
	return read
}
