package fcgi

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/internal/http1"
)

var (
	ErrHead     = errors.New("fcgi: malformed response head")
	ErrHeadSize = errors.New("fcgi: response head too large")
)

const (
	MaxHead   = 64 << 10 // bytes of a response's head, the empty line included
	maxFields = 512      // of a response's head
)

// HeadEnd looks for the end of a CGI head in p, the first bytes of stdout, from offset from, at which an
// earlier look had stopped. It returns the head's length, or 0 if it is not complete. Lines end in CRLF
// (php-fpm) or LF (RFC 3875 §6.3 lets the server define it, and scripts write what is simplest).
func HeadEnd(p []byte, from int) (int, error) {
	for i := max(from, 0); ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			if len(p) > MaxHead {
				return 0, ErrHeadSize
			}
			return 0, nil
		}
		j += i
		if j >= MaxHead {
			return 0, ErrHeadSize
		}
		if j == 0 || p[j-1] == '\n' || p[j-1] == '\r' && (j == 1 || p[j-2] == '\n') {
			return j + 1, nil
		}
		i = j + 1
	}
}

// Head is the head of a CGI response (RFC 3875 §6), checked. Its slices point into the bytes that were
// parsed.
type Head struct {
	Status int
	Line   []byte // of the status line: the status, a space and the reason, which may be empty
	Fields []http1.Field
	Length int64 // Content-Length; -1 without

	// Local is the Location of a local redirect (RFC 3875 §6.2.2): a path, and no Status. The server may
	// answer with what is at that path; Status is 302 if it would rather not.
	Local []byte

	Odd http1.Oddity // faults that were mended
}

var (
	lineOK    = []byte("200 OK")
	lineFound = []byte("302 Found")
)

func bad(what string) error { return fmt.Errorf("%w: %s", ErrHead, what) }

// Parse checks a complete head, as HeadEnd found it, and fills in h. h.Fields is reused. Fields that
// end here are marked.
func (h *Head) Parse(p []byte) error {
	*h = Head{Fields: h.Fields[:0], Length: -1}
	var location []byte
	dated := false
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return bad("no empty line")
		}
		line := p[:end]
		if end > 0 && line[end-1] == '\r' {
			line = line[:end-1]
		}
		if len(line) == 0 {
			break
		}
		p = p[end+1:]
		f, err := h.field(line)
		if err != nil {
			return err
		}
		if f.Name == nil {
			continue
		}
		if http1.EqualFold(f.Name, "location") {
			if location != nil {
				h.Odd |= http1.EqualLocations
				continue
			}
			location = f.Value
		}
		if http1.EqualFold(f.Name, "date") {
			if dated {
				h.Odd |= http1.EqualDates
				continue
			}
			dated = true
		}
		if len(h.Fields) == maxFields {
			return bad("too many fields")
		}
		h.Fields = append(h.Fields, f)
	}
	switch {
	case h.Status != 0:
	case len(location) > 0:
		h.Status, h.Line = 302, lineFound
		if location[0] == '/' && (len(location) == 1 || location[1] != '/' && location[1] != '\\') {
			h.Local = location
		}
	default:
		h.Status, h.Line = 200, lineOK
		if len(h.Fields) == 0 {
			h.Odd |= http1.NoHead
		}
	}
	return nil
}

// field parses a line. A field without a name is to be dropped.
func (h *Head) field(line []byte) (f http1.Field, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 && line[0] != ' ' && line[0] != '\t' && len(h.Fields) > 0 { // the first line may be no head at all
		h.Odd |= http1.NoColon
		return http1.Field{}, nil
	}
	if status, ok := bytes.CutPrefix(line, []byte("HTTP/1.")); ok && len(h.Fields) == 0 && len(status) > 2 && status[1] == ' ' {
		h.Odd |= http1.StatusLine
		return http1.Field{}, h.status(status[2:])
	}
	f, fault := http1.ParseField(line)
	switch {
	case fault != "" && http1.HasOddName(line):
		h.Odd |= http1.OddName
		return http1.Field{}, nil
	case fault != "":
		return f, bad(fault)
	}
	switch len(f.Name) {
	case 2:
		f.Drop = http1.EqualFold(f.Name, "te")
	case 6:
		if http1.EqualFold(f.Name, "status") {
			f.Drop = true
			return f, h.status(f.Value)
		}
	case 7:
		f.Drop = http1.EqualFold(f.Name, "upgrade") || http1.EqualFold(f.Name, "trailer")
	case 10:
		f.Drop = http1.EqualFold(f.Name, "connection") || http1.EqualFold(f.Name, "keep-alive")
	case 14:
		if http1.EqualFold(f.Name, "content-length") {
			n, ok := http1.ParseLength(f.Value)
			switch {
			case len(f.Value) == 0:
				h.Odd |= http1.EmptyLength
				return http1.Field{}, nil
			case ok && n == h.Length:
				h.Odd |= http1.EqualLengths
				return http1.Field{}, nil
			case !ok || h.Length >= 0:
				return f, bad("invalid or contradicting Content-Length")
			}
			h.Length = n
		}
	case 16:
		f.Drop = http1.EqualFold(f.Name, "proxy-connection")
	case 17:
		if http1.EqualFold(f.Name, "transfer-encoding") {
			h.Odd |= http1.ScriptFraming
			return http1.Field{}, nil
		}
	}
	return f, nil
}

// status takes the value of Status: three digits and a reason. Interim responses have no place in CGI.
func (h *Head) status(v []byte) error {
	if h.Status != 0 {
		return bad("more than one Status")
	}
	if len(v) < 3 || !http1.IsDigit(v[0]) || !http1.IsDigit(v[1]) || !http1.IsDigit(v[2]) || len(v) > 3 && v[3] != ' ' {
		return bad("Status")
	}
	for _, c := range v { // of a status line, which no field check has seen
		if c < ' ' && c != '\t' || c == 0x7f {
			return bad("control byte in the reason")
		}
	}
	h.Status = int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	if h.Status < 200 {
		return bad("Status")
	}
	h.Line = v
	if len(v) == 3 {
		h.Line = append(append(make([]byte, 0, 4), v...), ' ') // RFC 9112 §4: the space is not optional
	}
	return nil
}

// Fill makes a of the head: an answer of HTTP/1.1.
func (h *Head) Fill(a *http1.Answer) {
	*a = http1.Answer{Status: h.Status, Line: h.Line, Fields: append(a.Fields[:0], h.Fields...), Length: h.Length, Minor: 1}
	for i := range a.Fields {
		a.Note(&a.Fields[i])
	}
}
