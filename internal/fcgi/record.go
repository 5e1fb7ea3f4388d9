package fcgi

import "encoding/binary"

const (
	version    = 1
	headerSize = 8 // bytes of a record's header (FastCGI §3.3): version, type, id, length, padding, reserved

	typeBegin  = 1
	typeEnd    = 3
	typeParams = 4
	typeStdin  = 5
	typeStdout = 6
	typeStderr = 7

	roleResponder = 1
	flagKeepConn  = 1
	endSize       = 8 // bytes of END_REQUEST's body: app status, protocol status, reserved
)

// MaxContent is the number of bytes that a record written here carries at most. The format has room for
// 65535, but php-fpm refuses a record whose content and padding together are more than that.
const MaxContent = 65528

var zeros [8]byte

// padding is what aligns a record of n bytes to eight.
func padding(n int) int { return -n & 7 }

func appendHeader(b []byte, kind byte, id uint16, n, pad int) []byte {
	return append(b, version, kind, byte(id>>8), byte(id), byte(n>>8), byte(n), byte(pad), 0)
}

// AppendBegin opens request id. keep asks the responder to leave the connection open after the answer.
func AppendBegin(b []byte, id uint16, keep bool) []byte {
	b = appendHeader(b, typeBegin, id, 8, 0)
	b = binary.BigEndian.AppendUint16(b, roleResponder)
	var flags byte
	if keep {
		flags = flagKeepConn
	}
	return append(b, flags, 0, 0, 0, 0, 0)
}

// Stdin frames a request's body, whose bytes are sent between what it writes and are not copied:
//
//	header │ body bytes │ padding, header │ body bytes │ … │ padding, end
type Stdin struct {
	ID  uint16
	pad int // owed after the last piece
}

// Append completes the piece before and begins one of n bytes, 0 < n ≤ MaxContent. The n bytes must
// follow what was appended.
func (s *Stdin) Append(b []byte, n int) []byte {
	if n <= 0 || n > MaxContent {
		panic("fcgi: a piece of stdin must have 1 to MaxContent bytes")
	}
	b = append(b, zeros[:s.pad]...)
	s.pad = padding(n)
	return appendHeader(b, typeStdin, s.ID, n, s.pad)
}

// End completes the last piece and closes the body. A request without one needs it too.
func (s *Stdin) End(b []byte) []byte {
	b = append(b, zeros[:s.pad]...)
	s.pad = 0
	return appendHeader(b, typeStdin, s.ID, 0, 0)
}

// AppendBody appends a piece of the body in its records, and its end if it is the last.
func (s *Stdin) AppendBody(b, p []byte, last bool) []byte {
	for len(p) > 0 {
		n := min(len(p), MaxContent)
		b = append(s.Append(b, n), p[:n]...)
		p = p[n:]
	}
	if last {
		b = s.End(b)
	}
	return b
}
