package inject

import (
	"bytes"

	"holdfast/internal/http1"
)

// inTag is where in a start tag's attributes a parser of HTML is (HTML §13.2.5.32 and on). A parser of XML reads
// well-formed tags alike.
type inTag uint8

const (
	beforeName inTag = iota
	inAttrName
	afterName
	beforeValue
	inDouble
	inSingle
	inUnquoted
)

// step takes the next byte and reports whether it ends the tag.
func (t *inTag) step(c byte) bool {
	switch at := *t; {
	case at == inDouble:
		if c == '"' {
			*t = beforeName
		}
		return false
	case at == inSingle:
		if c == '\'' {
			*t = beforeName
		}
		return false
	case c == '>':
		return true
	case at == beforeValue && isSpace(c):
	case at == beforeValue && c == '"':
		*t = inDouble
	case at == beforeValue && c == '\'':
		*t = inSingle
	case at == beforeValue:
		*t = inUnquoted
	case at == inUnquoted:
		if isSpace(c) {
			*t = beforeName
		}
	case c == '/':
		*t = beforeName
	case isSpace(c):
		if at == inAttrName {
			*t = afterName
		}
	case c == '=' && at != beforeName:
		*t = beforeValue
	default:
		*t = inAttrName
	}
	return false
}

// attributeOf returns the value of an attribute of a complete start tag, as it is written. The first of a name counts.
func attributeOf(tag []byte, name string) (value []byte, ok bool) {
	end := bytes.IndexAny(tag, " \n\t\r\f/>")
	for rest := tag[end:]; ; {
		var found []byte
		if found, value, rest = cutAttribute(rest); len(found) == 0 {
			return nil, false
		}
		if http1.EqualFold(found, name) {
			return value, true
		}
	}
}

// cutAttribute cuts off the first attribute of what is left of a complete start tag. The name is empty if there is none.
func cutAttribute(p []byte) (name, value, rest []byte) {
	for isSpace(p[0]) || p[0] == '/' {
		p = p[1:]
	}
	n := 0
	for !isSpace(p[n]) && p[n] != '/' && p[n] != '>' && (p[n] != '=' || n == 0) {
		n++
	}
	name, p = p[:n], trimSpace(p[n:])
	if p[0] != '=' {
		return name, nil, p
	}
	switch p = trimSpace(p[1:]); p[0] {
	case '>':
		return name, nil, p
	case '"', '\'':
		n = bytes.IndexByte(p[1:], p[0]) // it is there: the tag ends behind it
		return name, p[1 : n+1], p[n+2:]
	}
	n = bytes.IndexAny(p, " \n\t\r\f>")
	return name, p[:n], p[n:]
}

func trimSpace(p []byte) []byte { return bytes.TrimLeft(p, " \n\t\r\f") }

// leads reports whether a <meta> may stand before the tag: it is no policy or refresh, and it may have to come first.
func leads(tag []byte) bool {
	equiv, ok := attributeOf(tag, "http-equiv")
	if !ok {
		return true
	}
	for _, name := range []string{
		"content-type", "x-ua-compatible", "content-language", "content-style-type", "content-script-type", "imagetoolbar",
		"cache-control", "pragma", "expires",
	} {
		if http1.EqualFold(bytes.TrimSpace(equiv), name) {
			return true
		}
	}
	return false
}
