package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// field is one header field; name and value point into the head.
type field struct {
	name, value []byte
	drop        bool
}

// head is a request's head, checked. Its slices point into the bytes that were parsed.
type head struct {
	raw     []byte // from the request line to the empty line
	method  []byte
	target  []byte // as it was sent, in origin form
	path    []byte // target without query
	minor   byte   // HTTP/1.minor
	fields  []field
	host    []byte
	length  int64 // Content-Length; -1 without
	chunked bool
	close   bool   // the client wants no further request on this connection
	upgrade []byte // value of Upgrade if Connection names it
	expects bool   // Expect: 100-continue
	hasHost bool
	ascii   bool         // see limits
	said    request.Said // in the forwarding fields
}

// refusal is why a request is not let in.
type refusal struct {
	status int
	reason string
	after  time.Duration // Retry-After; zero: none
	told   bool          // the client is told the reason too
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.reason)
}

func refuse(status int, reason string) *refusal { return &refusal{status: status, reason: reason} }

// limits of a head.
type limits struct {
	bytes  int
	fields int
	ascii  bool // a target has no byte above 127
}

// headEnd looks for the end of a head in p, from offset from, at which an earlier look had stopped. It
// returns the length of the head or 0 when it is not complete. Lines must end in CRLF: RFC 9112 §2.2
// lets a recipient take a bare LF, and every parser that does sees other lines than one that doesn't.
func headEnd(p []byte, from int) (int, *refusal) {
	for i := max(from, 0); ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return 0, nil
		}
		j += i
		if j == 0 || p[j-1] != '\r' {
			return 0, refuse(400, "line ends in a bare LF")
		}
		if j == 1 || j >= 3 && p[j-2] == '\n' {
			if j == 1 {
				i = j + 1 // an empty line before the request line; parse checks that there is one at most
				continue
			}
			if j == 3 && p[0] == '\r' {
				return 0, refuse(400, "more than one empty line before the request line")
			}
			return j + 1, nil
		}
		i = j + 1
	}
}

// parse checks a complete head, strictly (RFC 9112), and fills in h. h.fields is reused.
func (h *head) parse(p []byte, lim limits) *refusal {
	*h = head{fields: h.fields[:0], length: -1, ascii: lim.ascii}
	if len(p) > 2 && p[0] == '\r' && p[1] == '\n' {
		p = p[2:] // RFC 9112 §2.2: one empty line before the request line
	}
	if p[0] == '\r' {
		return refuse(400, "a bare CR before the request line")
	}
	h.raw = p
	end := bytes.IndexByte(p, '\n')
	if r := h.requestLine(p[:end-1]); r != nil {
		return r
	}
	for p = p[end+1:]; len(p) > 2; {
		end = bytes.IndexByte(p, '\n')
		if len(h.fields) == lim.fields {
			return refuse(431, "too many header fields")
		}
		if r := h.field(p[:end-1]); r != nil {
			return r
		}
		p = p[end+1:]
	}
	return h.finish()
}

func (h *head) requestLine(line []byte) *refusal {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return refuse(400, "request line without a method")
	}
	h.method = line[:sp]
	for _, c := range h.method {
		if !http1.IsToken[c] {
			return refuse(400, "invalid byte in the method")
		}
	}
	line = line[sp+1:]
	sp = bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return refuse(400, "request line without a version")
	}
	h.target = line[:sp]
	switch version := line[sp+1:]; {
	case string(version) == "HTTP/1.1":
		h.minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/1.")) && http1.IsDigit(version[7]):
		h.minor = 1 // RFC 9110 §2.5: as the highest minor version that is known here
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/")) && http1.IsDigit(version[5]) && version[6] == '.' && http1.IsDigit(version[7]):
		return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
	default:
		return refuse(400, "malformed version")
	}
	switch string(h.method) {
	case "CONNECT", "TRACE":
		return refuse(405, "method not allowed")
	}
	for _, c := range h.target {
		if c <= ' ' || c == 0x7f || c == '#' || c > 0x7f && h.ascii {
			return refuse(400, "byte that is not allowed in a request target")
		}
	}
	return nil
}

// origin brings the target into origin form (RFC 9112 §3.2.1) and sets path. It runs when Host is known.
func (h *head) origin() *refusal {
	switch {
	case h.target[0] == '/':
	case string(h.target) == "*" && string(h.method) == "OPTIONS":
	default:
		rest, ok := http1.CutPrefixFold(h.target, "http://")
		scheme := "http"
		if !ok {
			rest, ok = http1.CutPrefixFold(h.target, "https://")
			scheme = "https"
		}
		if !ok {
			return refuse(400, "request target is neither a path nor an absolute http URL")
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority := rest[:end]
		switch {
		case h.hasHost:
			if !sameAuthority(scheme, authority, h.host) {
				return refuse(400, "request target and Host disagree")
			}
		case http1.ValidHost(authority):
			h.host = authority // RFC 9112 §3.2.2; only HTTP/1.0 gets here
		default:
			return refuse(400, "invalid host in the request target")
		}
		if h.target = rest[end:]; len(h.target) == 0 || h.target[0] == '?' {
			h.target = append([]byte("/"), h.target...)
		}
	}
	h.path = h.target
	if hidesDelimiter(h.target) {
		return refuse(400, "overlong UTF-8 in a request target")
	}
	if q := bytes.IndexByte(h.target, '?'); q >= 0 {
		h.path = h.target[:q]
	}
	for i := 0; i < len(h.path); i++ {
		if h.path[i] != '%' {
			continue
		}
		if i+2 >= len(h.path) || !http1.IsHex(h.path[i+1]) || !http1.IsHex(h.path[i+2]) {
			return refuse(400, "percent sign in the path without two hexadecimal digits")
		}
		if h.path[i+1] == '0' && h.path[i+2] == '0' {
			return refuse(400, "zero byte in the path")
		}
	}
	return nil
}

// hidesDelimiter reports whether raw bytes are what some decoders of UTF-8 turn into a slash, a dot or a backslash. In
// other encodings they are characters, which have to be sent in percent-encoding.
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

func (h *head) field(line []byte) *refusal {
	if line[0] == ' ' || line[0] == '\t' {
		return refuse(400, "folded header field")
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return refuse(400, "header field without a name")
	}
	f := field{name: line[:colon], value: http1.TrimOWS(line[colon+1:])}
	for _, c := range f.name {
		if !http1.IsToken[c] {
			return refuse(400, "invalid byte in a header field's name")
		}
		if !http1.IsDashed[c] {
			f.drop = true // as nginx does: PHP and CGI make an underscore of a dash, of a dot and of others
		}
	}
	for _, c := range f.value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return refuse(400, "control byte in a header field")
		}
	}
	if !f.drop {
		if r := h.known(&f); r != nil {
			return r
		}
	}
	h.fields = append(h.fields, f)
	return nil
}

// known looks at the fields that say something to a proxy.
func (h *head) known(f *field) *refusal {
	switch len(f.name) {
	case 2:
		f.drop = http1.EqualFold(f.name, "te")
	case 4:
		if http1.EqualFold(f.name, "host") {
			if h.hasHost {
				return refuse(400, "more than one Host")
			}
			h.hasHost, h.host = true, f.value
			if !http1.ValidHost(f.value) {
				return refuse(400, "invalid Host")
			}
		}
	case 5:
		f.drop = http1.EqualFold(f.name, "proxy") // a CGI program reads it as HTTP_PROXY
	case 6:
		if http1.EqualFold(f.name, "expect") {
			if f.drop = true; len(f.value) == 0 {
				return nil
			}
			if !http1.EqualFold(f.value, "100-continue") {
				return refuse(417, "only Expect: 100-continue is understood")
			}
			h.expects = h.minor == 1
		}
	case 7:
		if http1.EqualFold(f.name, "upgrade") {
			f.drop = true
			h.upgrade = joinLines(h.upgrade, f.value)
		} else if http1.EqualFold(f.name, "trailer") {
			f.drop = true // request trailers are dropped
		}
	case 10:
		f.drop = http1.EqualFold(f.name, "connection") || http1.EqualFold(f.name, "keep-alive")
	case 12:
		if http1.EqualFold(f.name, "content-type") {
			if said, ok := h.value("content-type"); ok && !bytes.Equal(said, f.value) {
				return refuse(400, "more than one Content-Type")
			} else if ok {
				f.drop = true
			}
		}
	case 14:
		if http1.EqualFold(f.name, "content-length") {
			n, ok := http1.ParseLength(f.value)
			if !ok || h.length >= 0 {
				return refuse(400, "invalid or repeated Content-Length")
			}
			h.length = n
		} else {
			f.drop = http1.EqualFold(f.name, "http2-settings")
		}
	case 16:
		f.drop = http1.EqualFold(f.name, "proxy-connection")
	case 17:
		if http1.EqualFold(f.name, "transfer-encoding") {
			if h.chunked {
				return refuse(400, "more than one Transfer-Encoding")
			}
			if !http1.EqualFold(f.value, "chunked") {
				final := http1.TrimOWS(f.value[bytes.LastIndexByte(f.value, ',')+1:])
				if http1.EqualFold(f.value, "identity") || !http1.EqualFold(final, "chunked") {
					return refuse(400, "invalid Transfer-Encoding") // its end cannot be known (RFC 9112 §6.3)
				}
				return refuse(501, "only the chunked transfer coding is understood")
			}
			h.chunked = true
		}
	}
	if !f.drop {
		for i, name := range request.Names {
			if http1.EqualFold(f.name, name) {
				f.drop = true
				h.said[i] = joinLines(h.said[i], f.value)
			}
		}
	}
	return nil
}

// joinLines adds a line's value to a list that may be spread over several (RFC 9110 §5.3).
func joinLines(list, value []byte) []byte {
	if list == nil {
		return value
	}
	return append(append(append([]byte{}, list...), ", "...), value...)
}

// value returns that of the first field of a name that goes on.
func (h *head) value(name string) (value []byte, ok bool) {
	for i := range h.fields {
		if f := &h.fields[i]; !f.drop && http1.EqualFold(f.name, name) {
			return f.value, true
		}
	}
	return nil, false
}

// finish checks what only the whole head tells.
func (h *head) finish() *refusal {
	if !h.hasHost && h.minor == 1 {
		return refuse(400, "no Host")
	}
	if r := h.origin(); r != nil {
		return r
	}
	if h.chunked {
		if h.length >= 0 {
			return refuse(400, "both Content-Length and Transfer-Encoding")
		}
		if h.minor == 0 {
			return refuse(400, "Transfer-Encoding in HTTP/1.0")
		}
	}
	h.close = h.minor == 0
	upgrade := withoutHTTP2(h.upgrade)
	h.upgrade = nil
	for i := range h.fields {
		f := &h.fields[i]
		if !http1.EqualFold(f.name, "connection") {
			continue
		}
		for list := f.value; len(list) > 0; {
			var token []byte
			token, list, _ = bytes.Cut(list, []byte(","))
			switch token = http1.TrimOWS(token); {
			case http1.EqualFold(token, "close"):
				h.close = true
			case http1.EqualFold(token, "keep-alive"):
				if h.minor == 0 {
					h.close = false
				}
			case http1.EqualFold(token, "upgrade"):
				if h.minor == 1 {
					h.upgrade = upgrade
				}
			case len(token) == 0:
			case !isToken(token):
				if bytes.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
					return refuse(400, "invalid byte in an option of Connection") // some fold to ASCII letters
				}
				// It names no field. nginx does not look.
			default:
				if isProtected(token) {
					return refuse(400, "Connection names a field that is not hop-by-hop")
				}
				for j := range h.fields {
					if http1.EqualFold(h.fields[j].name, string(token)) {
						h.fields[j].drop = true
					}
				}
			}
		}
	}
	return nil
}

func isToken(b []byte) bool {
	for _, c := range b {
		if !http1.IsToken[c] {
			return false
		}
	}
	return true
}

// withoutHTTP2 returns what an Upgrade asks for besides HTTP/2, nil if that is nothing: what came then would be
// requests that nobody here has checked.
func withoutHTTP2(upgrade []byte) []byte {
	var rest []byte
	dropped := false
	for token := range bytes.SplitSeq(upgrade, []byte(",")) {
		token = http1.TrimOWS(token)
		name, _, _ := bytes.Cut(token, []byte("/"))
		if http1.EqualFold(name, "h2c") || http1.EqualFold(name, "h2") || http1.EqualFold(name, "http") {
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
var protected = []string{
	"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "cookie",
	"authorization", "origin", "referer", "cache-control", "range", "if-match", "if-none-match",
}

func isProtected(name []byte) bool {
	return listed(name) || len(name) > 2 && (name[0] == 'x' || name[0] == 'X') && name[1] == '-'
}

// listed reports whether a name is in protected.
func listed(name []byte) bool {
	for _, p := range protected {
		if http1.EqualFold(name, p) {
			return true
		}
	}
	return false
}
