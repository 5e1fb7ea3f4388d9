// Package tracecontext has the trace of a request by W3C Trace Context (https://www.w3.org/TR/trace-context-1/): it reads the
// traceparent of a client, and makes one where there is none or none that is valid.
//
// Holdfast records no spans, so a valid traceparent and its tracestate go to the app as they came. One that is not valid is
// replaced, and with it its tracestate, which nobody may read then (§3.3, §4.3 of the specification).
package tracecontext

import (
	"encoding/hex"
	"log/slog"
	"math/rand/v2"

	"holdfast/internal/http1"
)

// Policy says what is done with the traces of requests. Nil does nothing.
type Policy struct {
	Make    bool    // a request without a valid traceparent gets one
	Sample  float64 // the share of these, from 0 to 1, that say they are sampled
	Replace bool    // the client's traceparent counts as not valid
}

// Context is the trace of a request. The zero value has none.
type Context struct {
	trace   [16]byte
	parent  [8]byte // of one that was made
	kind    kind
	sampled bool // of one that was made
}

type kind uint8

const (
	none kind = iota
	received
	made
)

const (
	parentField = "traceparent"
	stateField  = "tracestate"

	version   = len("00-")
	traceEnd  = version + 32
	parentEnd = traceEnd + 1 + 16
	length    = parentEnd + len("-01") // of version 00
)

// Of returns the trace of a request with these fields.
func (p *Policy) Of(fields []http1.Field) (c Context) {
	if p == nil {
		return c
	}
	if !p.Replace && c.read(fields) {
		c.kind = received
		return c
	}
	c = Context{}
	if !p.Make {
		return c
	}
	c.kind = made
	for c.trace == [16]byte{} { // zero is no identifier
		put(c.trace[:8], rand.Uint64())
		put(c.trace[8:], rand.Uint64())
	}
	for c.parent == [8]byte{} {
		put(c.parent[:], rand.Uint64())
	}
	c.sampled = rand.Float64() < p.Sample
	return c
}

func put(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}

// read reads the traceparent, and reports whether there is one, which is valid.
func (c *Context) read(fields []http1.Field) (ok bool) {
	seen := false
	for i := range fields {
		f := &fields[i]
		if f.Drop || !http1.EqualFold(f.Name, parentField) {
			continue
		}
		if seen { // two, of which the app may take either
			return false
		}
		seen = true
		ok = c.parse(f.Value)
	}
	return ok
}

// parse reads a value (§3.2 of the specification). Of a version that is not known, it reads what version 00 has.
func (c *Context) parse(b []byte) bool {
	if len(b) < length || b[version-1] != '-' || b[traceEnd] != '-' || b[parentEnd] != '-' {
		return false
	}
	var v, flags [1]byte
	var parent [8]byte
	switch {
	case !decode(v[:], b[:version-1]), !decode(c.trace[:], b[version:traceEnd]), !decode(parent[:], b[traceEnd+1:parentEnd]), !decode(flags[:], b[parentEnd+1:length]):
		return false
	case v[0] == 0xff, v[0] == 0 && len(b) > length, len(b) > length && b[length] != '-':
		return false
	}
	return c.trace != [16]byte{} && parent != [8]byte{}
}

// decode reads hexadecimal digits in lower case.
func decode(to, from []byte) bool {
	for _, c := range from {
		if 'A' <= c && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, from)
	return err == nil
}

// Replaces reports whether a field of the client is not sent to the app.
func (c *Context) Replaces(name []byte) bool {
	return c != nil && c.kind == made && len(name) > 0 && name[0]|0x20 == 't' && (http1.EqualFold(name, parentField) || http1.EqualFold(name, stateField))
}

// Append appends the line of a traceparent that was made.
func (c *Context) Append(b []byte) []byte {
	if c == nil || c.kind != made {
		return b
	}
	b = append(b, parentField+": 00-"...)
	b = append(hex.AppendEncode(b, c.trace[:]), '-')
	b = append(hex.AppendEncode(b, c.parent[:]), "-00\r\n"...)
	if c.sampled {
		b[len(b)-len("0\r\n")] = '1'
	}
	return b
}

// Has reports whether there is a trace.
func (c *Context) Has() bool { return c != nil && c.kind != none }

// AppendID appends the identifier of the trace, nothing if there is none.
func (c *Context) AppendID(b []byte) []byte {
	if !c.Has() {
		return b
	}
	return hex.AppendEncode(b, c.trace[:])
}

// Log returns a logger whose lines have the trace, if there is one.
func (c *Context) Log(l *slog.Logger) *slog.Logger {
	if !c.Has() {
		return l
	}
	return l.With("trace_id", string(c.AppendID(nil)))
}

// With adds the trace, if there is one, to the fields of a log line.
func (c *Context) With(fields []any) []any {
	if !c.Has() {
		return fields
	}
	return append(fields[:len(fields):len(fields)], "trace_id", string(c.AppendID(nil)))
}
