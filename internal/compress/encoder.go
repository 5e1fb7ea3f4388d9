package compress

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	brotli "github.com/molecule-man/go-brrr"

	"holdfast/internal/http1"
)

// MaxLevel is the highest level. Brotli and zstd have higher ones, which are for files that are compressed once.
const MaxLevel = 9

// window is how far back brotli and zstd look for repetitions, as a power of two. Theirs would be 4 MB and more, which the
// compressor keeps in memory.
const window = 18

// qualities are brotli's of each level: those that take about the time of gzip at the level.
var qualities = [MaxLevel + 1]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 9}

// stream is a compressor of one of the libraries.
type stream interface {
	io.Writer
	Flush() error // ends what was written at a byte, so that it can be decompressed
	Close() error
	Reset(io.Writer)
}

// encoder is a compressor with what it has written.
type encoder struct {
	stream
	out    buffer
	coding http1.Coding
	level  int
}

type buffer []byte

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// encoders are those that nobody uses: a few stay, as each garbage collection empties a sync.Pool, and making one costs more
// than compressing a page.
var encoders [http1.Zstd + 1][MaxLevel + 1]struct {
	kept  [4]atomic.Pointer[encoder]
	extra sync.Pool
}

// newEncoder returns a compressor that is at the beginning.
func newEncoder(c http1.Coding, level int) *encoder {
	free := &encoders[c][level]
	for i := range free.kept {
		if e := free.kept[i].Swap(nil); e != nil {
			e.Reset(&e.out)
			return e
		}
	}
	if e, ok := free.extra.Get().(*encoder); ok {
		e.Reset(&e.out)
		return e
	}
	e := &encoder{coding: c, level: level}
	var err error
	switch c {
	case http1.Gzip:
		e.stream, err = flate.NewWriter(&e.out, level)
	case http1.Brotli:
		e.stream, err = brotli.NewWriterOptions(&e.out, qualities[level], brotli.WriterOptions{LGWin: window})
	case http1.Zstd:
		// Concurrency 1 has no goroutines.
		e.stream, err = zstd.NewWriter(&e.out, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<window), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	}
	if err != nil {
		panic(fmt.Sprintf("compress: %v at level %d: %v", c, level, err)) // NewRule has checked both
	}
	return e
}

// free gives the compressor back.
func (e *encoder) free() {
	e.out = nil
	free := &encoders[e.coding][e.level]
	for i := range free.kept {
		if free.kept[i].CompareAndSwap(nil, e) {
			return
		}
	}
	free.extra.Put(e)
}
