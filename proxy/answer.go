package proxy

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/internal/http1"
)

// answer is the head of the app's response, checked.
type answer struct {
	raw       []byte
	status    int
	minor     byte
	line      []byte // after "HTTP/1.x ": status and reason
	fields    []field
	length    int64
	chunked   bool
	close     bool
	upgrade   bool
	stream    bool // not to be taken ahead of the client
	connLogin bool // it logs in the connection
	accel     bool // there are X-Accel-* fields, which an app says to the proxy in front of it

	odd       noticeSet // faults of the head that tear nothing
	options   []byte    // of Connection that are names of fields, as a list
	elsewhere []byte    // X-Accel-Redirect: who is to answer instead; nil without
}

var errAnswer = errors.New("malformed response")

func bad(what string) error { return fmt.Errorf("%w: %s", errAnswer, what) }

// parse checks a complete head.
func (a *answer) parse(p []byte) error {
	*a = answer{raw: p, fields: a.fields[:0], length: -1}
	line, p := a.cutLine(p)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return bad("status line")
	}
	a.minor = line[7] - '0'
	a.line = line[9:]
	for _, c := range a.line[:3] {
		if !http1.IsDigit(c) {
			return bad("status")
		}
		a.status = a.status*10 + int(c-'0')
	}
	if a.status < 100 || a.status > 999 || len(a.line) > 3 && a.line[3] != ' ' {
		return bad("status")
	}
	for _, c := range a.line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return bad("control byte in the reason")
		}
	}
	a.close = a.minor == 0
	for {
		if line, p = a.cutLine(p); len(line) == 0 {
			break
		}
		if err := a.field(line); err != nil {
			return err
		}
	}
	for name := range bytes.SplitSeq(a.options, []byte(",")) { // hop-by-hop (RFC 9110 §7.6.1)
		if len(name) > 0 && !listed(name) && !http1.EqualFold(name, "set-cookie") && !http1.EqualFold(name, "location") {
			a.drop(string(name))
		}
	}
	if bodyless := a.status < 200 && a.status != 101 || a.status == 204; bodyless || a.status == 304 {
		if a.chunked || bodyless && a.length > 0 {
			a.close = true // what it may send all the same is nobody's answer
		}
		a.drop("transfer-encoding")
		if bodyless {
			a.drop("content-length") // RFC 9110 §8.6
		}
	}
	if a.chunked && a.length >= 0 {
		a.close = true // Transfer-Encoding counts (RFC 9112 §6.3), and what follows is not to be trusted
		a.drop("content-length")
	}
	return nil
}

// cutLine returns the first line of a complete head and what follows. A line may end in LF alone (RFC 9112 §2.2): in an
// answer it can't be read in two ways, as a field's value has no CR or LF here.
func (a *answer) cutLine(p []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(p, []byte("\n"))
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1], rest
	}
	a.odd |= 1 << bareLF
	return line, rest
}

// drop leaves out the fields of a name.
func (a *answer) drop(name string) {
	for i := range a.fields {
		if http1.EqualFold(a.fields[i].name, name) {
			a.fields[i].drop = true
		}
	}
}

func (a *answer) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 && line[0] != ' ' && line[0] != '\t' { // a fold would be a part of the field before
		a.odd |= 1 << noColon
		return nil
	}
	if colon <= 0 {
		return bad("header field without a name")
	}
	f := field{name: line[:colon], value: http1.TrimOWS(line[colon+1:])}
	for _, c := range f.name {
		if !http1.IsToken[c] {
			return bad("invalid byte in a header field's name")
		}
	}
	for _, c := range f.value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return bad("control byte in a header field")
		}
	}
	a.note(&f)
	a.noteConnectionLogin(&f)
	switch len(f.name) {
	case 7:
		f.drop = http1.EqualFold(f.name, "upgrade")
	case 10:
		switch {
		case http1.EqualFold(f.name, "keep-alive"):
			f.drop = true
		case http1.EqualFold(f.name, "connection"):
			f.drop = true
			for list := f.value; len(list) > 0; {
				var token []byte
				token, list, _ = bytes.Cut(list, []byte(","))
				switch token = http1.TrimOWS(token); {
				case http1.EqualFold(token, "close"):
					a.close = true
				case http1.EqualFold(token, "keep-alive"):
					a.close = false
				case http1.EqualFold(token, "upgrade"):
					a.upgrade = true
				case len(token) > 0:
					a.options = append(append(a.options, token...), ',')
				}
			}
		}
	case 14:
		if http1.EqualFold(f.name, "content-length") {
			n, ok := http1.ParseLength(f.value)
			switch {
			case len(f.value) == 0:
				a.odd |= 1 << emptyLength
				return nil
			case ok && n == a.length: // one line of them goes on
				a.odd |= 1 << equalLengths
				return nil
			case !ok || a.length >= 0:
				return bad("invalid or contradicting Content-Length")
			}
			a.length = n
		}
	case 16:
		f.drop = http1.EqualFold(f.name, "proxy-connection")
	case 17:
		if http1.EqualFold(f.name, "transfer-encoding") {
			if a.chunked || a.minor == 0 || !http1.EqualFold(f.value, "chunked") {
				return bad("Transfer-Encoding")
			}
			a.chunked = true
		}
	}
	a.fields = append(a.fields, f)
	return nil
}

// note looks at what a field asks of the proxy.
func (a *answer) note(f *field) {
	if http1.EqualFold(f.name, "content-type") {
		if _, ok := http1.CutPrefixFold(f.value, "text/event-stream"); ok {
			a.stream = true
		}
		return
	}
	if _, ok := http1.CutPrefixFold(f.name, "x-accel-"); ok {
		a.accel = true
		if http1.EqualFold(f.name, "x-accel-buffering") && http1.EqualFold(f.value, "no") {
			a.stream = true
		}
		if http1.EqualFold(f.name, "x-accel-redirect") && len(f.value) > 0 {
			a.elsewhere = f.value
		}
	}
}
