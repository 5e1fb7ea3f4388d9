package plainval

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrBad means that the bytes are not what an Encoder writes.
var ErrBad = errors.New("broken values")

// Decoder reads values. After an error it returns zero values, and Err and End return the error.
type Decoder struct {
	b   []byte
	n   int // bytes that were read
	err error
}

// NewDecoder returns a decoder of b.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// End returns the first error; bytes that were not read are one.
func (d *Decoder) End() error {
	if n := len(d.b); n > 0 {
		d.Fail("%d bytes too many", n)
	}
	return d.err
}

// Fail makes an error of the values that were read last: they don't mean anything.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: at byte %d: %s", ErrBad, d.n, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

func (d *Decoder) skip(n int) []byte {
	b := d.b[:n:n]
	d.b, d.n = d.b[n:], d.n+n
	return b
}

// Uint reads an unsigned number.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.Fail("no number in its shortest form")
		return 0
	}
	d.skip(n)
	return v
}

// Int reads a number.
func (d *Decoder) Int() int64 {
	v := d.Uint()
	return int64(v>>1) ^ -int64(v&1)
}

// Below reads an unsigned number less than limit.
func (d *Decoder) Below(limit uint64) uint64 {
	v := d.Uint()
	if d.err == nil && v >= limit {
		d.Fail("%d, where less than %d is expected", v, limit)
		return 0
	}
	return v
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool { return d.Below(2) == 1 }

// Bytes reads bytes. They are a part of what the decoder reads.
func (d *Decoder) Bytes() []byte {
	n := d.Uint()
	if d.err == nil && n > uint64(len(d.b)) {
		d.Fail("%d bytes announced, and %d left", n, len(d.b))
	}
	if d.err != nil {
		return nil
	}
	return d.skip(int(n))
}

// String reads a text.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Count reads the length of a list, of which each element has at least a byte.
func (d *Decoder) Count() int {
	n := d.Uint()
	if d.err == nil && n > uint64(len(d.b)) {
		d.Fail("a list of %d in %d bytes", n, len(d.b))
		return 0
	}
	return int(n)
}

// Strings reads a list of texts.
func (d *Decoder) Strings() []string {
	n := d.Uint()
	switch {
	case n == 0:
		return nil
	case n-1 > uint64(len(d.b)):
		d.Fail("a list of %d in %d bytes", n-1, len(d.b))
		return nil
	}
	list := []string{}
	for range n - 1 {
		list = append(list, d.String())
	}
	if d.err != nil {
		return nil
	}
	return list
}

// Duration reads a duration.
func (d *Decoder) Duration() time.Duration { return time.Duration(d.Int()) }

// Time reads a time.
func (d *Decoder) Time() time.Time {
	if !d.Bool() {
		return time.Time{}
	}
	return time.Unix(0, d.Int())
}

// Uint32 reads an unsigned number of 32 bits.
func (d *Decoder) Uint32() uint32 { return uint32(d.Below(math.MaxUint32 + 1)) }
