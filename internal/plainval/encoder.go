package plainval

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Encoder appends values to B.
type Encoder struct{ B []byte }

// Uint appends an unsigned number.
func (e *Encoder) Uint(n uint64) { e.B = binary.AppendUvarint(e.B, n) }

// Int appends a number.
func (e *Encoder) Int(n int64) { e.B = binary.AppendVarint(e.B, n) }

// Bool appends a truth value.
func (e *Encoder) Bool(is bool) {
	n := byte(0)
	if is {
		n = 1
	}
	e.B = append(e.B, n)
}

// String appends a text.
func (e *Encoder) String(s string) {
	e.Uint(uint64(len(s)))
	e.B = append(e.B, s...)
}

// Bytes appends bytes.
func (e *Encoder) Bytes(b []byte) {
	e.Uint(uint64(len(b)))
	e.B = append(e.B, b...)
}

// Strings appends a list of texts. A nil list and an empty one are different.
func (e *Encoder) Strings(list []string) {
	if list == nil {
		e.Uint(0)
		return
	}
	e.Uint(uint64(len(list)) + 1)
	for _, s := range list {
		e.String(s)
	}
}

// Duration appends a duration.
func (e *Encoder) Duration(d time.Duration) { e.Int(int64(d)) }

// Time appends a time to the nanosecond, without its zone; the zero time stays that.
func (e *Encoder) Time(t time.Time) {
	e.Bool(!t.IsZero())
	if !t.IsZero() {
		e.Int(t.UnixNano())
	}
}

// WriteFrame writes b and its length.
func WriteFrame(w io.Writer, b []byte) error {
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(head[:binary.PutUvarint(head[:], uint64(len(b)))]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// ReadFrame returns the next frame, in room if that is large enough. One of more than max bytes is an error; io.EOF means
// that there is none.
func ReadFrame(r interface {
	io.Reader
	io.ByteReader
}, max int, room []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	switch {
	case err != nil:
		return nil, err
	case n > uint64(max):
		return nil, fmt.Errorf("%w: a frame of %d bytes, where at most %d are expected", ErrBad, n, max)
	case n > uint64(cap(room)):
		room = make([]byte, n)
	}
	room = room[:n]
	if _, err := io.ReadFull(r, room); err != nil {
		return nil, fmt.Errorf("%w: a frame ends early", ErrBad)
	}
	return room, nil
}
