package appcall

import (
	"errors"
	"fmt"
	"testing"
)

// TestReplyForClient: a client is told what the app has said, and not what is wrong with the app.
func TestReplyForClient(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		err    error
		want   int
		text   string
	}{
		"a reply":     {204, nil, 204, ""},
		"a refusal":   {403, nil, 403, "the app answered 403"},
		"a redirect":  {302, nil, 302, "the app answered 302"},
		"too large":   {200, fmt.Errorf("post: %w", ErrReplyTooLarge), 502, ErrReplyTooLarge.Error()},
		"not JSON":    {200, fmt.Errorf("%w: %w", ErrReplyInvalid, errors.New("at byte 7")), 502, ErrReplyInvalid.Error()},
		"no response": {0, errors.New("dial tcp 10.0.0.7:80: refused"), 503, errLost.Error()},
	} {
		r, err := Reply{Status: c.status}.ForClient(c.err)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if r.Status != c.want || text != c.text {
			t.Errorf("%s: %d %q, want %d %q", name, r.Status, text, c.want, c.text)
		}
	}
}
