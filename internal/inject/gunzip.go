package inject

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"iter"
	"sync"

	"holdfast/internal/deflate"
)

const (
	blockSize  = 32 << 10  // bytes of a page that are compressed together
	maxInflate = 256 << 10 // bytes of a page that one Append makes
)

// gunzip takes a body in gzip apart and puts it together again, piece by piece. compress/gzip can't stop in the middle of
// its input and go on later, so its reader runs as a coroutine (iter.Pull), which stands still between two calls and
// never runs beside its caller. Where the app flushes, all that it wrote comes out.
type gunzip struct {
	in   []byte // for the reader; owned by the caller of Append but for the time between two calls
	last bool   // nothing comes behind in
	more bool   // in has more than one Append makes a page of

	started bool // in has begun as gzip does
	begun   bool // some of the output is written
	end     ending
	pull    func() ([]byte, bool)
	stop    func()
	yield   func([]byte) bool // of the coroutine
	*inflater
	sum deflate.Sum
}

// inflater is the memory of a gunzip.
type inflater struct {
	reader gzip.Reader
	buf    [16 << 10]byte
	page   []byte // with the tag, to be compressed
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// ending is how the reader's part ended.
type ending uint8

const (
	unfinished ending = iota
	complete
	cut       // the app's gzip has no end; browsers show what is there
	malformed // it is damaged
)

var errStopped = errors.New("inject: closed")

// feed takes the next of the body. It reports whether it is known what the body is, and whether that is gzip.
func (z *gunzip) feed(p []byte, last bool) (known, is bool) {
	const magic = "\x1f\x8b"
	z.last = last
	if len(z.in) > 0 {
		p = append(z.in, p...)
	}
	z.in = p
	if z.started {
		return true, true
	}
	if len(p) < len(magic) && !last {
		z.keep()
		return false, false
	}
	if !bytes.HasPrefix(p, []byte(magic)) {
		return true, false
	}
	z.started, z.inflater = true, inflaters.Get().(*inflater)
	z.page = z.page[:0]
	z.pull, z.stop = iter.Pull(z.run)
	return true, true
}

// run is the coroutine: it yields pieces of the page, and an empty one where it needs more of the body.
func (z *gunzip) run(yield func([]byte) bool) {
	z.yield = yield
	err := z.reader.Reset(z)
	for err == nil {
		z.reader.Multistream(false)
		for err == nil {
			var n int
			if n, err = z.reader.Read(z.buf[:]); n > 0 && !yield(z.buf[:n]) {
				return
			}
		}
		if err == io.EOF {
			if err = z.reader.Reset(z); err != nil { // what is behind the member, if anything, is none: browsers ignore it
				z.end = complete
				return
			}
		}
	}
	if z.end = malformed; errors.Is(err, io.ErrUnexpectedEOF) {
		z.end = cut
	}
}

// next returns the next piece of the page. It is empty at the end, and if more of the body is needed.
func (z *gunzip) next() []byte {
	b, _ := z.pull()
	return b
}

// await waits for more of the body.
func (z *gunzip) await() error {
	for len(z.in) == 0 {
		if z.last {
			return io.EOF
		}
		if !z.yield(nil) {
			return errStopped
		}
	}
	return nil
}

// Read implements flate.Reader for the coroutine.
func (z *gunzip) Read(p []byte) (int, error) {
	if err := z.await(); err != nil {
		return 0, err
	}
	n := copy(p, z.in)
	z.in = z.in[n:]
	return n, nil
}

// ReadByte implements flate.Reader for the coroutine.
func (z *gunzip) ReadByte() (byte, error) {
	if err := z.await(); err != nil {
		return 0, err
	}
	c := z.in[0]
	z.in = z.in[1:]
	return c, nil
}

// compress appends what is there of the page, flushed. Nothing of the compression is kept for the next time: a compressor
// that waits for the rest of a slow page would have many times the page's memory.
func (z *gunzip) compress(dst []byte) []byte {
	if len(z.page) == 0 {
		return dst
	}
	if !z.begun {
		z.begun = true
		dst = append(dst, deflate.GzipHead...)
	}
	z.sum.Add(z.page)
	dst = deflate.Append(dst, z.page)
	z.page = z.page[:0]
	return dst
}

// finish appends the end of the compressed page, if the app's has one, or returns an error if it is damaged.
func (z *gunzip) finish(dst []byte) ([]byte, error) {
	switch z.end {
	case unfinished:
		return dst, nil
	case malformed:
		z.close()
		return dst, ErrEncoding
	case complete:
		if z.inflater == nil { // it was finished before
			return dst, nil
		}
		if !z.begun {
			dst = append(dst, deflate.GzipHead...)
		}
		dst = z.sum.AppendTrailer(deflate.AppendStored(dst, nil, true))
	}
	z.close()
	return dst, nil
}

// keep copies what the reader has not taken yet, as the caller's buffer is not valid any more.
func (z *gunzip) keep() { z.in = bytes.Clone(z.in) }

// close ends the coroutine.
func (z *gunzip) close() {
	if z.inflater == nil {
		return
	}
	z.stop()
	inflaters.Put(z.inflater)
	z.inflater = nil
}
