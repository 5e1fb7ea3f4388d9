package http1

// Framing says how a body ends (RFC 9112 §6).
type Framing uint8

const (
	NoBody Framing = iota
	ByLength
	ByChunks
	ByClose
)

// Body follows a body through whatever pieces it arrives in. It works in place: Feed leaves the data in the same
// bytes, without the framing of chunks.
type Body struct {
	Framing Framing
	Done    bool
	Lenient bool // chunked: put up with what old apps send and nothing is torn by; see NewOdd

	left     int64 // of the body, or of the current chunk; of the trailers, how much was read
	state    chunkState
	odd      Oddity
	told     Oddity // of odd
	line     []byte // of the framing, as far as it has come
	trailers []byte // lines, checked, each with its CRLF
}

// LengthBody is a body of n bytes.
func LengthBody(n int64) Body {
	if n <= 0 {
		return Body{Done: true}
	}
	return Body{Framing: ByLength, left: n}
}

// Left returns how much of a body with a length, or of the current chunk, is still to come.
func (b *Body) Left() int64 { return b.left }

// NewOdd returns the oddities that were met and not yet returned.
func (b *Body) NewOdd() Oddity {
	odd := b.odd &^ b.told
	b.told |= odd
	return odd
}

// Feed takes p, the next bytes of the connection. The data is p[:n] afterwards; used says how many bytes belonged to
// the body, the rest is not touched. At the body's end Done is set.
func (b *Body) Feed(p []byte) (n, used int, err error) {
	switch {
	case b.Done:
		return 0, 0, nil
	case b.Framing == ByClose:
		return len(p), len(p), nil
	case b.Framing == ByLength:
		n = int(min(int64(len(p)), b.left))
		b.left -= int64(n)
		b.Done = b.left == 0
		return n, n, nil
	}
	return b.feedChunks(p)
}
