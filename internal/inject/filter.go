package inject

import (
	"errors"
	"strconv"

	"holdfast/internal/http1"
)

// ErrEncoding is a body that is not what its Content-Encoding says. Part of it has passed, so the client's has no end.
var ErrEncoding = errors.New("inject: malformed gzip in a page")

// Filter adds the tag to one page. It belongs to one exchange.
type Filter struct {
	rule  *Rule
	nonce string
	scan  scanner
	zip   *gunzip // nil: the body is not compressed

	settled bool  // the tag is in the page, or won't be
	through bool  // what comes passes as it is
	last    bool  // all of the body was given
	added   int   // bytes of the tag, once it is in the page
	out     int64 // bytes returned so far
}

// Append appends to dst what the client gets for p, the next bytes of the body. last says that the body ends with p. After
// an error nothing more is to be sent, and the client must not take what it has for the whole.
func (f *Filter) Append(dst, p []byte, last bool) ([]byte, error) {
	n := len(dst)
	f.last = f.last || last
	var err error
	switch {
	case f.through:
		dst = append(dst, p...)
	case f.zip != nil:
		dst, err = f.appendZipped(dst, p)
	default:
		dst = f.appendPage(dst, p, f.last)
		f.through = f.settled
	}
	f.out += int64(len(dst) - n)
	return dst, err
}

// appendPage appends what becomes of a piece of the page itself.
func (f *Filter) appendPage(dst, p []byte, last bool) []byte {
	if f.settled {
		return append(dst, p...)
	}
	s := &f.scan
	carried := s.token // from earlier pieces; the client does not have it yet
	for i, c := range p {
		v := s.step(c)
		if len(carried) > 0 && !s.keep {
			dst, carried = append(dst, carried...), nil
		}
		if v == onward {
			continue
		}
		f.settled = true
		at := max(i+1-len(s.token), 0) // where the token begins, if not in an earlier piece
		dst = append(dst, p[:at]...)
		if v == before {
			tag := f.rule.tag(s.prefix, f.nonce)
			dst, f.added = append(dst, tag...), len(tag)
		}
		return append(append(dst, carried...), p[at:]...)
	}
	if last {
		f.settled = true
		s.end()
		return append(append(dst, carried...), p...)
	}
	if s.keep {
		p = p[:len(p)-(len(s.token)-len(carried))]
	}
	return append(dst, p...)
}

// appendZipped is appendPage for a body in gzip.
func (f *Filter) appendZipped(dst, p []byte) ([]byte, error) {
	z, n := f.zip, len(dst)
	if z.end != unfinished {
		return z.finish(dst)
	}
	first := !z.started
	switch known, is := z.feed(p, f.last); {
	case known && !is: // whatever the head says
		f.settled, f.through = true, true
		f.scan.why = Encoding
		return append(dst, z.in...), nil
	case !known:
		return dst, nil
	}
	in := z.in
	z.more = false
	for inflated := 0; z.end == unfinished; {
		b := z.next()
		z.page = f.appendPage(z.page, b, z.end != unfinished)
		if first && f.settled && f.added == 0 { // nothing has gone yet: the client can have the app's own bytes
			f.through = true
			z.close()
			return append(dst[:n], in...), nil
		}
		if len(b) == 0 {
			break
		}
		if inflated += len(b); len(z.page) >= blockSize {
			dst = z.compress(dst)
		}
		if z.more = inflated >= maxInflate; z.more {
			break
		}
	}
	dst = z.compress(dst)
	z.keep()
	return z.finish(dst)
}

// More reports whether Append has more to return of what it was given, to be called with no bytes. It returns a part at a
// time so that its caller is not held up by a body that grows a thousandfold.
func (f *Filter) More() bool { return f.zip != nil && f.zip.more }

// Through reports whether what comes passes as it is, so that it need not go through Append.
func (f *Filter) Through() bool { return f.through }

// Reason returns why the page has not got the tag. It is empty as long as it may get it, and when it has.
func (f *Filter) Reason() Reason { return f.scan.why }

// Close lets go of what the filter has. It may be called more than once.
func (f *Filter) Close() {
	if f.zip != nil {
		f.zip.close()
	}
}

// Length returns how long the client's body is, if the app's is n bytes and that is known by now, otherwise -1. It is for the
// time before the head is sent.
func (f *Filter) Length(n int64) int64 {
	switch {
	case n < 0:
		return -1
	case f.last && !f.More():
		return f.out
	case f.through:
		return n + int64(f.added)
	}
	return -1
}

// Adjust makes the fields of a head those of the page with the tag, with a Content-Length unless length is negative. It does
// nothing if it is clear by now that the page stays as it is.
func (f *Filter) Adjust(a *http1.Answer, length int64) {
	if f.through && f.added == 0 {
		return
	}
	for _, name := range []string{"content-length", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"} {
		a.Drop(name)
	}
	if a.Length = length; length >= 0 {
		a.Fields = append(a.Fields, http1.Field{Name: []byte("Content-Length"), Value: strconv.AppendInt(nil, length, 10)})
	}
	f.rule.Weaken(a)
}
