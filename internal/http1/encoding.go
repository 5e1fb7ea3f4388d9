package http1

import "bytes"

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

// The codings that are known. Identity is none.
const (
	Identity Coding = iota
	Gzip
	Brotli
	Zstd
	codings
)

var codingNames = [codings]string{"identity", "gzip", "br", "zstd"}

// String returns the coding's name in Content-Encoding.
func (c Coding) String() string { return codingNames[c] }

// CodingOf returns the coding of a name, in any case.
func CodingOf(name []byte) (Coding, bool) {
	for c, known := range codingNames {
		if EqualFold(name, known) {
			return Coding(c), true
		}
	}
	return Gzip, EqualFold(name, "x-gzip") // RFC 9110 §8.4.1.3
}

// maxWeight is a quality value of 1; they are counted in thousandths (RFC 9110 §12.4.2).
const maxWeight = 1000

// unlisted is the weight of what Accept-Encoding does not name.
const unlisted = -1

// Accepted is what the fields Accept-Encoding of a request say (RFC 9110 §12.5.3). The zero value, of a request
// without any, accepts identity.
type Accepted struct {
	weights [codings]int16 // of each coding, if given
	others  int16          // of "*"
	given   bool
}

// AcceptedBy reads the request's fields Accept-Encoding.
func AcceptedBy(fields []Field) (a Accepted) {
	for i := range fields {
		if f := &fields[i]; !f.Drop && len(f.Name) == len("accept-encoding") && EqualFold(f.Name, "accept-encoding") {
			a.Add(f.Value)
		}
	}
	return a
}

// Add reads the value of one more field. An element that can't be read counts as not there. If a coding is named twice,
// the lower weight counts.
func (a *Accepted) Add(value []byte) {
	if !a.given {
		*a = Accepted{weights: [codings]int16{unlisted, unlisted, unlisted, unlisted}, others: unlisted, given: true}
	}
	for len(value) > 0 {
		var element []byte
		element, value, _ = bytes.Cut(value, []byte(","))
		name, params, _ := bytes.Cut(element, []byte(";"))
		weight, ok := weightOf(params)
		if !ok {
			continue
		}
		w := &a.others
		if name = TrimOWS(name); string(name) != "*" {
			c, known := CodingOf(name)
			if !known {
				continue
			}
			w = &a.weights[c]
		}
		if *w == unlisted || *w > weight {
			*w = weight
		}
	}
}

// weightOf returns the weight among an element's parameters.
func weightOf(params []byte) (weight int16, ok bool) {
	weight = maxWeight
	for len(params) > 0 {
		var param []byte
		param, params, _ = bytes.Cut(params, []byte(";"))
		name, value, _ := bytes.Cut(param, []byte("="))
		if name = TrimOWS(name); len(name) != 1 || name[0]|0x20 != 'q' {
			continue
		}
		if weight, ok = parseWeight(TrimOWS(value)); !ok {
			return 0, false
		}
	}
	return weight, true
}

// parseWeight parses a quality value of at most three digits behind the point.
func parseWeight(b []byte) (int16, bool) {
	if len(b) == 0 || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' || len(b) > len("0.000") {
		return 0, false
	}
	n := int16(b[0]-'0') * maxWeight
	scale := int16(maxWeight / 10)
	for _, c := range b[min(2, len(b)):] {
		if !IsDigit(c) {
			return 0, false
		}
		n += int16(c-'0') * scale
		scale /= 10
	}
	return n, n <= maxWeight
}

// Weight returns how much the client wants a coding, 0 if it refuses it. "*" stands for gzip and identity only: who sends
// nothing else is more likely to have forgotten that there are others than to know them all.
func (a *Accepted) Weight(c Coding) int {
	switch {
	case !a.given && c == Identity:
		return maxWeight
	case !a.given:
		return 0
	case a.weights[c] != unlisted:
		return int(a.weights[c])
	case a.others != unlisted && (c == Gzip || c == Identity):
		return int(a.others)
	case c == Identity:
		return 1 // acceptable, and the last choice
	}
	return 0
}

// Best returns the coding that the client wants most, of equals the first in the list; Identity if it wants none of
// them, or wants Identity more.
func (a *Accepted) Best(list []Coding) Coding {
	best, most := Identity, 0
	for _, c := range list {
		if w := a.Weight(c); w > most {
			best, most = c, w
		}
	}
	if a.given && a.weights[Identity] != unlisted && a.Weight(Identity) > most {
		return Identity
	}
	return best
}

// AcceptsGzip reports whether the values of the fields Accept-Encoding name gzip.
func AcceptsGzip(fields [][]byte) bool {
	var a Accepted
	for _, value := range fields {
		a.Add(value)
	}
	return a.given && a.weights[Gzip] > 0
}
