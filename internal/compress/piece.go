package compress

import (
	"errors"
	"strconv"
	"sync"

	"holdfast/internal/deflate"
	"holdfast/internal/http1"
)

// errPanic is the reason for the end of a response whose compressor has panicked.
var errPanic = errors.New("compress: the compressor has failed")

// pieces are buffers of what is gathered, and of what workers have made of it.
var pieces = sync.Pool{New: func() any { b := make([]byte, 0, pieceSize+pieceSize/2); return &b }}

// maxPiece is the capacity up to which a buffer is kept.
const maxPiece = 256 << 10

func newPiece() []byte { return (*pieces.Get().(*[]byte))[:0] }

func freePiece(b []byte) {
	if b != nil && cap(b) <= maxPiece {
		pieces.Put(&b)
	}
}

// Add takes the next bytes of the body, and with the first ones the complete head. With last, the body is complete. flush
// says that the client waits for these bytes. It reports whether the response continues.
func (r *Response) Add(head, data []byte, flush, last bool, trailers []byte) bool {
	if len(head) > 0 {
		r.head = append(r.head, head[:len(head)-len("\r\n")]...)
	}
	switch {
	case r.plain:
		return r.pass(nil, data, last, trailers)
	case len(head)+len(data) == 0 && !last:
		return true
	}
	r.last, r.flush = last, r.flush || flush
	if last {
		r.trailers = append(r.trailers, trailers...)
	}
	switch {
	case r.busy:
		r.gather(data)
		return true
	case len(r.in) == 0 && (last || flush || len(data) >= pieceSize) && r.loop.takes(len(data)):
		return r.compress(data, true)
	}
	if r.gather(data); r.isDue() {
		return r.next(r.flush)
	}
	r.loop.await(r)
	return true
}

// isDue reports whether what is gathered is to be compressed.
func (r *Response) isDue() bool {
	return r.last || len(r.in) >= pieceSize || r.flush && (len(r.in) > 0 || !r.begun)
}

// gather keeps data for the next piece.
func (r *Response) gather(data []byte) {
	if len(data) > 0 {
		if r.in == nil {
			r.in = newPiece()
		}
		r.in = append(r.in, data...)
	}
}

// next compresses what is gathered. It reports whether the response continues.
func (r *Response) next(flush bool) bool {
	src := r.in
	r.in, r.flush = nil, flush
	ok := r.compress(src, r.loop.takes(len(src)))
	if !r.busy {
		freePiece(src)
	}
	return ok
}

// compress compresses src on the loop if here is set, and otherwise on a worker, which src is left to. It reports whether the
// response continues.
func (r *Response) compress(src []byte, here bool) bool {
	if !r.begin(len(src)) {
		return r.sendPlain(src, r.last)
	}
	if !here && r.compressLater(src) {
		return true
	}
	l, flush := r.loop, r.flush
	r.flush = false
	l.scratch = r.encode(l.scratch[:0], src, flush, r.last)
	ok := r.send(src, l.scratch, r.last)
	if cap(l.scratch) > maxPiece {
		l.scratch = nil
	}
	return ok
}

// begin decides on a response of which nothing was sent; n bytes are the whole body, or its beginning. It reports whether it
// is compressed.
func (r *Response) begin(n int) bool {
	switch {
	case r.begun || r.held:
	case r.last:
		return n > 0 && (int64(n) >= r.rule.minLength || r.must)
	default:
		if r.held = r.loop.take(r.loop.now()); !r.held {
			r.coding = r.fallback
		}
	}
	return r.coding != http1.Identity
}

// compressLater has a worker compress src, which is the response's own. It reports false if none is free.
func (r *Response) compressLater(src []byte) bool {
	flush, last, failed := r.flush, r.last, true
	var out []byte
	r.busy = true
	r.busy = r.loop.work(func() {
		defer func() {
			if !r.loop.post(func() { r.compressed(src, out, last, failed) }) {
				r.dispose()
			}
		}()
		out = r.encode(newPiece(), src, flush, last)
		failed = false
	})
	r.flush = r.flush && !r.busy
	return r.busy
}

// compressed takes what a worker has made of src.
func (r *Response) compressed(src, out []byte, last, failed bool) {
	r.busy = false
	if r.closed {
		r.dispose()
		return
	}
	r.client.Run(func() {
		if failed { // the worker has logged the panic
			r.client.Fail(errPanic)
			return
		}
		ok := r.send(src, out, last)
		freePiece(src)
		freePiece(out)
		switch {
		case !ok:
			return
		case !last && r.isDue():
			ok = r.next(r.flush)
		case len(r.in) > 0:
			r.loop.await(r)
		}
		if ok {
			r.client.Sent()
		}
	})
}

// encode appends src, compressed. Without a compressor of its own, a response in gzip has one for this call: blocks of gzip need
// not know of those before. It may run on a worker.
func (r *Response) encode(dst, src []byte, flush, last bool) []byte {
	isGzip := r.coding == http1.Gzip
	keep := !last && (r.held || !isGzip) && !(isGzip && flush && r.loop.isScarce())
	e := r.enc
	if r.enc = nil; e == nil {
		e = newEncoder(r.coding, r.rule.level)
	}
	if isGzip {
		if !r.headed {
			dst, r.headed = append(dst, deflate.GzipHead...), true
		}
		r.sum.Add(src)
	}
	e.out = dst
	check(e.Write(src))
	switch {
	case last:
		check(0, e.Close())
	case flush || !keep:
		check(0, e.Flush())
	}
	dst = e.out
	if last && isGzip {
		dst = r.sum.AppendTrailer(dst)
	}
	if keep {
		r.enc = e
	} else {
		e.free()
	}
	return dst
}

// check panics on an error of a compressor: they write to memory, so there is none.
func check(_ int, err error) {
	if err != nil {
		panic(err)
	}
}

// send sends what became of a piece. A whole body has a length, and stays as it is if that is shorter.
func (r *Response) send(src, out []byte, last bool) bool {
	whole := last && !r.begun && len(r.trailers) == 0
	if whole && len(out) >= len(src) && !r.must {
		return r.sendPlain(src, last)
	}
	s := &r.loop.Stats
	s.In.Add(int64(len(src)))
	s.Out.Add(int64(len(out)))
	var head []byte
	if !r.begun {
		s.Responses[r.coding].Add(1)
		head = http1.AppendField(r.head, []byte("Content-Encoding"), []byte(r.coding.String()))
		head = r.frame(head, whole, len(out))
	}
	return r.pass(head, out, last, r.trailers)
}

// sendPlain sends src as it is: the whole body, or the beginning of one that there is no compressor for.
func (r *Response) sendPlain(src []byte, last bool) bool {
	r.loop.Stats.Plain.Add(1)
	r.plain = true
	return r.pass(r.frame(r.head, last && len(r.trailers) == 0, len(src)), src, last, r.trailers)
}

// frame completes the head.
func (r *Response) frame(head []byte, whole bool, n int) []byte {
	if r.chunked = !whole; r.chunked {
		head = append(head, "Transfer-Encoding: chunked"...)
	} else {
		head = strconv.AppendInt(append(head, "Content-Length: "...), int64(n), 10)
	}
	return append(head, "\r\n\r\n"...)
}

// pass gives the client a piece, with the head if that is not sent yet. It reports whether the response continues.
func (r *Response) pass(head, data []byte, last bool, trailers []byte) bool {
	r.head, r.begun = nil, true
	if last {
		r.last = false
		r.giveUp()
	}
	return r.client.Send(head, data, r.chunked, last, trailers)
}
