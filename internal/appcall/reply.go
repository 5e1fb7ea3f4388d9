package appcall

import (
	"errors"
	"fmt"
)

var errLost = errors.New("the app has not answered; it may have taken the message")

// Unusable returns what a client is told of an error that says that the app has the message, and that its response is of
// no use; nil for others.
func Unusable(err error) error {
	for _, known := range []error{ErrReplyTooLarge, ErrReplyInvalid, ErrReplyCut} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// ForClient returns what a client is told of the app's response to its message, or of err. What went wrong with the app
// is for the log.
func (r Reply) ForClient(err error) (Reply, error) {
	switch {
	case err == nil && r.Status >= 200 && r.Status < 300:
		return r, nil
	case err == nil:
		return r, fmt.Errorf("the app answered %d", r.Status)
	case Unusable(err) != nil:
		r.Status = 502
		return r, Unusable(err)
	}
	r.Status = 503
	return r, errLost
}
