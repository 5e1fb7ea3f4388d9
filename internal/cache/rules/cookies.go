package rules

import (
	"bytes"
	"strings"

	"holdfast/internal/http1"
)

// cookies walks over the cookies of a request, as whoever may see a cookie in it: besides the semicolon a comma separates
// them, as some containers had it, and quotes hold nothing together. So a value may be longer for the app than here; see
// isPlainCookie.
type cookies struct {
	fields []http1.Field
	line   []byte
}

// next returns another cookie; ok is false at the end.
func (c *cookies) next() (name, value []byte, ok bool) {
	for {
		for len(c.line) == 0 {
			if len(c.fields) == 0 {
				return nil, nil, false
			}
			if isCookieField(&c.fields[0]) {
				c.line = c.fields[0].Value
			}
			c.fields = c.fields[1:]
		}
		pair := c.line
		if i := bytes.IndexAny(c.line, ";,"); i >= 0 {
			pair, c.line = c.line[:i], c.line[i+1:]
		} else {
			c.line = nil
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		if name, value = http1.TrimOWS(name), http1.TrimOWS(value); len(name) > 0 {
			return name, value, true
		}
	}
}

func isCookieField(f *http1.Field) bool {
	return !f.Drop && len(f.Name) == 6 && http1.EqualFold(f.Name, "cookie")
}

// isPlainCookie reports whether a line of Cookie is read in the same way by every app: nothing in it is quoted, and no comma
// is a separator for one and part of a value for another.
func isPlainCookie(line []byte) bool { return !bytes.ContainsAny(line, "\",") }

// isCookie reports whether an app may read a cookie's name as the wanted one, of which a trailing asterisk stands for any
// ending. Letters may be of either case, as in ASP.NET; PHP makes an underscore of a dot, a space, a plus and a bracket; and old
// versions of it decode names, so that a percent sign may stand for anything.
func isCookie(wanted string, name []byte) bool {
	if bytes.IndexByte(name, '%') >= 0 {
		return true
	}
	prefix, any := strings.CutSuffix(wanted, "*")
	if len(name) < len(prefix) || len(name) > len(prefix) && !any {
		return false
	}
	for i := range len(prefix) {
		if foldCookie(name[i]) != foldCookie(prefix[i]) {
			return false
		}
	}
	return true
}

func foldCookie(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	case c == '.' || c == ' ' || c == '+' || c == '[':
		return '_'
	}
	return c
}
