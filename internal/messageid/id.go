// Package messageid has the identifiers of messages, and their text form.
package messageid

import (
	"errors"
	"fmt"
	"math"
)

// ID identifies a message. IDs of one hub grow strictly in the order of acceptance and are valid across all its
// channels. They start at the clock's milliseconds << 20, so that they continue to grow after a restart. Zero means
// none. Clients see the text form, and must treat it as opaque.
type ID uint64

// idLen is the length of an id's text: the digits of math.MaxUint64 in base 36. Fixed, so that texts sort
// as the ids do.
const idLen = 13

const idDigits = "0123456789abcdefghijklmnopqrstuvwxyz"

// ErrBad is returned by Parse for a text that String does not return.
var ErrBad = errors.New("not a message id")

// String returns the text form, 13 characters of lower-case base 36.
func (id ID) String() string { return string(id.Append(make([]byte, 0, idLen))) }

// Append appends the text form to b.
func (id ID) Append(b []byte) []byte {
	var text [idLen]byte
	for i := idLen - 1; i >= 0; i-- {
		text[i] = idDigits[id%36]
		id /= 36
	}
	return append(b, text[:]...)
}

// Parse reads the text form of an id. The text of zero is refused too: no message has it.
func Parse(s string) (ID, error) {
	if len(s) != idLen {
		return 0, fmt.Errorf("%w: %d characters, not %d", ErrBad, len(s), idLen)
	}
	var id uint64
	for i := range len(s) {
		var digit uint64
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digit = uint64(c - '0')
		case c >= 'a' && c <= 'z':
			digit = uint64(c-'a') + 10
		default:
			return 0, fmt.Errorf("%w: %q at offset %d", ErrBad, c, i)
		}
		if id > (math.MaxUint64-digit)/36 {
			return 0, fmt.Errorf("%w: too large", ErrBad)
		}
		id = id*36 + digit
	}
	if id == 0 {
		return 0, fmt.Errorf("%w: zero", ErrBad)
	}
	return ID(id), nil
}
