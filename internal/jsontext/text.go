// Package jsontext appends text and values as JSON, without garbage: every message is rendered so.
package jsontext

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// AppendString appends text as a JSON string, as encoding/json does with SetEscapeHTML(false): quotation marks, backslashes
// and control characters are escaped, U+2028 and U+2029 too, which end a line in JavaScript, and what is not UTF-8
// becomes U+FFFD.
func AppendString[T string | []byte](b []byte, text T) []byte {
	b = append(b, '"')
	done := 0 // text[:done] is in b
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size, escape := 1, c
		if c >= utf8.RuneSelf {
			var r rune
			switch r, size = decode(text[i:min(i+utf8.UTFMax, len(text))]); {
			case r == '\u2028', r == '\u2029':
				escape = byte(r & 0xf)
			case r != utf8.RuneError || size > 1:
				i += size
				continue
			}
		}
		b = append(b, text[done:i]...)
		switch {
		case size > 1:
			b = append(b, `\u202`...)
			b = append(b, hex[escape])
		case c >= utf8.RuneSelf:
			b = append(b, `\ufffd`...)
		default:
			b = appendEscape(b, c)
		}
		i += size
		done = i
	}
	return append(append(b, text[done:]...), '"')
}

// decode returns the first rune of text, which has at most utf8.UTFMax bytes.
func decode[T string | []byte](text T) (rune, int) {
	var room [utf8.UTFMax]byte
	return utf8.DecodeRune(room[:copy(room[:], text)])
}

// appendEscape appends what stands for a control character, a quotation mark or a backslash.
func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

// AppendLine appends valid JSON without line ends, which would end the data of an event.
func AppendLine(b, data []byte) []byte {
	if !bytes.ContainsAny(data, "\r\n") {
		return append(b, data...)
	}
	line := bytes.NewBuffer(b)
	if json.Compact(line, data) != nil {
		return append(b, "null"...) // it was checked when it was published
	}
	return line.Bytes()
}
