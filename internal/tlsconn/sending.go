package tlsconn

import (
	"errors"

	"holdfast/internal/park"
)

// errEnded means that close_notify or a fatal alert was sent.
var errEnded = errors.New("tls: the sending side has ended")

// sending has what the kernel did not accept. It is at most one record, and alerts: until it is sent, Write accepts
// nothing.
type sending struct {
	out  []byte
	shut bool // the socket's sending side ends after out
	done bool // it has
}

func (x *sending) empty() bool { return len(x.out) == 0 && !x.shut }

// keep keeps a copy of b.
func (x *sending) keep(b []byte) { x.out = append(x.out, b...) }

// flush writes what is kept, and then ends the sending side if that is due.
func (x *sending) flush(s park.Socket) error {
	if len(x.out) > 0 {
		n, err := s.Write(x.out)
		if x.out = x.out[n:]; err != nil {
			return err
		}
		x.out = nil
	}
	if x.shut && !x.done {
		x.done = true
		return s.CloseWrite()
	}
	return nil
}
