package http1

import "bytes"

// PathForm is one of the ways in which an app may read a path. Which one an app uses is not known, so a path must
// belong to the same route in all of them.
type PathForm uint8

const (
	stripParams  PathForm = 1 << iota // ";…" of a segment is ignored (Tomcat)
	keepEmpty                         // "//" has an empty segment in it, and is not one slash
	decodeTwice                       // %2561 is a
	encodedSlash                      // %2f separates segments, and so does a backslash in any form
	formOverlong                      // %c0%af is a slash, and "%c0%80" ends the path
	pathForms    PathForm = 1 << iota // how many there are
)

// Lenient is besides one of these forms: nothing is refused that a client can send. Control bytes are characters, but that a
// zero byte ends the path, and ".." of the root is the root.
const Lenient PathForm = 1 << 7

// literal stands for an encoded slash that does not separate.
const literalSlash byte = 0

// IsCanonical reports whether all readings of a path are the path itself, apart from a trailing slash.
func IsCanonical(path []byte) bool {
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

// Canonical appends a path as read by how: decoded, without dot segments and without a trailing slash. dots means that
// there were dot segments. ok is false for a path that is refused: with control bytes, bad escapes, or more ".." than
// segments. Bytes above 127 are characters of any encoding.
func Canonical(dst, path []byte, how PathForm) (_ []byte, dots, ok bool) {
	dst, dots, _, ok = readPath(dst, path, how)
	return dst, dots, ok
}

// PlainPath appends a path as RFC 3986 reads it: as Canonical, with the slash at its end, if it has one. An encoded slash is
// a zero byte.
func PlainPath(dst, path []byte) (_ []byte, ok bool) {
	dst, _, slash, ok := readPath(dst, path, 0)
	if slash {
		dst = append(dst, '/')
	}
	return dst, ok
}

// readPath is Canonical. slash says that the path ends in a slash, or in a dot segment, and is more than that.
func readPath(dst, path []byte, how PathForm) (_ []byte, dots, slash, ok bool) {
	path, ok = decodePath(make([]byte, 0, len(path)), path, how, false)
	if how&formOverlong != 0 {
		path = readOverlong(path)
	}
	if ok && how&decodeTwice != 0 {
		if path, ok = decodePath(make([]byte, 0, len(path)), path, how, true); how&formOverlong != 0 {
			path = readOverlong(path)
		}
	}
	if !ok || len(path) == 0 || path[0] != '/' {
		return dst, false, false, false
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
		switch slash = true; string(segment) {
		case "":
			if how&keepEmpty != 0 && rest != nil {
				dst = append(dst, '/')
			}
		case ".":
			dots = true
		case "..":
			dots = true
			if len(dst) == start && how&Lenient == 0 {
				return dst, dots, false, false
			}
			dst = dst[:start+max(bytes.LastIndexByte(dst[start:], '/'), 0)]
		default:
			dst, slash = append(append(dst, '/'), segment...), false
		}
	}
	if len(dst) == start {
		return append(dst, '/'), dots, false, true
	}
	return dst, dots, slash, true
}

// decodePath decodes percent-encoding, once. again means that it was decoded once before: then an invalid escape stays
// as it is.
func decodePath(dst, path []byte, how PathForm, again bool) ([]byte, bool) {
	for i := 0; i < len(path); i++ {
		c, escaped := path[i], false
		if c == '%' {
			switch {
			case i+2 < len(path) && IsHex(path[i+1]) && IsHex(path[i+2]):
				c, escaped = HexValue(path[i+1])<<4|HexValue(path[i+2]), true
				i += 2
			case !again:
				return dst, false
			}
		}
		switch {
		case c == literalSlash && !escaped && again:
		case c == 0 && how&Lenient != 0:
			return dst, true
		case (c < ' ' || c == 0x7f) && how&Lenient == 0:
			return dst, false
		case c == '\\' && how&encodedSlash != 0:
			c = '/'
		case c == '/' && escaped && how&encodedSlash == 0:
			c = literalSlash
		}
		dst = append(dst, c)
	}
	return dst, true
}

// HasDots reports whether a path has dot segments in some reading, or is invalid in one.
func HasDots(path []byte) bool {
	if IsCanonical(path) {
		return false
	}
	for how := range PathFormsOf(path) {
		if _, dots, ok := Canonical(nil, path, how); dots || !ok {
			return true
		}
	}
	return false
}

// PathFormsOf returns how many forms of a path must be compared.
func PathFormsOf(path []byte) PathForm {
	if mayBeOverlong(path) {
		return pathForms
	}
	return formOverlong
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
	if !HasOverlong(path) {
		return path
	}
	var read []byte
	for i := 0; i < len(path); {
		n := 1
		for i+n < len(path) && path[i+n]&0xc0 == 0x80 {
			n++
		}
		c := AppendOverlong(nil, path[i:i+n])
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
