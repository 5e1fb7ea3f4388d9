package cache

import (
	"bytes"
	"slices"

	"holdfast/internal/http1"
)

// variant returns the key of a response among those of one line that vary by the same fields. Without any it is zero.
func (h *Hasher) variant(names []string, fields []http1.Field) Key {
	if len(names) == 0 {
		return Key{}
	}
	var room [KeyRoom]byte
	b := h.Start(room[:0])
	for _, name := range names {
		b = append(b, name...)
		b = append(b, 0)
		n := 0
		for i := range fields {
			f := &fields[i]
			if f.Drop || len(f.Name) != len(name) || !http1.EqualFold(f.Name, name) {
				continue
			}
			n++
			switch name {
			case "accept-encoding":
				b = AppendPart(b, 1, nil)
				b = append(b, acceptedCodings(f.Value))
				if b[len(b)-1] == otherCodings {
					b = AppendPart(b, 2, f.Value)
				}
			case "cookie", "authorization":
				b = AppendPart(b, 2, f.Value)
			default:
				b = appendNormal(b, f.Value)
			}
		}
		b = append(b, 0, byte(n))
	}
	return Sum(b)
}

// appendNormal adds a value without the spaces around its commas (RFC 9111 §4.1). One with a quoted string is added as it is.
func appendNormal(b, v []byte) []byte {
	if bytes.IndexByte(v, '"') >= 0 {
		return AppendPart(b, 2, v)
	}
	for element := range bytes.SplitSeq(v, []byte(",")) {
		b = AppendPart(b, 3, http1.TrimOWS(element))
	}
	return b
}

// otherCodings is what acceptedCodings returns for a value that has to be compared as it is.
const otherCodings = 0xff

// codings are those that are told apart by name, in the order of their bits.
var codings = [...]string{"gzip", "deflate", "br", "zstd", "x-gzip"}

// acceptedCodings returns a bit for each of the content codings that a value of Accept-Encoding accepts, so that clients
// that differ in order and spaces only share variants. If it ranks or refuses them, or names others, the app may choose by
// what is not in the bits.
func acceptedCodings(v []byte) (set byte) {
	for element := range bytes.SplitSeq(v, []byte(",")) {
		name := http1.TrimOWS(element)
		if len(name) == 0 {
			continue
		}
		i := slices.IndexFunc(codings[:], func(c string) bool { return http1.EqualFold(name, c) })
		if i < 0 {
			return otherCodings
		}
		set |= 1 << i
	}
	return set
}
