package http1

import "errors"

var (
	// ErrChunk and ErrTrailer are what is wrong with a chunked body.
	ErrChunk   = errors.New("malformed chunked body")
	ErrTrailer = errors.New("malformed or too long trailers")
)

// maxTrailer bytes of trailers are read.
const maxTrailer = 8 << 10

// Framing says how a body ends (RFC 9112 §6).
type Framing uint8

const (
	NoBody Framing = iota
	ByLength
	ByChunks
	ByClose
)

// Body follows a body through whatever pieces it arrives in. It is a checker, not a copy: Feed leaves
// what is to be sent on in the same bytes.
type Body struct {
	Framing  Framing
	Done     bool
	Decode   bool // chunked: only the data is sent on
	Trailers bool // chunked: trailers are sent on
	state    chunkState
	digits   uint8
	extra    uint16 // bytes of extension or trailer so far
	left     int64  // of the body, or of the current chunk
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // hexadecimal digits
	chunkExt                       // an extension, dropped
	chunkSizeLF                    // CR was seen
	chunkData                      //
	chunkDataCR                    // the data is complete
	chunkDataLF                    //
	trailerStart                   // at the start of a trailer line
	trailerLine                    //
	trailerLF                      //
	lastLF                         // the CR of the last, empty line was seen
)

// Left returns how much of a body with a length, or of the current chunk, is still to come.
func (b *Body) Left() int64 { return b.left }

// LengthBody is a body of n bytes.
func LengthBody(n int64) Body {
	if n <= 0 {
		return Body{Done: true}
	}
	return Body{Framing: ByLength, left: n}
}

// Feed takes p, the next bytes of the connection. What is to be sent on is p[:n] afterwards; used says
// how many bytes belonged to the body, the rest is not touched. At the body's end Done is set.
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

func (b *Body) feedChunks(p []byte) (w, r int, err error) {
	for r < len(p) && !b.Done {
		c := p[r]
		keep := !b.Decode // framing bytes are sent on
		switch b.state {
		case chunkSize:
			switch {
			case IsHex(c):
				if b.digits++; b.digits > 15 {
					return w, r, ErrChunk
				}
				b.left = b.left<<4 | int64(HexValue(c))
			case b.digits == 0:
				return w, r, ErrChunk
			case c == '\r':
				b.state = chunkSizeLF
			case c == ';' || c == ' ' || c == '\t':
				b.state, b.extra, keep = chunkExt, 0, false
			default:
				return w, r, ErrChunk
			}
		case chunkExt:
			if c == '\r' {
				b.state = chunkSizeLF
				break
			}
			keep = false
			if b.extra++; b.extra > 1024 || c < ' ' && c != '\t' || c == 0x7f {
				return w, r, ErrChunk
			}
		case chunkSizeLF:
			if c != '\n' {
				return w, r, ErrChunk
			}
			b.digits, b.extra, b.state = 0, 0, chunkData
			if b.left == 0 {
				b.state = trailerStart
			}
		case chunkData:
			m := int(min(int64(len(p)-r), b.left))
			if w != r {
				copy(p[w:], p[r:r+m])
			}
			w, r = w+m, r+m
			if b.left -= int64(m); b.left == 0 {
				b.state = chunkDataCR
			}
			continue
		case chunkDataCR:
			if c != '\r' {
				return w, r, ErrChunk
			}
			b.state = chunkDataLF
		case chunkDataLF:
			if c != '\n' {
				return w, r, ErrChunk
			}
			b.state = chunkSize
		case trailerStart, trailerLine:
			keep = keep && b.Trailers
			switch {
			case c == '\r' && b.state == trailerStart:
				b.state, keep = lastLF, !b.Decode
			case c == '\r':
				b.state = trailerLF
			case c == '\n', b.state == trailerStart && !IsToken[c], c < ' ' && c != '\t':
				return w, r, ErrTrailer
			default:
				b.state = trailerLine
			}
			if b.extra++; b.extra > maxTrailer {
				return w, r, ErrTrailer
			}
		case trailerLF:
			if c != '\n' {
				return w, r, ErrTrailer
			}
			b.state, keep = trailerStart, keep && b.Trailers
		case lastLF:
			if c != '\n' {
				return w, r, ErrTrailer
			}
			b.Done = true
		}
		if keep {
			p[w] = c
			w++
		}
		r++
	}
	return w, r, nil
}

func HexValue(c byte) byte {
	if IsDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
