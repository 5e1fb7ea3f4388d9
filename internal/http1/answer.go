package http1

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Answer is the head of the app's response, checked.
type Answer struct {
	Raw       []byte
	Status    int
	Minor     byte
	Line      []byte // after "HTTP/1.x ": status and reason
	Fields    []Field
	Length    int64
	Chunked   bool
	Close     bool
	Upgrade   bool
	Stream    bool // not to be buffered
	ConnLogin bool // it logs in its upstream connection
	Accel     bool // it has X-Accel-* fields, which are for the proxy

	Odd      Oddity // harmless faults of the head
	options  []byte // of Connection that name fields, as a list
	Redirect []byte // value of X-Accel-Redirect; nil without one
}

var codingChunked = []byte("chunked")

var ErrAnswer = errors.New("malformed response")

func Malformed(what string) error { return fmt.Errorf("%w: %s", ErrAnswer, what) }

// Parse checks a complete head.
func (a *Answer) Parse(p []byte) error {
	*a = Answer{Raw: p, Fields: a.Fields[:0], Length: -1}
	line, p := a.cutLine(p)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || !IsDigit(line[7]) || line[8] != ' ' {
		return Malformed("status line")
	}
	a.Minor = min(line[7]-'0', 1) // RFC 9110 §2.5: as the highest minor version that is known here
	a.Line = line[9:]
	for _, c := range a.Line[:3] {
		if !IsDigit(c) {
			return Malformed("status")
		}
		a.Status = a.Status*10 + int(c-'0')
	}
	if a.Status < 100 || a.Status > 999 || len(a.Line) > 3 && a.Line[3] != ' ' {
		return Malformed("status")
	}
	for _, c := range a.Line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return Malformed("control byte in the reason")
		}
	}
	a.Close = a.Minor == 0
	for {
		if line, p = a.cutLine(p); len(line) == 0 {
			break
		}
		if err := a.field(line); err != nil {
			return err
		}
	}
	for name := range bytes.SplitSeq(a.options, []byte(",")) { // hop-by-hop (RFC 9110 §7.6.1)
		if len(name) > 0 && !protected.Has(name) && !EqualFold(name, "set-cookie") && !EqualFold(name, "location") {
			a.Drop(string(name))
		}
	}
	if bodyless := a.Status < 200 && a.Status != 101 || a.Status == 204; bodyless || a.Status == 304 {
		if a.Chunked || bodyless && a.Length > 0 {
			a.Close = true // bytes that it sends nevertheless belong to no response
		}
		a.Drop("transfer-encoding")
		if bodyless {
			a.Drop("content-length") // RFC 9110 §8.6
		}
	}
	if a.Chunked && a.Length >= 0 {
		a.Close = true // Transfer-Encoding decides (RFC 9112 §6.3), and the bytes after the body can't be trusted
		a.Drop("content-length")
	}
	return nil
}

// cutLine returns the first line of a complete head and what follows. A line may end in LF alone (RFC 9112 §2.2): in a
// response that is not ambiguous, as a field's value has no CR or LF here.
func (a *Answer) cutLine(p []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(p, []byte("\n"))
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1], rest
	}
	a.Odd |= BareLF
	return line, rest
}

// Drop drops the fields of a name.
func (a *Answer) Drop(name string) {
	for i := range a.Fields {
		if EqualFold(a.Fields[i].Name, name) {
			a.Fields[i].Drop = true
		}
	}
}

func (a *Answer) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 && line[0] != ' ' && line[0] != '\t' { // a folded line would belong to the field before
		a.Odd |= NoColon
		return nil
	}
	f, fault := ParseField(line)
	switch {
	case fault != "" && HasOddName(line):
		a.Odd |= OddName
		return nil
	case fault != "":
		return Malformed(fault)
	}
	a.Note(&f)
	a.noteConnectionLogin(&f)
	switch len(f.Name) {
	case 7:
		f.Drop = EqualFold(f.Name, "upgrade")
	case 10:
		switch {
		case EqualFold(f.Name, "keep-alive"):
			f.Drop = true
		case EqualFold(f.Name, "connection"):
			f.Drop = true
			for list := f.Value; len(list) > 0; {
				var token []byte
				token, list, _ = bytes.Cut(list, []byte(","))
				switch token = TrimOWS(token); {
				case EqualFold(token, "close"):
					a.Close = true
				case EqualFold(token, "keep-alive"):
					a.Close = false
				case EqualFold(token, "upgrade"):
					a.Upgrade = true
				case len(token) > 0:
					a.options = append(append(a.options, token...), ',')
				}
			}
		}
	case 14:
		if EqualFold(f.Name, "content-length") {
			n, ok := ParseLength(f.Value)
			switch {
			case len(f.Value) == 0:
				a.Odd |= EmptyLength
				return nil
			case ok && n == a.Length: // one of the lines is sent on
				a.Odd |= EqualLengths
				return nil
			case !ok || a.Length >= 0:
				return Malformed("invalid or contradicting Content-Length")
			}
			a.Length = n
		}
	case 16:
		f.Drop = EqualFold(f.Name, "proxy-connection")
	case 17:
		if EqualFold(f.Name, "transfer-encoding") {
			switch {
			case len(f.Value) == 0 || EqualFold(f.Value, "identity"): // of RFC 2616; it changes nothing
				a.Odd |= IdentityCoding
				return nil
			case a.Minor == 0 || !isOnly(f.Value, "chunked"):
				return Malformed("Transfer-Encoding")
			case a.Chunked: // both a framework and its server have set it
				a.Odd |= EqualCodings
				return nil
			}
			a.Chunked = true
			if bytes.IndexByte(f.Value, ',') >= 0 { // the same on one line
				a.Odd |= EqualCodings
				f.Value = codingChunked
			}
		}
	}
	a.add(f)
	return nil
}

// add appends a field, unless it is a second Date or Location: some clients take the last one, or none.
func (a *Answer) add(f Field) {
	switch {
	case EqualFold(f.Name, "date") && a.Has("date"):
		a.Odd |= EqualDates
	case EqualFold(f.Name, "location") && a.Has("location"):
		a.Odd |= EqualLocations
	default:
		a.Fields = append(a.Fields, f)
	}
}

// Append appends the head for a client, without the empty line. The version is always Holdfast's own (RFC 9112 §2.3).
func (a *Answer) Append(b []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, a.Line...)
	b = append(b, "\r\n"...)
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop {
			b = AppendField(b, f.Name, f.Value)
		}
	}
	return b
}

// AppendNamed appends the lines of the fields with these names that are sent on.
func (a *Answer) AppendNamed(b []byte, names ...string) []byte {
	for i := range a.Fields {
		f := &a.Fields[i]
		if !f.Drop && slices.ContainsFunc(names, func(name string) bool { return EqualFold(f.Name, name) }) {
			b = AppendField(b, f.Name, f.Value)
		}
	}
	return b
}

// contentNames are the fields that tell of a body.
var contentNames = [...]string{
	"content-length", "content-type", "content-encoding", "content-language", "content-range", "accept-ranges", "transfer-encoding", "trailer",
}

// NotModified makes a 304 of the head of a 200 that the client has already (RFC 9110 §15.4.5).
func (a *Answer) NotModified() {
	a.Status, a.Line = 304, []byte("304 Not Modified")
	for _, name := range contentNames {
		a.Drop(name)
	}
}

// DropPrefix leaves out the fields whose names begin with a prefix.
func (a *Answer) DropPrefix(prefix string) {
	for i := range a.Fields {
		if _, ok := CutPrefixFold(a.Fields[i].Name, prefix); ok {
			a.Fields[i].Drop = true
		}
	}
}

// AppendUpgrade appends Connection and Upgrade of a 101 or 426 (RFC 9110 §7.8, §15.5.22).
func (a *Answer) AppendUpgrade(b []byte) []byte {
	for i := range a.Fields {
		if f := &a.Fields[i]; EqualFold(f.Name, "upgrade") {
			b = AppendField(append(b, "Connection: Upgrade\r\n"...), f.Name, f.Value)
		}
	}
	return b
}

// SwitchesTo reports whether a 101 switches to a protocol that the client requested. asked is the request's Upgrade.
// With any other protocol, the client could not understand the connection.
func (a *Answer) SwitchesTo(asked string) bool {
	for i := range a.Fields {
		if f := &a.Fields[i]; EqualFold(f.Name, "upgrade") {
			protocol, _, _ := bytes.Cut(f.Value, []byte(","))
			return HasToken([]byte(asked), string(TrimOWS(protocol)))
		}
	}
	return false
}

// Has reports whether a field of this name is sent on.
func (a *Answer) Has(name string) bool {
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop && EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// Note handles a field that is meant for the proxy.
func (a *Answer) Note(f *Field) {
	if EqualFold(f.Name, "content-type") {
		if _, ok := CutPrefixFold(f.Value, "text/event-stream"); ok {
			a.Stream = true
		}
		return
	}
	if _, ok := CutPrefixFold(f.Name, "x-accel-"); ok {
		a.Accel = true
		if EqualFold(f.Name, "x-accel-buffering") && EqualFold(f.Value, "no") {
			a.Stream = true
		}
		if EqualFold(f.Name, "x-accel-redirect") && len(f.Value) > 0 {
			a.Redirect = f.Value
		}
	}
}

// noteConnectionLogin notes whether a response logs in its upstream connection.
func (a *Answer) noteConnectionLogin(f *Field) {
	switch len(f.Name) {
	case 15:
		a.ConnLogin = a.ConnLogin || EqualFold(f.Name, "persistent-auth") && !EqualFold(f.Value, "false")
	case 16:
		a.ConnLogin = a.ConnLogin || EqualFold(f.Name, "www-authenticate") && LogsInConnection(f.Value)
	}
}

// Set makes the head that of a response of Holdfast's own, from lines of fields with their CRLF.
func (a *Answer) Set(status int, lines []byte) {
	*a = Answer{Status: status, Minor: 1, Fields: a.Fields[:0], Length: -1}
	a.Line = fmt.Appendf(nil, "%d %s", status, http.StatusText(status))
	for line := range bytes.Lines(lines) {
		f, fault := ParseField(bytes.TrimRight(line, "\r\n"))
		if fault != "" {
			continue
		}
		if EqualFold(f.Name, "content-length") {
			if n, ok := ParseLength(f.Value); ok {
				a.Length = n
			}
		}
		a.Fields = append(a.Fields, f)
	}
}
