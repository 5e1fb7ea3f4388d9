package headers

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
		case "host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port": // they are in rules.Rule.Key
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
