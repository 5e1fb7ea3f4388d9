package load

import (
	"fmt"
	"net/netip"
	"time"
)

// Requester sends requests on one connection, the next when the last was answered.
type Requester struct {
	// Done is called with each complete answer and how long it took; what it returns is sent next, and nil leaves the
	// connection idle.
	Done func(r *Requester, took time.Duration) []byte
	// Failed is called when the connection ends or the answer is malformed.
	Failed func(r *Requester, err error)
	// Pace, if set, is called with the number of bytes of each read.
	Pace func(r *Requester, n int)

	Conn     *Conn
	Response Response
	Index    int // for the caller
	next     []byte
	started  time.Time
	busy     bool
}

// Dial connects r, and sends first when it stands, unless that is nil.
func (r *Requester) Dial(l *Loop, to netip.AddrPort, first []byte, options ...Option) error {
	r.next = first
	c, err := l.Dial(to, r, options...)
	r.Conn = c
	return err
}

// Busy reports whether an answer is awaited.
func (r *Requester) Busy() bool { return r.busy }

// Send sends a request on an idle connection.
func (r *Requester) Send(request []byte) {
	r.busy = true
	r.started = time.Now()
	r.Response.Reset()
	r.Conn.Send(request)
}

func (r *Requester) Opened(c *Conn) {
	r.Conn = c
	if r.next != nil {
		r.Send(r.next)
	}
}

func (r *Requester) Data(c *Conn, data []byte) {
	if !r.busy {
		r.fail(fmt.Errorf("%w: bytes without a request", ErrResponse))
		return
	}
	if r.Pace != nil {
		r.Pace(r, len(data))
	}
	used, done, err := r.Response.Feed(data)
	if err == nil && done && used < len(data) {
		err = fmt.Errorf("%w: bytes after the answer", ErrResponse)
	}
	if err != nil {
		r.fail(err)
		return
	}
	if !done {
		return
	}
	r.busy = false
	if next := r.Done(r, time.Since(r.started)); next != nil && !c.closed {
		r.Send(next)
	}
}

func (r *Requester) fail(err error) {
	r.Conn.Close()
	r.Failed(r, err)
}

func (r *Requester) Closed(_ *Conn, err error) {
	r.busy = false
	r.Failed(r, err)
}
