package http1

// Framing says how a body ends (RFC 9112 §6).
type Framing uint8

const (
	NoBody Framing = iota
	ByLength
	ByChunks
	ByClose
)

// Body parses a body that arrives in pieces. It works in place: Feed leaves the data in the same bytes, without the
// framing of chunks.
type Body struct {
	Framing Framing
	Done    bool
	Lenient bool // chunked: accept harmless faults of old apps; see NewOdd

	left     int64 // bytes left of the body or the chunk; bytes read of the trailers
	state    chunkState
	odd      Oddity
	told     Oddity // the part of odd that NewOdd has returned
	line     []byte // received part of a line of the framing
	trailers []byte // lines, checked, each with its CRLF
}

// LengthBody returns a body of n bytes.
func LengthBody(n int64) Body {
	if n <= 0 {
		return Body{Done: true}
	}
	return Body{Framing: ByLength, left: n}
}

// Body returns the body that the request announces.
func (h *Head) Body() Body {
	if h.Chunked {
		return Body{Framing: ByChunks}
	}
	return LengthBody(h.Length)
}

// Left returns how many bytes are missing of a body with a length, or of the current chunk.
func (b *Body) Left() int64 { return b.left }

// NewOdd returns the oddities that occurred since the last call.
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
