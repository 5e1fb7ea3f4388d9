package fcgi

import "errors"

var (
	ErrNoHead   = errors.New("the script ended without a head")
	ErrTooShort = errors.New("the script sent less than its Content-Length")
)

// Reply reads what a script has answered: a head, and a body that ends with the script.
type Reply struct {
	Reader
	Head Head

	read    bool   // the head
	partial []byte // of it
	left    int64  // of the body, if its length is known; -1 if not
	noBody  bool
}

// Reset makes it ready for the answer to a request.
func (r *Reply) Reset(id uint16) {
	r.Reader.Reset(id)
	r.read, r.partial = false, r.partial[:0]
}

// Feed takes bytes of the app and returns those of the body among them, in place. isHead says that the head has become
// complete with them; then the caller looks at it, and calls Begin. There may be bytes beside an error.
func (r *Reply) Feed(p []byte) (body []byte, isHead bool, err error) {
	n, _, err := r.Reader.Feed(p)
	if errors.Is(err, ErrExtra) { // the answer is valid; the connection is not used again
		err = nil
	}
	if r.read {
		return p[:n], false, err
	}
	seen := len(r.partial)
	r.partial = append(r.partial, p[:n]...)
	end, headErr := HeadEnd(r.partial, seen)
	if end > 0 && headErr == nil {
		headErr = r.Head.Parse(r.partial[:end])
	}
	switch {
	case headErr != nil:
		return nil, false, headErr
	case end > 0:
		r.read = true
		return r.partial[end:], true, err
	case r.Done && err == nil:
		err = ErrNoHead
	}
	return nil, false, err
}

// Begin begins the body: of a length, -1 if it is not known, or none, whatever the script sends.
func (r *Reply) Begin(length int64, none bool) { r.left, r.noBody = length, none }

// Body returns what of a piece is the body's, and whether that is complete. err is Feed's.
func (r *Reply) Body(p []byte, err error) (body []byte, done bool, _ error) {
	switch {
	case r.noBody:
		p = nil
	case r.left >= 0 && int64(len(p)) > r.left: // more than its Content-Length
		p = p[:r.left]
	}
	if r.left >= 0 {
		r.left -= int64(len(p))
	}
	done = r.Done && err == nil
	if done && r.left > 0 && !r.noBody {
		done, err = false, ErrTooShort
	}
	return p, done, err
}
