package http1

import (
	"bytes"
	"fmt"
)

// preservedNames are the fields of an app's response that are kept after an X-Accel-Redirect, as with nginx.
var preservedNames = [...]string{"content-type", "content-disposition", "set-cookie", "cache-control", "expires", "accept-ranges"}

// PreservedHeaders are the fields that are kept of a response with X-Accel-Redirect.
type PreservedHeaders struct {
	lines []byte // fields, each with its CRLF
	names uint8  // a bit for each of preservedNames that is in lines
}

// With returns h, which may be nil, with the fields of the app's response that are kept.
func (h *PreservedHeaders) With(a *Answer) *PreservedHeaders {
	if h == nil {
		h = new(PreservedHeaders)
	}
	for i := range a.Fields {
		f := &a.Fields[i]
		for j, name := range preservedNames {
			if !f.Drop && EqualFold(f.Name, name) {
				h.lines, h.names = AppendField(h.lines, f.Name, f.Value), h.names|1<<j
			}
		}
	}
	return h
}

// has reports whether a field of this name is kept, and replaces that of the other response. Cookies are added to it.
func (h *PreservedHeaders) has(name []byte) bool {
	for i, n := range preservedNames {
		if h.names&(1<<i) != 0 && EqualFold(name, n) && n != "set-cookie" {
			return true
		}
	}
	return false
}

// Merge puts the kept fields into another response, and drops those that they replace.
func (h *PreservedHeaders) Merge(a *Answer) {
	if h == nil {
		return
	}
	for i := range a.Fields {
		if h.has(a.Fields[i].Name) {
			a.Fields[i].Drop = true
		}
	}
	for line := range bytes.Lines(h.lines) {
		f, _ := ParseField(bytes.TrimRight(line, "\r\n")) // it was parsed before
		a.Fields = append(a.Fields, f)
	}
}

// ofBody are fields about a request's body, and for its connection.
var ofBody = NewNameSet("content-length", "content-type", "content-encoding", "transfer-encoding", "expect", "upgrade")

// RedirectedHead returns a request's head for another path, with its conditions and without a body. The method is GET
// or HEAD.
func RedirectedHead(head, target []byte, isHead bool) []byte {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	version := line[bytes.LastIndexByte(line, ' '):]
	b := []byte("GET ")
	if isHead {
		b = []byte("HEAD ")
	}
	for i, c := range target { // apps send file names unescaped
		if c <= ' ' || c >= 0x7f || c == '#' || c == '%' && (i+2 >= len(target) || !IsHex(target[i+1]) || !IsHex(target[i+2])) {
			b = fmt.Appendf(b, "%%%02X", c)
			continue
		}
		b = append(b, c)
	}
	b = append(append(b, version...), "\r\n"...)
	for line := range bytes.Lines(rest) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if !ofBody.Has(name) {
			b = append(b, line...)
		}
	}
	return b
}
