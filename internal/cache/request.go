package cache

import (
	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// Request is what the cache looks at of a request. All of it points into somebody else's bytes, and is only read during a
// call: who leads a fetch or waits for one keeps a Clone, for Judge and for its own turn. Fields that are dropped on the way
// to the app do not count.
type Request struct {
	Method []byte
	Target []byte // as it came, in origin form
	Path   []byte // the beginning of Target, without the query
	Fields []http1.Field

	HTTPS   bool   // how the client came, as the app is told
	Host    []byte // that the app is told the client asked for, host[:port]
	Port    uint16 // that the app is told the client came to; 0: none
	Trusted bool   // the client is a proxy whose X-Forwarded-… fields reach the app

	Upgrade bool   // it asks for another protocol
	HasBody bool   // it announces a body
	Whole   bool   // Body is all of that
	Body    []byte // what there is of it
}

// RequestOf returns what a head says. The caller fills in how the client came, if a proxy in front or the configuration
// knows better, and the body.
func RequestOf(h *http1.Head) Request {
	return Request{
		Method: h.Method, Target: h.Target, Path: h.Path, Fields: h.Fields, Host: h.Host,
		Upgrade: h.Upgrade != nil, HasBody: h.Chunked || h.Length > 0,
	}
}

// Clone returns a copy that keeps its own bytes, but for the body.
func (q *Request) Clone() *Request {
	n := len(q.Method) + len(q.Target) + len(q.Host)
	for i := range q.Fields {
		n += len(q.Fields[i].Name) + len(q.Fields[i].Value)
	}
	room := make([]byte, 0, n)
	keep := func(b []byte) []byte {
		room = append(room, b...)
		return room[len(room)-len(b) : len(room) : len(room)]
	}
	c := *q
	c.Method, c.Target, c.Host = keep(q.Method), keep(q.Target), keep(q.Host)
	c.Path = c.Target[:len(q.Path)]
	c.Fields = make([]http1.Field, len(q.Fields))
	for i, f := range q.Fields {
		c.Fields[i] = http1.Field{Name: keep(f.Name), Value: keep(f.Value), Drop: f.Drop}
	}
	return &c
}

// Query returns the query without its question mark, and whether there is one.
func (q *Request) Query() ([]byte, bool) {
	if len(q.Target) <= len(q.Path) {
		return nil, false
	}
	return q.Target[len(q.Path)+1:], true
}

// IsHead reports whether only the head of the response is wanted.
func (q *Request) IsHead() bool { return string(q.Method) == "HEAD" }

// Field returns the value of the first field of a name, in lower case, and how many there are.
func (q *Request) Field(name string) (first []byte, n int) { return headers.Value(q.Fields, name) }
