package accesslog

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"holdfast/internal/http1"
	"holdfast/internal/tracecontext"
)

// Request has the logged parts of a request's head. Its slices are read during Begin only.
type Request struct {
	Client        netip.Addr
	Line          []byte // the request line as it came; used when Method is empty
	Method        []byte
	Target        []byte
	Minor         byte // HTTP/1.Minor
	Host          []byte
	Referer       []byte
	UserAgent     []byte
	Authorization []byte // only the user name of Basic is logged
	Started       time.Time
}

// RequestOfLine returns a request whose head could not be parsed. b begins with the received part of the head.
func RequestOfLine(b []byte, client netip.Addr) *Request {
	line, _, _ := bytes.Cut(bytes.TrimLeft(b[:min(len(b), 1024)], "\r\n"), []byte("\n"))
	return &Request{Client: client.Unmap(), Line: bytes.TrimSuffix(line, []byte("\r"))}
}

// RequestOf returns the logged parts of a head.
func RequestOf(h *http1.Head, client netip.Addr) *Request {
	r := &Request{Client: client, Method: h.Method, Target: h.Target, Minor: h.Minor, Host: h.Host}
	for i := range h.Fields {
		switch f := &h.Fields[i]; {
		case http1.EqualFold(f.Name, "referer"):
			r.Referer = f.Value
		case http1.EqualFold(f.Name, "user-agent"):
			r.UserAgent = f.Value
		case http1.EqualFold(f.Name, "authorization"):
			r.Authorization = f.Value
		}
	}
	return r
}

// Outcome is the result of a request.
type Outcome struct {
	Status   int   // 499: the client disconnected before the response, as in nginx
	Bytes    int64 // of the response's body, as sent
	Received int64 // of the request's body
	Now      time.Time
	Started  time.Time
	Upstream string        // empty: the request was not sent to the app
	AppTime  time.Duration // from sending the request to the app to the end of its response
	End      string        // empty: complete; otherwise why it ended early
	Cache    string        // what the cache has done, as nginx's $upstream_cache_status; empty: no rule is about the request

	Trace *tracecontext.Context // nil: none
}

// split separates the parts of a combined line between which something is filled in at the end. Escaping
// leaves no such byte in a part.
const split = '\x00'

// Begin appends to b the parts of the line that are known already.
func (l *Log) Begin(b []byte, r *Request) []byte {
	if l.secret != "" {
		said := *r
		said.Line, said.Target, said.Referer = l.public(r.Line), l.public(r.Target), l.public(r.Referer)
		r = &said
	}
	if l.json {
		return beginJSON(b, r)
	}
	if r.Client.IsValid() {
		b = r.Client.AppendTo(b)
	} else {
		b = append(b, "unix:"...)
	}
	b = append(b, " - "...)
	b = appendEscaped(b, user(r.Authorization))
	b = append(b, " ["...)
	b = append(b, split)
	b = append(b, `] "`...)
	if len(r.Method) > 0 {
		b = appendEscaped(b, r.Method)
		b = append(b, ' ')
		b = appendEscaped(b, r.Target)
		b = append(b, " HTTP/1."...)
		b = append(b, '0'+r.Minor)
	} else if len(r.Line) > 0 {
		b = appendEscaped(b, r.Line)
	}
	b = append(b, `" `...)
	b = append(b, split)
	b = append(b, ` "`...)
	b = appendEscaped(b, r.Referer)
	b = append(b, `" "`...)
	b = appendEscaped(b, r.UserAgent)
	return append(b, '"')
}

// appendLine completes what Begin began.
func (l *Log) appendLine(b, begun []byte, o *Outcome) []byte {
	if l.json {
		return endJSON(append(b, begun...), o)
	}
	first, rest, _ := bytes.Cut(begun, []byte{split})
	second, third, _ := bytes.Cut(rest, []byte{split})
	b = append(b, first...)
	b = o.Now.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, second...)
	b = append(b, status(o.Status)...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, o.Bytes, 10)
	b = append(b, third...)
	if l.cache {
		b = append(b, ' ')
		b = appendEscaped(b, []byte(o.Cache))
	}
	if l.trace {
		b = append(b, ' ')
		if o.Trace.Has() {
			b = o.Trace.AppendID(b)
		} else {
			b = append(b, '-')
		}
	}
	return append(b, '\n')
}

// status is three digits, as in nginx, also where there is none.
func status(n int) string {
	if n < 100 || n > 999 {
		return "000"
	}
	return strconv.Itoa(n)
}

// appendEscaped writes s as nginx does: "-" for nothing, \xXX for quotes, backslashes, control bytes and
// what is not ASCII.
func appendEscaped(b, s []byte) []byte {
	if len(s) == 0 {
		return append(b, '-')
	}
	const hex = "0123456789ABCDEF"
	for _, c := range s {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// user returns the name in a Basic Authorization (RFC 7617), or nothing.
func user(authorization []byte) []byte {
	if len(authorization) < 7 || !bytes.EqualFold(authorization[:6], []byte("basic ")) {
		return nil
	}
	plain, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(authorization[6:])))
	if err != nil {
		return nil
	}
	name, _, ok := bytes.Cut(plain, []byte(":"))
	if !ok {
		return nil
	}
	return name
}

func beginJSON(b []byte, r *Request) []byte {
	b = append(b, '{')
	if r.Client.IsValid() {
		b = appendMember(b, "client", r.Client.AppendTo(nil))
	}
	b = appendMember(b, "user", user(r.Authorization))
	b = appendMember(b, "method", r.Method)
	b = appendMember(b, "target", r.Target)
	if len(r.Method) == 0 {
		b = appendMember(b, "line", r.Line)
	}
	b = appendMember(b, "host", r.Host)
	b = appendMember(b, "referer", r.Referer)
	return appendMember(b, "user_agent", r.UserAgent)
}

func endJSON(b []byte, o *Outcome) []byte {
	b = append(b, `"time":"`...)
	b = o.Now.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(o.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, o.Bytes, 10)
	b = append(b, `,"received":`...)
	b = strconv.AppendInt(b, o.Received, 10)
	b = append(b, `,"seconds":`...)
	b = appendSeconds(b, o.Now.Sub(o.Started))
	if o.Upstream != "" {
		b = append(b, ',')
		b = appendMember(b, "upstream", []byte(o.Upstream))
		b = append(b, `"upstream_seconds":`...)
		b = appendSeconds(b, o.AppTime)
	}
	if o.Cache != "" {
		b = append(b, `,"cache":`...)
		b = appendString(b, []byte(o.Cache))
	}
	if o.Trace.Has() {
		b = append(o.Trace.AppendID(append(b, `,"trace_id":"`...)), '"')
	}
	if o.End != "" {
		b = append(b, `,"end":`...)
		b = appendString(b, []byte(o.End))
	}
	return append(b, "}\n"...)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, max(d, 0).Seconds(), 'f', 3, 64)
}

// appendMember writes a member and a comma, unless the value is empty.
func appendMember(b []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	b = appendString(b, value)
	return append(b, ',')
}

// appendString writes a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029:
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
		s = s[n:]
	}
	return append(b, '"')
}
