package park

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Stream is a connection that one worker uses: a net.Conn that blocks, with deadlines, on the loop's readiness events
// rather than in poll(2), so that a blocked worker pins no OS thread.
//
// It serves one request. Read returns the bytes given to NewStream first. After the request (Idle was called), it
// returns io.EOF instead of waiting, so that fasthttp's ServeConn returns. Close is only noted; the worker calls
// Release after ServeConn has returned.
type Stream struct {
	c     *Conn
	loop  *Loop
	layer Layer         // of c; nil: none
	wake  chan struct{} // buffered; never closed

	head    []byte // bytes read by the loop and not yet by the worker
	idle    bool
	closed  bool
	readBy  time.Time
	writeBy time.Time
	gone    atomic.Bool // the peer has hung up
	remote  netip.AddrPort

	released  bool // guarded by the loop's mu
	abandoned bool // owned by the loop: the connection was closed meanwhile
}

var _ net.Conn = (*Stream)(nil)

// NewStream gives c to a worker, with bytes that were read already. It runs on the loop; the Stream's other methods run
// on the worker until Release. The connection's deadline is cleared.
func NewStream(c *Conn, head []byte) *Stream {
	s := &Stream{c: c, loop: c.Loop(), wake: make(chan struct{}, 1), head: head}
	c.SetDeadline(0)
	if s.layer = c.Layer(); s.layer != nil {
		s.layer.Lend(Socket{c: c}, true)
	}
	s.remote = c.RemoteAddr()
	c.Hold(s)
	return s
}

// Ready wakes the worker.
func (s *Stream) Ready(_ *Conn, ev Event) {
	if ev&HangUp != 0 {
		s.gone.Store(true)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Gone reports whether the peer has hung up. Any goroutine may call it.
func (s *Stream) Gone() bool { return s.gone.Load() }

// Idle notes that the request has ended: Read then returns io.EOF when no bytes are left.
func (s *Stream) Idle() { s.idle = true }

// Closed reports whether Close was called.
func (s *Stream) Closed() bool { return s.closed }

// Release gives the connection back: f runs on the loop with the bytes that were not read. The stream must not be used
// afterwards. If the loop has ended, or has closed the connection meanwhile, f does not run, and the connection is closed.
func (s *Stream) Release(f func(c *Conn, rest []byte)) {
	c, rest, l := s.c, s.head, s.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		c.Close() // under the lock, as the loop closes what it has at the same time
		return
	}
	s.released = true
	l.postLocked(func() {
		s.Cancel()
		if s.abandoned {
			c.Close()
			return
		}
		f(c, rest)
	})
}

// Cancel takes the connection back, on the loop, if no worker has got the stream.
func (s *Stream) Cancel() {
	s.c.handler = nil
	if s.layer != nil {
		s.layer.Lend(Socket{c: s.c}, false)
		flushLayer(s.c) // the event for what it has kept may be past
	}
}

// abandon ends both directions for the worker. The descriptor is its until Release, which closes it.
func (s *Stream) abandon() {
	s.abandoned = true
	s.c.sysBreak()
	s.Ready(s.c, HangUp)
}

func (s *Stream) Read(p []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	if s.closed {
		return 0, net.ErrClosed
	}
	for {
		if s.idle {
			return 0, io.EOF
		}
		n, err := s.read(p)
		if !errors.Is(err, ErrAgain) {
			if err != nil { // the loop may learn of it later
				s.gone.Store(true)
			}
			return n, err
		}
		if err := s.wait("read", s.readBy); err != nil {
			return 0, err
		}
	}
}

func (s *Stream) Write(p []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	written := 0
	for {
		n, err := s.write(p[written:])
		written += n
		if !errors.Is(err, ErrAgain) {
			return written, err
		}
		if err := s.wait("write", s.writeBy); err != nil {
			return written, err
		}
	}
}

// read is Conn.Read. While there is nothing to read, it has the layer send what the kernel has refused.
func (s *Stream) read(p []byte) (int, error) {
	if s.layer == nil {
		return s.c.sysRead(p)
	}
	n, err := s.layer.Read(s.socket(), p)
	if err == ErrAgain {
		_ = s.layer.Flush(s.socket()) // an error is also the next read's
	}
	return n, err
}

func (s *Stream) socket() Socket { return Socket{c: s.c, lent: s} }

// write is Conn.Write. With a layer, it returns nil only after the kernel has everything: nobody else flushes the layer
// meanwhile.
func (s *Stream) write(p []byte) (n int, err error) {
	if s.layer == nil {
		return s.c.sysWrite(p)
	}
	if len(p) > 0 {
		n, err = s.layer.Write(s.socket(), p, nil)
	}
	if err == nil {
		err = s.layer.Flush(s.socket())
	}
	return n, err
}

// wait blocks until the loop has an event for the stream, or the deadline passes.
func (s *Stream) wait(op string, by time.Time) error {
	if by.IsZero() {
		<-s.wake
		return nil
	}
	timer := time.NewTimer(time.Until(by))
	defer timer.Stop()
	select {
	case <-s.wake:
		return nil
	case <-timer.C:
		return &net.OpError{Op: op, Net: "park", Addr: s.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
}

// Close only notes the call; see Release.
func (s *Stream) Close() error {
	s.closed = true
	return nil
}

// noAddr is an address that is not known.
var noAddr = &net.UnixAddr{Net: "unix"}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return noAddr }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr {
	if !s.remote.IsValid() {
		return noAddr
	}
	return net.TCPAddrFromAddrPort(s.remote)
}

func (s *Stream) SetDeadline(t time.Time) error {
	s.readBy, s.writeBy = t, t
	return nil
}

func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readBy = t
	return nil
}

func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeBy = t
	return nil
}
