package http1

import (
	"bytes"
	"errors"
	"strconv"
)

// ErrChunk and ErrTrailer are the errors of a chunked body.
var (
	ErrChunk   = errors.New("malformed chunked body")
	ErrTrailer = errors.New("malformed or too long trailers")
)

const (
	maxChunkLine = 1 << 10 // bytes of a chunk's size and its extensions
	maxTrailer   = 8 << 10 // bytes of all trailers
)

// chunkState is what comes next in a chunked body (RFC 9112 §7.1).
type chunkState uint8

const (
	sizeNext    chunkState = iota // a line with a size and extensions
	dataNext                      // data
	endNext                       // the line end after the data
	trailerNext                   // a trailer, or the empty line at the end
)

// feedChunks is Feed of a chunked body.
func (b *Body) feedChunks(p []byte) (n, used int, err error) {
	for used < len(p) && !b.Done {
		if b.state != dataNext {
			line, size, err := b.cutLine(p[used:])
			used += size
			if err == nil && line != nil {
				err = b.framingLine(line)
			}
			if err != nil {
				return n, used, err
			}
			continue
		}
		size := int(min(int64(len(p)-used), b.left))
		if n != used {
			copy(p[n:], p[used:used+size])
		}
		n, used = n+size, used+size
		if b.left -= int64(size); b.left == 0 {
			b.state = endNext
		}
	}
	return n, used, nil
}

// cutLine takes a line of the framing from p, or as much of it as there is. It returns the line without its end, nil if
// it is not complete, and how many bytes of p it took. From apps, a bare LF ends a line: between data of known length
// it can be nothing else. From clients it is refused, as some parsers read on.
func (b *Body) cutLine(p []byte) (line []byte, size int, err error) {
	most, fault := maxChunkLine, ErrChunk
	switch b.state {
	case endNext:
		most = len("\r\n")
	case trailerNext:
		most, fault = maxTrailer, ErrTrailer
	}
	end := bytes.IndexByte(p, '\n')
	size = end + 1
	if end < 0 {
		size = len(p)
	}
	if len(b.line)+size > most {
		return nil, size, fault
	}
	line = p[:size]
	if end < 0 || len(b.line) > 0 {
		b.line = append(b.line, line...)
		line = b.line
	}
	if end < 0 {
		if !b.mayGoOn(line) {
			err = fault
		}
		return nil, size, err
	}
	b.line = b.line[:0]
	line = line[:len(line)-1]
	if cut, ok := bytes.CutSuffix(line, []byte("\r")); ok {
		return cut, size, nil
	}
	if !b.Lenient {
		return nil, size, fault
	}
	b.odd |= BareLF
	return line, size, nil
}

// mayGoOn reports whether an incomplete line can still become a valid one. If not, it is refused at once.
func (b *Body) mayGoOn(line []byte) bool {
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 && cr < len(line)-1 {
		return false
	}
	switch b.state {
	case sizeNext:
		return IsHex(line[0])
	case endNext:
		return line[0] == '\r'
	}
	return true
}

// framingLine acts on a line of the framing.
func (b *Body) framingLine(line []byte) error {
	switch b.state {
	case sizeNext:
		n, padded, ok := parseChunkLine(line)
		if !ok || padded && !b.Lenient {
			return ErrChunk
		}
		if padded {
			b.odd |= PaddedChunk
		}
		b.left, b.state = n, dataNext
		if n == 0 {
			b.state = trailerNext
		}
	case endNext:
		if len(line) > 0 {
			return ErrChunk
		}
		b.state = sizeNext
	case trailerNext:
		return b.trailerLine(line)
	}
	return nil
}

// parseChunkLine parses chunk-size [ chunk-ext ] (RFC 9112 §7.1). padded means that white space follows at the end.
// That is not allowed, but old servers pad their sizes to a fixed width.
func parseChunkLine(line []byte) (n int64, padded, ok bool) {
	digits := 0
	for digits < len(line) && IsHex(line[digits]) {
		n = n<<4 | int64(HexValue(line[digits]))
		if digits++; digits > 15 {
			return 0, false, false
		}
	}
	if digits == 0 {
		return 0, false, false
	}
	rest := line[digits:]
	for len(rest) > 0 {
		after := trimLeftOWS(rest)
		if len(after) == 0 {
			return n, true, true
		}
		if after[0] != ';' {
			return 0, false, false
		}
		if rest, ok = cutChunkExtension(trimLeftOWS(after[1:])); !ok {
			return 0, false, false
		}
	}
	return n, false, true
}

// cutChunkExtension cuts a name, and a value if there is one, off the front of b.
func cutChunkExtension(b []byte) (rest []byte, ok bool) {
	if rest = cutToken(b); len(rest) == len(b) {
		return nil, false
	}
	after := trimLeftOWS(rest)
	if len(after) == 0 || after[0] != '=' {
		return rest, true
	}
	value := trimLeftOWS(after[1:])
	if len(value) > 0 && value[0] == '"' {
		return cutQuoted(value)
	}
	rest = cutToken(value)
	return rest, len(rest) < len(value)
}

// cutToken returns what follows the token at the front of b.
func cutToken(b []byte) []byte {
	for len(b) > 0 && IsToken[b[0]] {
		b = b[1:]
	}
	return b
}

// cutQuoted returns what follows the quoted string (RFC 9110 §5.6.4) at the front of b.
func cutQuoted(b []byte) (rest []byte, ok bool) {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[i+1:], true
		case c < ' ' && c != '\t' || c == 0x7f:
			return nil, false
		case c == '\\':
			if i++; i < len(b) && (b[i] < ' ' && b[i] != '\t' || b[i] == 0x7f) {
				return nil, false
			}
		}
	}
	return nil, false
}

// HexValue returns the value of a hexadecimal digit.
func HexValue(c byte) byte {
	if IsDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// AppendChunkSize appends the line before n bytes of data; n is more than 0. A CRLF must follow the data.
func AppendChunkSize(b []byte, n int) []byte {
	return append(strconv.AppendUint(b, uint64(n), 16), "\r\n"...)
}

// AppendLastChunk appends the end of a body in chunks. trailers are lines, each with its CRLF.
func AppendLastChunk(b, trailers []byte) []byte {
	b = append(b, "0\r\n"...)
	return append(append(b, trailers...), "\r\n"...)
}
