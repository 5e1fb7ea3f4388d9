package http1

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// Head is a request's head, checked. Its slices point into the bytes that were parsed.
type Head struct {
	Raw        []byte // from the request line to the empty line
	Method     []byte
	Target     []byte // as it was sent, in origin form
	Path       []byte // target without query
	Minor      byte   // HTTP/1.minor
	Fields     []Field
	Host       []byte
	Length     int64 // Content-Length; -1 without
	Chunked    bool
	Close      bool   // the client wants no further request on this connection
	Upgrade    []byte // value of Upgrade if Connection names it
	Expects    bool   // Expect: 100-continue
	HasHost    bool
	Trailers   bool       // the client accepts trailers
	ascii      bool       // see limits
	Forwarding Forwarding // the forwarding fields
}

// Refusal is why a request is refused.
type Refusal struct {
	Status int
	Reason string
	After  time.Duration // Retry-After; zero: none
	Told   bool          // the response has the reason, too
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.Status, http.StatusText(r.Status), r.Reason)
}

func Refuse(status int, reason string) *Refusal { return &Refusal{Status: status, Reason: reason} }

// Limits of a head.
type Limits struct {
	Bytes  int
	Fields int
	Ascii  bool // a target has no byte above 127
}

// HeadEnd looks for the end of a head in p, from the offset at which the last call stopped. It returns the length of
// the head, or 0 if the head is not complete. Lines must end in CRLF: RFC 9112 §2.2 allows a recipient to accept a bare
// LF, but then parsers that do and parsers that don't see different lines.
func HeadEnd(p []byte, from int) (int, *Refusal) {
	if from == 0 && len(p) > 1 && p[0] == 0x16 && p[1] == 3 { // a TLS handshake begins so (RFC 8446 §5.1), and no request
		return 0, errTLS
	}
	for i := max(from, 0); ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return 0, nil
		}
		j += i
		if j == 0 || p[j-1] != '\r' {
			return 0, Refuse(400, "line ends in a bare LF")
		}
		i = j + 1
		switch begin := len(emptyLines(p)); {
		case i <= begin: // before the request line
		case i == begin+2 && p[begin] == '\r':
			return 0, Refuse(400, "more than two empty lines before the request line")
		case p[j-2] == '\n':
			return i, nil
		}
	}
}

var errTLS = &Refusal{Status: 400, Reason: "TLS on a port that speaks plain HTTP", Told: true}

// TooLarge returns the refusal of a head larger than max: 414 if the request line alone is, otherwise 431.
func TooLarge(b []byte, max int) *Refusal {
	if bytes.IndexByte(b[:min(len(b), max)], '\n') < 0 {
		return Refuse(414, "request target too long")
	}
	return Refuse(431, "request head too large")
}

// emptyLines returns the empty lines before a request line. RFC 9112 §2.2 requires to accept one, and some old programs
// send two after a body. So two are accepted.
func emptyLines(p []byte) []byte {
	n := 0
	for n < 4 && len(p) >= n+2 && p[n] == '\r' && p[n+1] == '\n' {
		n += 2
	}
	return p[:n]
}

// Parse checks a complete head, strictly (RFC 9112), and fills in h. h.fields is reused.
func (h *Head) Parse(p []byte, lim Limits) *Refusal {
	*h = Head{Fields: h.Fields[:0], Length: -1, ascii: lim.Ascii}
	p = p[len(emptyLines(p)):]
	if p[0] == '\r' {
		return Refuse(400, "a bare CR before the request line")
	}
	h.Raw = p
	end := bytes.IndexByte(p, '\n')
	if r := h.requestLine(p[:end-1]); r != nil {
		return r
	}
	for p = p[end+1:]; len(p) > 2; {
		end = bytes.IndexByte(p, '\n')
		if len(h.Fields) == lim.Fields {
			return Refuse(431, "too many header fields")
		}
		if r := h.field(p[:end-1]); r != nil {
			return r
		}
		p = p[end+1:]
	}
	return h.finish()
}

func (h *Head) requestLine(line []byte) *Refusal {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return Refuse(400, "request line without a method")
	}
	h.Method = line[:sp]
	for _, c := range h.Method {
		if !IsToken[c] {
			return Refuse(400, "invalid byte in the method")
		}
	}
	line = line[sp+1:]
	sp = bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return Refuse(400, "request line without a version")
	}
	h.Target = line[:sp]
	switch version := line[sp+1:]; {
	case string(version) == "HTTP/1.1":
		h.Minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/1.")) && IsDigit(version[7]):
		h.Minor = 1 // RFC 9110 §2.5: as the highest minor version that is known here
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/")) && IsDigit(version[5]) && version[6] == '.' && IsDigit(version[7]):
		return Refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
	default:
		return Refuse(400, "malformed version")
	}
	switch string(h.Method) {
	case "CONNECT", "TRACE":
		return Refuse(405, "method not allowed")
	}
	for _, c := range h.Target {
		if c <= ' ' || c == 0x7f || c == '#' || c > 0x7f && h.ascii {
			return Refuse(400, "byte that is not allowed in a request target")
		}
	}
	return nil
}

func (h *Head) field(line []byte) *Refusal {
	if line[0] == ' ' || line[0] == '\t' {
		return Refuse(400, "folded header field")
	}
	f, fault := ParseField(line)
	if fault != "" {
		return Refuse(400, fault)
	}
	for _, c := range f.Name {
		if !IsDashed[c] {
			f.Drop = true // as nginx does: PHP and CGI turn dashes, dots and others into underscores
		}
	}
	if !f.Drop {
		if r := h.known(&f); r != nil {
			return r
		}
	}
	h.Fields = append(h.Fields, f)
	return nil
}

// known handles the fields that matter to a proxy.
func (h *Head) known(f *Field) *Refusal {
	switch len(f.Name) {
	case 2:
		if EqualFold(f.Name, "te") {
			f.Drop = true
			h.Trailers = h.Trailers || HasToken(f.Value, "trailers")
		}
	case 4:
		if EqualFold(f.Name, "host") {
			if h.HasHost {
				return Refuse(400, "more than one Host")
			}
			h.HasHost, h.Host = true, f.Value
			if !ValidHost(f.Value) {
				return Refuse(400, "invalid Host")
			}
		}
	case 5:
		f.Drop = EqualFold(f.Name, "proxy") // a CGI program reads it as HTTP_PROXY
	case 6:
		if EqualFold(f.Name, "expect") {
			if f.Drop = true; len(f.Value) == 0 {
				return nil
			}
			if !EqualFold(f.Value, "100-continue") {
				return Refuse(417, "only Expect: 100-continue is understood")
			}
			h.Expects = h.Minor == 1
		}
	case 7:
		if EqualFold(f.Name, "upgrade") {
			f.Drop = true
			h.Upgrade = joinLines(h.Upgrade, f.Value)
		} else if EqualFold(f.Name, "trailer") {
			f.Drop = true // request trailers are dropped
		}
	case 10:
		f.Drop = EqualFold(f.Name, "connection") || EqualFold(f.Name, "keep-alive")
	case 12:
		if EqualFold(f.Name, "content-type") {
			if said, ok := h.value("content-type"); ok && !bytes.Equal(said, f.Value) {
				return Refuse(400, "more than one Content-Type")
			} else if ok {
				f.Drop = true
			}
		}
	case 14:
		if EqualFold(f.Name, "content-length") {
			n, ok := ParseLength(f.Value)
			if !ok || h.Length >= 0 {
				return Refuse(400, "invalid or repeated Content-Length")
			}
			h.Length = n
		} else {
			f.Drop = EqualFold(f.Name, "http2-settings")
		}
	case 16:
		f.Drop = EqualFold(f.Name, "proxy-connection")
	case 17:
		if EqualFold(f.Name, "transfer-encoding") {
			return h.transferEncoding(f.Value)
		}
	}
	if !f.Drop {
		for i, name := range ForwardingNames {
			if EqualFold(f.Name, name) {
				f.Drop = true
				h.Forwarding[i] = joinLines(h.Forwarding[i], f.Value)
			}
		}
	}
	return nil
}

func (h *Head) transferEncoding(value []byte) *Refusal {
	if h.Chunked {
		return Refuse(400, "more than one Transfer-Encoding")
	}
	if !EqualFold(value, "chunked") {
		final := TrimOWS(value[bytes.LastIndexByte(value, ',')+1:])
		if EqualFold(value, "identity") || !EqualFold(final, "chunked") {
			return Refuse(400, "invalid Transfer-Encoding") // its end cannot be known (RFC 9112 §6.3)
		}
		return Refuse(501, "only the chunked transfer coding is understood")
	}
	h.Chunked = true
	return nil
}

// joinLines adds a line's value to a list that may come on several lines (RFC 9110 §5.3).
func joinLines(list, value []byte) []byte {
	if list == nil {
		return value
	}
	return append(append(append([]byte{}, list...), ", "...), value...)
}

// value returns the value of the first field of a name that is not dropped.
func (h *Head) value(name string) (value []byte, ok bool) {
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop && EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return nil, false
}

// finish makes the checks that need the whole head.
func (h *Head) finish() *Refusal {
	if !h.HasHost && h.Minor == 1 {
		return Refuse(400, "no Host")
	}
	if r := h.origin(); r != nil {
		return r
	}
	if h.Chunked {
		if h.Length >= 0 {
			return Refuse(400, "both Content-Length and Transfer-Encoding")
		}
		if h.Minor == 0 {
			return Refuse(400, "Transfer-Encoding in HTTP/1.0")
		}
	}
	h.Close = h.Minor == 0
	upgrade := withoutHTTP2(h.Upgrade)
	h.Upgrade = nil
	for i := range h.Fields {
		f := &h.Fields[i]
		if !EqualFold(f.Name, "connection") {
			continue
		}
		for list := f.Value; len(list) > 0; {
			var token []byte
			token, list, _ = bytes.Cut(list, []byte(","))
			switch token = TrimOWS(token); {
			case EqualFold(token, "close"):
				h.Close = true
			case EqualFold(token, "keep-alive"):
				if h.Minor == 0 {
					h.Close = false
				}
			case EqualFold(token, "upgrade"):
				if h.Minor == 1 {
					h.Upgrade = upgrade
				}
			case len(token) == 0:
			case len(cutToken(token)) > 0: // it is no field name, and is dropped with Connection
			default:
				if isProtected(token) {
					return Refuse(400, "Connection names a field that is not hop-by-hop")
				}
				for j := range h.Fields {
					if EqualFold(h.Fields[j].Name, string(token)) {
						h.Fields[j].Drop = true
					}
				}
			}
		}
	}
	return nil
}

// withoutHTTP2 returns the protocols of an Upgrade without HTTP/2, or nil. With HTTP/2, the tunnel would carry requests
// that Holdfast has not checked.
func withoutHTTP2(upgrade []byte) []byte {
	var rest []byte
	dropped := false
	for token := range bytes.SplitSeq(upgrade, []byte(",")) {
		token = TrimOWS(token)
		name, _, _ := bytes.Cut(token, []byte("/"))
		if EqualFold(name, "h2c") || EqualFold(name, "h2") || EqualFold(name, "http") {
			dropped = true
		} else if len(token) > 0 {
			rest = joinLines(rest, token)
		}
	}
	if !dropped {
		return upgrade
	}
	return rest
}

// protected fields must not be removed by naming them in Connection: the app would see another request.
var protected = NewNameSet(
	"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "cookie",
	"authorization", "origin", "referer", "cache-control", "range", "if-match", "if-none-match",
)

func isProtected(name []byte) bool {
	return protected.Has(name) || len(name) > 2 && (name[0] == 'x' || name[0] == 'X') && name[1] == '-'
}

// Idempotent reports whether a request of this method may be repeated (RFC 9110 §9.2.2, RFC 4918 §9.1).
func Idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND":
		return true
	}
	return false
}
