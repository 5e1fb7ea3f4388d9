package proxy

import (
	"errors"

	"holdfast/internal/syntax"
)

var (
	errChunk   = errors.New("malformed chunked body")
	errTrailer = errors.New("malformed or too long trailers")
)

// maxTrailer bytes of trailers are read.
const maxTrailer = 8 << 10

// framing says how a body ends (RFC 9112 §6).
type framing uint8

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// body follows a body through whatever pieces it arrives in. It is a checker, not a copy: feed leaves
// what is to be sent on in the same bytes.
type body struct {
	framing  framing
	done     bool
	decode   bool // chunked: only the data is sent on
	trailers bool // chunked: trailers are sent on
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

func lengthBody(n int64) body {
	if n <= 0 {
		return body{done: true}
	}
	return body{framing: byLength, left: n}
}

// feed takes p, the next bytes of the connection. What is to be sent on is p[:n] afterwards; used says
// how many bytes belonged to the body, the rest is not touched. At the body's end done is set.
func (b *body) feed(p []byte) (n, used int, err error) {
	switch {
	case b.done:
		return 0, 0, nil
	case b.framing == byClose:
		return len(p), len(p), nil
	case b.framing == byLength:
		n = int(min(int64(len(p)), b.left))
		b.left -= int64(n)
		b.done = b.left == 0
		return n, n, nil
	}
	return b.feedChunks(p)
}

func (b *body) feedChunks(p []byte) (w, r int, err error) {
	for r < len(p) && !b.done {
		c := p[r]
		keep := !b.decode // framing bytes are sent on
		switch b.state {
		case chunkSize:
			switch {
			case syntax.IsHex(c):
				if b.digits++; b.digits > 15 {
					return w, r, errChunk
				}
				b.left = b.left<<4 | int64(hexValue(c))
			case b.digits == 0:
				return w, r, errChunk
			case c == '\r':
				b.state = chunkSizeLF
			case c == ';' || c == ' ' || c == '\t':
				b.state, b.extra, keep = chunkExt, 0, false
			default:
				return w, r, errChunk
			}
		case chunkExt:
			if c == '\r' {
				b.state = chunkSizeLF
				break
			}
			keep = false
			if b.extra++; b.extra > 1024 || c < ' ' && c != '\t' || c == 0x7f {
				return w, r, errChunk
			}
		case chunkSizeLF:
			if c != '\n' {
				return w, r, errChunk
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
				return w, r, errChunk
			}
			b.state = chunkDataLF
		case chunkDataLF:
			if c != '\n' {
				return w, r, errChunk
			}
			b.state = chunkSize
		case trailerStart, trailerLine:
			keep = keep && b.trailers
			switch {
			case c == '\r' && b.state == trailerStart:
				b.state, keep = lastLF, !b.decode
			case c == '\r':
				b.state = trailerLF
			case c == '\n', b.state == trailerStart && !syntax.IsToken[c], c < ' ' && c != '\t':
				return w, r, errTrailer
			default:
				b.state = trailerLine
			}
			if b.extra++; b.extra > maxTrailer {
				return w, r, errTrailer
			}
		case trailerLF:
			if c != '\n' {
				return w, r, errTrailer
			}
			b.state, keep = trailerStart, keep && b.trailers
		case lastLF:
			if c != '\n' {
				return w, r, errTrailer
			}
			b.done = true
		}
		if keep {
			p[w] = c
			w++
		}
		r++
	}
	return w, r, nil
}

func hexValue(c byte) byte {
	if syntax.IsDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
