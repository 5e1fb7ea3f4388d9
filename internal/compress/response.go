package compress

import (
	"slices"
	"time"

	"holdfast/internal/deflate"
	"holdfast/internal/http1"
)

// Client is what a Response writes to. Its methods are called on the loop.
type Client interface {
	// Run makes a step. If it panics, the response ends.
	Run(step func())

	// Send sends bytes of the response, in chunks if chunked is set. head is the complete head, or nil after the first
	// call. With last, the body is complete, and the trailers follow. The bytes are valid during the call only; it may
	// overwrite those behind data in its buffer. It reports whether the response continues.
	Send(head, data []byte, chunked, last bool, trailers []byte) bool

	// Fail ends a response that can't be completed.
	Fail(error)

	// Sent is called after a Send that was not within a call of Add: more may be added, or all is sent.
	Sent()
}

// Response compresses the response to one request. Nil leaves it as it is. It belongs to a loop.
type Response struct {
	loop     *Loop
	rule     *Rule
	client   Client
	accepted http1.Accepted
	coding   http1.Coding // that the client wants; Identity: none
	fallback http1.Coding // without a compressor of its own
	must     bool         // the client refuses identity
	marked   bool         // the client asks about a compressed response
	isHead   bool

	on    bool // the body goes through Add
	plain bool // and passes as it is
	state
	encoding
}

// state is how far the body is.
type state struct {
	begun    bool   // the client has the head
	chunked  bool   // it gets chunks
	busy     bool   // a worker compresses
	closed   bool   // nothing more is sent
	last     bool   // the end of the body was added, and is not sent
	flush    bool   // the client waits for what was added
	head     []byte // until the client has it; without the empty line
	in       []byte // gathered
	trailers []byte

	waits bool      // it is in Loop.waiting
	since time.Time // the same
}

// encoding is what the compressor has to go on with.
type encoding struct {
	enc    *encoder // nil: none, or it was given back
	held   bool     // it is counted in Pool.held
	headed bool     // the head of gzip is written
	sum    deflate.Sum
}

// Begin returns the response to a request, nil if none is compressed. It does what Request does. client is not used before Add.
func (r *Rule) Begin(l *Loop, h *http1.Head, client Client) *Response {
	if r == nil {
		return nil
	}
	x := &Response{loop: l, rule: r, client: client, isHead: string(h.Method) == "HEAD"}
	if h.Minor > 0 { // HTTP/1.0 knows no chunks, and its proxies no Vary
		a := http1.AcceptedBy(h.Fields)
		x.accepted, x.coding, x.must = a, a.Best(r.codings), a.Weight(http1.Identity) == 0
		if slices.Contains(r.codings, http1.Gzip) && a.Weight(http1.Gzip) > 0 {
			x.fallback = http1.Gzip
		}
	}
	x.Request(h)
	return x
}

// Again ends the response, of which nothing was sent, and returns another one to the same request.
func (r *Response) Again() *Response {
	if r == nil {
		return nil
	}
	r.Close()
	return &Response{
		loop: r.loop, rule: r.rule, client: r.client, accepted: r.accepted, coding: r.coding, fallback: r.fallback,
		must: r.must, marked: r.marked, isHead: r.isHead,
	}
}

// Request gives the conditions of a request the entity tags that the app knows. It may be called again for another copy of
// the head.
func (r *Response) Request(h *http1.Head) {
	if r == nil {
		return
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Drop || !http1.EqualFold(f.Name, "if-none-match") && !http1.EqualFold(f.Name, "if-match") || !http1.HasEncodedTag(f.Value) {
			continue
		}
		var changed bool
		f.Value, changed = http1.MapEntityTags(f.Value, http1.OwnTag)
		r.marked = r.marked || changed
	}
}

// Precompressed returns a function that says which codings the client takes instead of a file of a media type, the best first.
// It is nil if there are none, or files that are compressed already are not looked for. Any goroutine may call the function.
func (r *Response) Precompressed() func(kind string) []http1.Coding {
	if r == nil || !r.rule.static || r.coding == http1.Identity {
		return nil
	}
	rule, accepted := r.rule, r.accepted
	return func(kind string) (list []http1.Coding) {
		if !rule.types.has([]byte(kind)) {
			return nil
		}
		for rest := slices.Clone(rule.codings); ; {
			best := accepted.Best(rest)
			if best == http1.Identity {
				return list
			}
			list, rest = append(list, best), slices.DeleteFunc(rest, func(c http1.Coding) bool { return c == best })
		}
	}
}

// Head looks at the head of the response. It reports whether the body is to be compressed: then all of it goes through Add, and
// the head has neither its length nor its framing.
func (r *Response) Head(a *http1.Answer) bool {
	switch {
	case r == nil:
		return false
	case a.Status == 304:
		if r.marked {
			addVary(a)
			markTags(a)
		}
		return false
	case a.Length == 0 || a.Length > 0 && a.Length < r.rule.minLength && !r.must || !r.rule.mayCompress(a):
		return false
	}
	addVary(a)
	if r.coding == http1.Identity {
		return false
	}
	encode(a)
	if r.isHead {
		a.Fields = append(a.Fields, http1.Field{Name: []byte("Content-Encoding"), Value: []byte(r.coding.String())})
		return false
	}
	a.Length, r.on = -1, true
	return true
}

// IsOn reports whether the body goes through Add.
func (r *Response) IsOn() bool { return r != nil && r.on }

// Full reports whether nothing more should be added for now.
func (r *Response) Full() bool { return r != nil && r.busy && len(r.in) >= pieceSize }

// Pending returns how many bytes were added and are not sent.
func (r *Response) Pending() int {
	if r == nil {
		return 0
	}
	return len(r.in) + len(r.head)
}

// Done reports whether the client was sent all that was added.
func (r *Response) Done() bool { return r == nil || !r.busy && !r.last && len(r.in) == 0 }

// Close ends the response, whatever its state. It may be called more than once.
func (r *Response) Close() {
	if r == nil || r.closed {
		return
	}
	r.closed = true
	if !r.busy { // or else when the worker has ended
		r.dispose()
	}
}

// dispose gives back what the response has.
func (r *Response) dispose() {
	if r.enc != nil {
		r.enc.free()
		r.enc = nil
	}
	r.giveUp()
	freePiece(r.in)
	r.in = nil
}

// giveUp lets another response have a compressor.
func (r *Response) giveUp() {
	if r.held {
		r.loop.give()
		r.held = false
	}
}
