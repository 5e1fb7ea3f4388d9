package compress

import (
	"bytes"
	"strconv"

	"holdfast/internal/http1"
)

// Stored is a stored body in content codings. Any goroutine may call it.
type Stored interface {
	Encoded(c http1.Coding) []byte      // nil: it is not there
	BeginEncoding(c http1.Coding) bool  // the caller is to compress it: it is the first that asks
	CancelEncoding(c http1.Coding)      // the caller does not
	Encode(c http1.Coding, body []byte) // keeps what the caller has compressed
}

// Serve calls send, once, with what a stored response is sent as: its head, without the empty line, and its body. The first
// client that asks for a coding waits for a worker. Others have the body as it is until that is done, and from then on what
// the first has got.
func (r *Response) Serve(head, body []byte, s Stored, send func(head, body []byte)) {
	if r == nil {
		send(head, body)
		return
	}
	l := r.loop
	a := &l.answer
	if a.Parse(append(head, "\r\n"...)) != nil { // it is one of ours
		send(head, body)
		return
	}
	on := r.Head(a)
	l.scratch = a.Append(l.scratch[:0])
	if r.on = false; !on { // and nothing goes through Add
		send(l.scratch, body)
		return
	}
	c := r.coding
	if encoded := s.Encoded(c); encoded != nil || !s.BeginEncoding(c) {
		r.sendStored(l.scratch, body, encoded, send)
		return
	}
	head, r.busy = bytes.Clone(l.scratch), true
	level := r.rule.level
	r.busy = l.work(func() {
		var out []byte
		done := false
		defer func() { l.post(func() { r.stored(done, func() { r.sendStored(head, body, out, send) }) }) }()
		if out = encodeWhole(c, level, body); len(out) < len(body) {
			s.Encode(c, out)
		} else {
			out = nil
		}
		done = true
	})
	if !r.busy {
		s.CancelEncoding(c)
		r.sendStored(head, body, nil, send)
	}
}

// encodeWhole returns a whole body, compressed.
func encodeWhole(c http1.Coding, level int, body []byte) []byte {
	x := Response{rule: &Rule{level: level}, coding: c}
	return bytes.Clone(x.encode(nil, body, false, true)) // without what it has grown by
}

// stored goes on after a worker has compressed a stored body, or has panicked.
func (r *Response) stored(done bool, send func()) {
	if r.busy = false; r.closed {
		return
	}
	r.client.Run(func() {
		if !done {
			r.client.Fail(errPanic)
			return
		}
		send()
	})
}

// sendStored sends a stored response in its coding, or as it is where encoded is nil.
func (r *Response) sendStored(head, body, encoded []byte, send func(head, body []byte)) {
	if encoded != nil {
		r.loop.Responses[r.coding].Add(1)
		head = http1.AppendField(head, []byte("Content-Encoding"), []byte(r.coding.String()))
		body = encoded
	}
	head = strconv.AppendInt(append(head, "Content-Length: "...), int64(len(body)), 10)
	send(append(head, "\r\n"...), body)
}
