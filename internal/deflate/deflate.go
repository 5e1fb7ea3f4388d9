// Package deflate compresses pieces of a stream that are put together later: a message is compressed once, and every
// subscriber's WebSocket frame or gzip response is made of the same bytes.
package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync"
)

// Flushed is the end of what Append appends: an empty stored block. A WebSocket frame leaves it out (RFC 7692 §7.2.1).
const Flushed = "\x00\x00\xff\xff"

// writers run at the fastest level: a loop waits for them.
var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// Append appends p, compressed without what came before, and flushed to a byte boundary.
func Append(b, p []byte) []byte {
	out := bytes.NewBuffer(b)
	w := writers.Get().(*flate.Writer)
	w.Reset(out)
	w.Write(p) // into memory
	w.Flush()
	writers.Put(w)
	return out.Bytes()
}

// reader inflates one message after the other.
type reader struct {
	in  bytes.Reader
	out io.ReadCloser
}

var readers = sync.Pool{New: func() any {
	f := new(reader)
	f.out = flate.NewReader(&f.in)
	return f
}}

// maxFinal is how many final blocks a short input may have; a long one may have one more for each kB.
const maxFinal = 16

// Errors of Inflate.
var (
	ErrFormat = errors.New("deflate: malformed data")
	ErrTooBig = errors.New("deflate: output too large")
)

// Inflate returns what p, which ends as Append ends but for Flushed, is without compression. It stops at max bytes,
// whatever the rest would be.
func Inflate(p []byte, max int) ([]byte, error) {
	f := readers.Get().(*reader)
	defer readers.Put(f)
	f.in.Reset(slices.Concat(p, []byte(Flushed), []byte("\x01\x00\x00\xff\xff"))) // and the end of the stream
	var b bytes.Buffer
	for blocks := 0; f.in.Len() > 0; blocks++ { // a final block may come before the end (RFC 7692 §7.2.3.4)
		if blocks > maxFinal+len(p)>>10 { // each costs more than its bytes
			return nil, ErrFormat
		}
		if err := f.out.(flate.Resetter).Reset(&f.in, nil); err != nil {
			return nil, ErrFormat
		}
		if _, err := io.Copy(&b, io.LimitReader(f.out, int64(max-b.Len())+1)); err != nil {
			return nil, ErrFormat
		}
		if b.Len() > max {
			return nil, ErrTooBig
		}
	}
	return b.Bytes(), nil
}

// GzipHead begins a gzip member (RFC 1952 §2.3) of no time and an unknown system. Blocks of Append and AppendStored
// follow, and AppendTrailer ends it.
const GzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"

// AppendStored appends p as blocks without compression (RFC 1951 §3.2.4); one has room for 64 kB.
func AppendStored(b, p []byte, last bool) []byte {
	for {
		n := min(len(p), 0xffff)
		final := byte(0)
		if last && n == len(p) {
			final = 1
		}
		b = append(b, final)
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, ^uint16(n))
		b = append(b, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return b
		}
	}
}

// Sum is the trailer of a gzip member: the checksum and the length of what is compressed. Its zero value is that of
// nothing.
type Sum struct{ crc, n uint32 }

// Add counts p.
func (s *Sum) Add(p []byte) {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p)
	s.n += uint32(len(p))
}

// AppendTrailer ends a gzip member.
func (s *Sum) AppendTrailer(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, s.crc)
	return binary.LittleEndian.AppendUint32(b, s.n)
}
