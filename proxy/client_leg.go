package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/rate"
	"holdfast/internal/sendbuf"
	"holdfast/internal/tempfile"
)

// clientLeg is the client's connection, and the part of the response that the client has not taken.
type clientLeg struct {
	x        *exchange
	conn     *park.Conn
	trusted  bool            // the client is a trusted proxy
	from     netip.AddrPort  // who sent the request
	user     string          // who has logged in; empty: nobody
	out      *sendbuf.Buffer // read from the upstream ahead of the client
	file     *tempfile.File  // of a response beyond buffers.response; nil without a file
	fileTail []byte          // what follows the file's bytes
	early    []byte          // what the client sent after this request

	passed int64        // bytes for the client, queued ones included
	taken  int64        // of those, at the last check
	heads  int64        // bytes of passed that are not body
	pace   rate.Minimum // of the client's reading

	http10     bool
	trailers   bool // the client accepts trailers
	chunked    bool // the client gets the body in chunks
	keep       bool // the connection stays open after the response
	begun      bool // the client has bytes of the response
	unbuffered bool // the app asked that nothing is taken ahead
	silent     bool // the client was told that it has the body
	touched    bool // the client sent something, or hung up, and that was not read
	gone       bool // the client is gone; the upload that it had finished goes on

	rest func() bool // passes more of what was read; nil: there is nothing
}

// appendConnection appends what depends on the connection: Connection, which says whether it stays open, and with TLS
// Options.HSTS.
func (c *clientLeg) appendConnection(b []byte) []byte {
	if hsts := c.x.p.o.HSTS; hsts != "" && c.conn.TLS() {
		b = http1.AppendOnce(b, "Strict-Transport-Security", hsts)
	}
	switch {
	case !c.keep:
		return append(b, "Connection: close\r\n"...)
	case c.http10:
		return append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// passBody sends head, if any, and data through all that changes or reads a body to the client. With last, the body is complete,
// and the trailers follow. It may overwrite the bytes behind data in its buffer.
func (c *clientLeg) passBody(head, data []byte, last bool, trailers []byte) bool {
	c.x.push.Add(data, last)
	return c.passPage(head, data, last, trailers)
}

// passPage is passBody of a piece, or of what is left of one that has grown.
func (c *clientLeg) passPage(head, data []byte, last bool, trailers []byte) bool {
	data, err := c.x.page.Append(data, last)
	if err != nil {
		c.x.cut(err)
		return false
	}
	if c.rest = nil; c.x.page.More() {
		was, kept := last, bytes.Clone(trailers)
		c.rest = func() bool { return c.passPage(nil, nil, was, kept) }
		c.x.later(c.passRest)
		last = false
	}
	if s := c.x.fetch; s != nil {
		s.Add(data, c.x.f.loop.Now())
		if last {
			s.Complete(c.x.f.loop.Now())
		}
		if c.silent {
			data = nil
		}
	}
	if c.x.coder.IsOn() && !c.gone {
		return c.x.coder.Add(head, data, c.unbuffered, last, trailers)
	}
	return c.frame(head, data, last, trailers)
}

// passRest passes more of a piece that has grown, when others have had their turn and the client takes it.
func (c *clientLeg) passRest() {
	if c.rest != nil && !c.full() && !c.x.coder.Full() && c.rest() && c.rest == nil {
		c.Sent()
	}
}

// Run, Fail, Send and Sent implement compress.Client.
func (c *clientLeg) Run(step func()) { c.x.run(step) }
func (c *clientLeg) Fail(err error)  { c.x.cut(err) }
func (c *clientLeg) Send(head, data []byte, chunked, last bool, trailers []byte) bool {
	c.chunked = chunked
	return c.frame(head, data, last, trailers)
}

func (c *clientLeg) Sent() {
	switch {
	case c.x.completed:
		c.x.complete()
	case !c.full():
		c.x.goOn()
	}
}

// frame sends head, if any, and data to the client, in chunks if chunked is set.
func (c *clientLeg) frame(head, data []byte, last bool, trailers []byte) bool {
	n := len(data)
	if c.chunked {
		if n > 0 {
			if head == nil {
				head = c.x.f.loop.Out()[:0]
			}
			head = http1.AppendChunkSize(head, n)
			data = append(data, "\r\n"...)
		}
		if last {
			if !c.trailers {
				trailers = nil
			}
			data = http1.AppendLastChunk(data, trailers)
		}
	}
	c.heads += int64(len(head) + len(data) - n)
	return len(head)+len(data) == 0 || c.pass(head, data)
}

// pass sends a and b to the client, or queues copies of them. It reports whether the exchange continues.
func (c *clientLeg) pass(a, b []byte) bool { return c.passBy(sendbuf.Send, a, b) }

// passStored is pass for a b that is never changed.
func (c *clientLeg) passStored(a, b []byte) bool { return c.passBy(sendbuf.SendShared, a, b) }

func (c *clientLeg) passBy(send func(c *park.Conn, p **sendbuf.Buffer, a, b []byte) error, a, b []byte) bool {
	c.begun = true
	c.passed += int64(len(a) + len(b))
	if c.file != nil {
		c.writeFile(a, b)
		return true
	}
	if !c.gone {
		if err := send(c.conn, &c.out, a, b); err == nil {
			return c.out == nil || c.await()
		}
	}
	c.x.clientGone() // it ends the exchange, unless others wait for the rest
	return c.x.client.conn != nil
}

// full reports whether the client must take something before more is read from the upstream.
func (c *clientLeg) full() bool {
	if c.file != nil {
		return c.fileFull()
	}
	if c.out == nil {
		return false
	}
	return c.unbuffered || c.out.Len() >= c.x.route.ResponseBuffer || c.x.p.buffered.Load() > c.x.p.o.BufferTotal
}

// flush writes what is queued. It reports whether the exchange continues.
func (c *clientLeg) flush() bool {
	err := sendbuf.Flush(c.conn, &c.out)
	c.x.count()
	switch {
	case err == park.ErrAgain:
		return c.await()
	case err != nil:
		c.x.clientGone()
		return false
	}
	c.conn.SetDeadline(0)
	if !c.x.upload.body.Done && c.x.app.out == nil { // from now on the exchange waits for the body
		d, _ := c.x.upload.pace.Wait(c.x.f.loop.Now(), c.x.upload.received, c.x.route.BodyTime, c.x.route.BodyRate)
		c.conn.SetDeadline(max(d, time.Millisecond))
	}
	if c.file != nil {
		return c.drainFile()
	}
	if c.x.completed && c.x.passed() {
		c.x.finish()
		return false
	}
	return true
}

// await sets the deadline of a client that has bytes to read. It reports false if the client has been too slow already.
func (c *clientLeg) await() bool {
	c.x.count()
	o := c.x.route
	if o.SendRate > 0 {
		c.progressed()
	}
	d, ok := c.pace.Wait(c.x.f.loop.Now(), c.taken, o.SendTime, o.SendRate)
	if !ok {
		c.x.tooSlow(errTooSlow)
		return false
	}
	c.conn.SetDeadline(d)
	return true
}

// progressed measures how much the client has acknowledged, and reports whether that is more than before. The kernel
// says that it has room again only when a third of its buffer is free, and that can be megabytes: many minutes for a
// client that does read, but slowly.
func (c *clientLeg) progressed() bool {
	before := c.taken
	c.taken = c.passed - c.waiting() - int64(c.conn.Unsent())
	return c.taken > before
}

// waiting returns how many bytes for the client are not sent yet.
func (c *clientLeg) waiting() int64 {
	return int64(c.out.Len()+len(c.fileTail)) + c.file.Len()
}
