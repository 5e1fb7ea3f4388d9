package cache

import (
	"bytes"
	"slices"

	"holdfast/internal/http1"
)

// maxVary is how many fields of a request a response may vary by. One that varies by more is not kept.
const maxVary = 16

// ParseVary returns what a response varies by (RFC 9111 §4.1): names in lower case, sorted, each once. always is whether no
// other request can be answered with it: it says *, or names what the app is told of the client's address, which no key
// has. Fields that every key has anyway are left out.
//
// Two that an app forgets to name are added: Accept-Encoding of a response in a content coding, and Origin of one that is
// shared with one origin only.
func ParseVary(fields []http1.Field) (names []string, always bool) {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.Drop:
		case len(f.Name) == 4 && http1.EqualFold(f.Name, "vary"):
			for name := range bytes.SplitSeq(f.Value, []byte(",")) {
				if name = http1.TrimOWS(name); len(name) > 0 {
					names = append(names, string(bytes.ToLower(name)))
				}
			}
		case len(f.Name) == 16 && http1.EqualFold(f.Name, "content-encoding"):
			if len(f.Value) > 0 && !http1.EqualFold(f.Value, "identity") {
				names = append(names, "accept-encoding")
			}
		case len(f.Name) == 27 && http1.EqualFold(f.Name, "access-control-allow-origin"):
			if string(f.Value) != "*" {
				names = append(names, "origin")
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	n := 0
	for _, name := range names {
		switch name {
		case "*", "x-forwarded-for", "x-real-ip", "forwarded":
			return nil, true
		case "host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port": // see rules.Rule.Key
			continue
		}
		names[n] = name
		n++
	}
	if n > maxVary {
		return nil, true
	}
	return names[:n:n], false
}

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
