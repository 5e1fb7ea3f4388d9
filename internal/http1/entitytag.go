package http1

import "bytes"

// CutEntityTag cuts the entity tag off with which b begins (RFC 9110 §8.8.3). The tag is empty if there is none.
func CutEntityTag(b []byte) (tag, rest []byte) {
	opaque, _ := bytes.CutPrefix(b, []byte("W/"))
	if len(opaque) < 2 || opaque[0] != '"' {
		return nil, b
	}
	end := bytes.IndexByte(opaque[1:], '"')
	if end < 0 {
		return nil, b
	}
	n := len(b) - len(opaque) + end + 2
	return b[:n], b[n:]
}

// MapEntityTags returns a list of entity tags, as If-None-Match has it, with what change returns in the place of each, and
// whether anything but spaces has changed. Tags for which change returns nothing are left out. What can't be read stays as
// it is.
func MapEntityTags(list []byte, change func(tag []byte) []byte) (tags []byte, changed bool) {
	for rest := list; ; {
		rest = bytes.TrimLeft(rest, " \t,")
		if len(rest) == 0 {
			return tags, changed
		}
		var tag []byte
		if tag, rest = CutEntityTag(rest); len(tag) == 0 {
			return list, false
		}
		own := change(tag)
		changed = changed || !bytes.Equal(own, tag)
		switch {
		case len(own) == 0:
			continue
		case len(tags) > 0:
			tags = append(tags, ", "...)
		}
		tags = append(tags, own...)
	}
}

// encodedMark is the end of the entity tag of a response that Holdfast has compressed. The app's own tag was strong, and a
// compressed response is equal in meaning only, so its tag is weak. The mark says which tags are to be made strong again:
// many apps compare them byte by byte.
const encodedMark = `-hfz"`

// AppendEncodedTag appends the entity tag of a compressed response for that of the response itself. A weak one, and what is
// none, stays as it is.
func AppendEncodedTag(b, tag []byte) []byte {
	if own, rest := CutEntityTag(tag); len(own) == 0 || len(rest) > 0 || own[0] == 'W' {
		return append(b, tag...)
	}
	return append(append(append(b, "W/"...), tag[:len(tag)-1]...), encodedMark...)
}

// OwnTag returns the app's own entity tag for that of a compressed response. Others are returned as they are.
func OwnTag(tag []byte) []byte {
	opaque, weak := bytes.CutPrefix(tag, []byte("W/"))
	own, marked := bytes.CutSuffix(opaque, []byte(encodedMark))
	if !weak || !marked || len(own) == 0 {
		return tag
	}
	return append(bytes.Clone(own), '"')
}

// HasEncodedTag reports whether a list may have the entity tag of a compressed response.
func HasEncodedTag(list []byte) bool { return bytes.Contains(list, []byte(encodedMark)) }
