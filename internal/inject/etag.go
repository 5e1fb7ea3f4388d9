package inject

import (
	"bytes"

	"holdfast/internal/http1"
)

// A page with the tag is another representation than the app's, equal in meaning: its entity tag is weak (RFC 9110
// §8.8.1). The mark at its end says of which form the app's own was, as many apps compare it byte by byte, and which
// tag was added. So a page from before a change of the configuration is not revalidated.
const (
	markStrong = "-hfs"
	markWeak   = "-hfw"
)

// Weaken makes the entity tag of a response that of the page with the tag.
func (r *Rule) Weaken(a *http1.Answer) {
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "etag") {
			f.Value = r.weaken(f.Value)
		}
	}
}

// weakenKnown makes the entity tag of a 304 that of the page with the tag, unless the client's If-None-Match says that it has
// the app's own: then it is something that is no page, or from before there was a rule. Empty: the client has named none.
func (r *Rule) weakenKnown(a *http1.Answer, known []byte) {
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "etag") {
			if page := r.weaken(f.Value); len(known) == 0 || bytes.Contains(known, page) {
				f.Value = page
			}
		}
	}
}

// weaken returns the entity tag of the page for the app's. What is none stays as it is.
func (r *Rule) weaken(tag []byte) []byte {
	opaque, weak := bytes.CutPrefix(tag, []byte("W/"))
	n := len(opaque)
	if n < 2 || opaque[0] != '"' || bytes.IndexByte(opaque[1:], '"') != n-2 {
		return tag
	}
	mark := markStrong
	if weak {
		mark = markWeak
	}
	b := append(make([]byte, 0, n+len("W/")+len(mark)+len(r.mark)), "W/"...)
	b = append(append(b, opaque[:n-1]...), mark...)
	return append(append(b, r.mark...), '"')
}

// restore returns an If-None-Match with the app's own entity tags in place of those of weaken. Those with another rule's
// mark are dropped. What can't be read stays as it is.
func (r *Rule) restore(list []byte) (tags []byte, dropped bool) {
	if !bytes.Contains(list, []byte(markStrong)) && !bytes.Contains(list, []byte(markWeak)) {
		return list, false
	}
	tags, changed := http1.MapEntityTags(list, func(tag []byte) []byte {
		own, keep := r.unmark(tag)
		if !keep {
			dropped = true
			return nil
		}
		return own
	})
	return tags, dropped && changed
}

// unmark returns the app's entity tag for one of a client. keep is false if its mark is another rule's.
func (r *Rule) unmark(tag []byte) (own []byte, keep bool) {
	n := len(tag) - len(markStrong) - len(r.mark) - 1 // where a mark would begin
	if n < len(`W/"`) || tag[0] != 'W' {
		return tag, true
	}
	mark, hash := string(tag[n:n+len(markStrong)]), string(tag[n+len(markStrong):len(tag)-1])
	if mark != markStrong && mark != markWeak {
		return tag, true
	}
	own = append(append([]byte{}, tag[:n]...), '"')
	if mark == markStrong {
		own = own[len("W/"):]
	}
	return own, hash == r.mark
}
