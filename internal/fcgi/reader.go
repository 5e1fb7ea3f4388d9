package fcgi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	ErrVersion    = errors.New("fcgi: record of another version")
	ErrType       = errors.New("fcgi: record of a type that is not expected")
	ErrID         = errors.New("fcgi: record of another request")
	ErrSize       = errors.New("fcgi: record of the wrong size")
	ErrClosed     = errors.New("fcgi: stdout goes on after its end")
	ErrExtra      = errors.New("fcgi: bytes after the end of the request")
	ErrOverloaded = errors.New("fcgi: the responder is overloaded")
	ErrRefused    = errors.New("fcgi: the responder refused the request")
)

// MaxStderr is how many bytes of stderr are kept per request.
const MaxStderr = 4 << 10

// Reader follows the records of one response through whatever pieces they arrive in. It copies nothing
// but stderr: Feed leaves stdout in the same bytes.
type Reader struct {
	Done      bool   // END_REQUEST was read, with its padding: the response is whole
	AppStatus uint32 // what the app exited with; valid when Done
	Stderr    []byte // the first MaxStderr bytes, with whatever bytes the app wrote; owned by the Reader
	Lost      int64  // bytes of stderr that were not kept

	id     uint16
	kind   byte // of the record
	have   uint8
	pad    uint8            // bytes of padding that are missing
	left   uint16           // bytes of content that are missing
	closed bool             // stdout has ended
	head   [headerSize]byte // of the record; then END_REQUEST's body
	err    error
}

// Reset prepares r for the response to request id. The memory for stderr is kept.
func (r *Reader) Reset(id uint16) { *r = Reader{id: id, Stderr: r.Stderr[:0]} }

// Feed takes p, the next bytes of the connection. Stdout is p[:n] afterwards, also beside an error; used
// says how many bytes were looked at. The error stays. ErrExtra means that the response is whole and
// the connection must not be used again; any other, that the response is cut.
func (r *Reader) Feed(p []byte) (n, used int, err error) {
	for used < len(p) && r.err == nil {
		switch {
		case r.Done:
			r.err = ErrExtra
		case r.have < headerSize:
			m := copy(r.head[r.have:], p[used:])
			r.have += uint8(m)
			used += m
			if r.have == headerSize {
				r.err = r.begin()
			}
		case r.left > 0:
			m := min(int(r.left), len(p)-used)
			piece := p[used : used+m]
			switch r.kind {
			case typeStdout:
				if n != used {
					copy(p[n:], piece)
				}
				n += m
			case typeStderr:
				r.keep(piece)
			case typeEnd:
				copy(r.head[endSize-r.left:], piece)
			}
			used += m
			if r.left -= uint16(m); r.left == 0 && r.kind == typeEnd {
				r.err = r.status()
			}
			r.next()
		default:
			m := min(int(r.pad), len(p)-used)
			used += m
			r.pad -= uint8(m)
			r.next()
		}
	}
	return n, used, r.err
}

// begin checks a header.
func (r *Reader) begin() error {
	r.kind = r.head[1]
	id := binary.BigEndian.Uint16(r.head[2:])
	r.left = binary.BigEndian.Uint16(r.head[4:])
	r.pad = r.head[6]
	switch {
	case r.head[0] != version:
		return fmt.Errorf("%w: %d", ErrVersion, r.head[0])
	case r.kind != typeStdout && r.kind != typeStderr && r.kind != typeEnd:
		return fmt.Errorf("%w: %d", ErrType, r.kind)
	case id != r.id:
		return fmt.Errorf("%w: %d, not %d", ErrID, id, r.id)
	case r.kind == typeEnd && r.left != endSize:
		return fmt.Errorf("%w: END_REQUEST of %d bytes", ErrSize, r.left)
	case r.kind == typeStdout && r.closed && r.left > 0:
		return ErrClosed
	}
	if r.kind == typeStdout && r.left == 0 {
		r.closed = true
	}
	r.next()
	return nil
}

// next settles the end of a record.
func (r *Reader) next() {
	if r.left == 0 && r.pad == 0 {
		r.have = 0
		r.Done = r.kind == typeEnd && r.err == nil
	}
}

// status reads END_REQUEST's body.
func (r *Reader) status() error {
	r.AppStatus = binary.BigEndian.Uint32(r.head[:])
	switch r.head[4] {
	case 0: // complete
		return nil
	case 2:
		return ErrOverloaded
	default: // 1: one request per connection, 3: unknown role
		return fmt.Errorf("%w: protocol status %d", ErrRefused, r.head[4])
	}
}

func (r *Reader) keep(piece []byte) {
	m := min(len(piece), MaxStderr-len(r.Stderr))
	r.Stderr = append(r.Stderr, piece[:m]...)
	r.Lost += int64(len(piece) - m)
}
