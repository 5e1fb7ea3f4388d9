package appcall

import (
	"errors"
	"fmt"
)

var errLost = errors.New("the app has not answered; it may have taken the message")

// Unusable returns the error for the client if err means that the app has the message, but its response is unusable;
// otherwise nil.
func Unusable(err error) error {
	for _, known := range []error{ErrReplyTooLarge, ErrReplyInvalid, ErrReplyCut} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// ForClient returns the response or the error for the client. The details of an error of the app are for the log only.
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
