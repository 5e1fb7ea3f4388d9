package http1

import (
	"bytes"
	"unicode/utf8"
)

// origin brings the target into origin form (RFC 9112 §3.2.1) and sets path. It runs when Host is known.
func (h *Head) origin() *Refusal {
	switch {
	case h.Target[0] == '/':
	case string(h.Target) == "*" && string(h.Method) == "OPTIONS":
	default:
		rest, ok := CutPrefixFold(h.Target, "http://")
		scheme := "http"
		if !ok {
			rest, ok = CutPrefixFold(h.Target, "https://")
			scheme = "https"
		}
		if !ok {
			return Refuse(400, "request target is neither a path nor an absolute http URL")
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority := rest[:end]
		switch {
		case h.HasHost:
			if !sameAuthority(scheme, authority, h.Host) {
				return Refuse(400, "request target and Host disagree")
			}
		case ValidHost(authority):
			h.Host = authority // RFC 9112 §3.2.2; only HTTP/1.0 gets here
		default:
			return Refuse(400, "invalid host in the request target")
		}
		if h.Target = rest[end:]; len(h.Target) == 0 || h.Target[0] == '?' {
			h.Target = append([]byte("/"), h.Target...)
		}
	}
	h.Path = h.Target
	if hidesDelimiter(h.Target) {
		return Refuse(400, "overlong UTF-8 in a request target")
	}
	if q := bytes.IndexByte(h.Target, '?'); q >= 0 {
		h.Path = h.Target[:q]
	}
	for i := 0; i < len(h.Path); i++ {
		if h.Path[i] != '%' {
			continue
		}
		if i+2 >= len(h.Path) || !IsHex(h.Path[i+1]) || !IsHex(h.Path[i+2]) {
			return Refuse(400, "percent sign in the path without two hexadecimal digits")
		}
		if h.Path[i+1] == '0' && h.Path[i+2] == '0' {
			return Refuse(400, "zero byte in the path")
		}
	}
	return nil
}

// hidesDelimiter reports whether raw bytes are such that some decoders of UTF-8 turn them into a slash, a dot or a
// backslash. In other encodings they are characters, which clients must send percent-encoded.
func hidesDelimiter(b []byte) bool {
	for i, c := range b {
		n, v := 0, rune(0)
		switch c {
		case 0xc0, 0xc1:
			n, v = 1, rune(c&1)
		case 0xe0:
			n = 2
		case 0xf0:
			n = 3
		}
		if n == 0 || i+n >= len(b) {
			continue
		}
		for _, c := range b[i+1 : i+1+n] {
			if c&0xc0 != 0x80 {
				v = utf8.MaxRune
			}
			v = v<<6 | rune(c&0x3f)
		}
		if v == '/' || v == '.' || v == '\\' {
			return true
		}
	}
	return false
}

// PathOf returns the path of a request's head, as it was sent, for the log: 200 bytes at most.
func PathOf(head []byte) string {
	_, target, _ := bytes.Cut(head, []byte(" "))
	if end := bytes.IndexAny(target, " ?\r\n"); end >= 0 {
		target = target[:end]
	}
	return string(target[:min(len(target), 200)])
}
