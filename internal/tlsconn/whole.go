package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"

	"holdfast/internal/park"
)

// maxWholeWrite is how much a connection of TLS 1.2 encrypts before the kernel must have it.
const maxWholeWrite = 16 << 10

// whole is a connection that keeps its tls.Conn. crypto/tls reads and writes the socket through wire, which never
// blocks.
type whole struct {
	tls   *tls.Conn
	wire  *wire
	group *group
	err   error // of all further reading

	peeked [1]byte // the next byte of Read, if has
	has    bool
}

var _ park.Layer = (*whole)(nil)

// wire is the net.Conn below a tls.Conn: the Stream during the handshake, and the socket afterwards.
type wire struct {
	net.Conn // the Stream; only its addresses are used after the handshake
	hand     *handshake
	socket   park.Socket // of the call in progress
	raw      []byte      // read with the handshake, and not used by it
	sending
}

// errWouldBlock stands for park.ErrAgain: crypto/tls takes a temporary net.Error for what it is, and every other error
// for the end.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tls: would block" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.hand != nil {
		return w.hand.read(p)
	}
	if len(w.raw) > 0 {
		n := copy(p, w.raw)
		w.raw = w.raw[n:]
		return n, nil
	}
	n, err := w.socket.Read(p)
	switch err {
	case park.ErrAgain:
		return n, errWouldBlock
	case io.EOF:
		return n, errTruncated
	}
	return n, err
}

// Write implements net.Conn. An error would be final for crypto/tls, so it keeps what the kernel refuses.
func (w *wire) Write(p []byte) (int, error) {
	if w.hand != nil {
		return w.hand.write(p)
	}
	if len(w.out) > 0 {
		w.keep(p)
		return len(p), nil
	}
	n, err := w.socket.Write(p)
	if err == park.ErrAgain {
		w.keep(p[n:])
		return len(p), nil
	}
	return n, err
}

// Close implements net.Conn. The poller closes the socket.
func (w *wire) Close() error { return nil }

// Read implements park.Layer.
func (x *whole) Read(s park.Socket, p []byte) (n int, err error) {
	x.wire.socket = s
	if x.has && len(p) > 0 {
		n, x.has = copy(p, x.peeked[:]), false
	}
	for n < len(p) && x.err == nil {
		m, err := x.tls.Read(p[n:])
		n += m
		if errors.Is(err, errWouldBlock) {
			return n, endOf(n, park.ErrAgain)
		}
		if x.err = err; err != nil && err != io.EOF && err != errTruncated {
			x.failed(s, err)
		}
	}
	if n < len(p) {
		err = endAfter(s, n, x.err)
	}
	return n, err
}

// failed counts a connection that does not keep to the protocol.
func (x *whole) failed(s park.Socket, err error) {
	var alert *net.OpError // sent or received
	var header tls.RecordHeaderError
	if errors.As(err, &alert) || errors.As(err, &header) {
		x.group.failed(s, "tls12", err)
	}
}

// Write implements park.Layer.
func (x *whole) Write(s park.Socket, a, b []byte) (n int, err error) {
	for _, p := range [...][]byte{a, b} {
		for len(p) > 0 {
			if err := x.Flush(s); err != nil {
				return n, err
			}
			m, err := x.tls.Write(p[:min(len(p), maxWholeWrite)])
			n += m
			if p = p[m:]; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Flush implements park.Layer.
func (x *whole) Flush(s park.Socket) error {
	x.wire.socket = s
	return x.wire.flush(s)
}

// Unsent implements park.Layer.
func (x *whole) Unsent() int { return len(x.wire.out) }

// Peek implements park.Layer.
func (x *whole) Peek(s park.Socket, p []byte) (int, error) {
	if !x.has {
		n, err := x.Read(s, x.peeked[:])
		if n == 0 {
			return 0, err
		}
		x.has = true
	}
	return copy(p, x.peeked[:]), nil
}

// CloseWrite implements park.Layer.
func (x *whole) CloseWrite(s park.Socket) error {
	x.wire.socket = s
	err := x.tls.CloseWrite() // into wire, which keeps what the kernel refuses
	x.wire.shut = true
	if flushErr := x.wire.flush(s); flushErr != nil && flushErr != park.ErrAgain {
		return flushErr
	}
	return err
}

// unread implements layer.
func (x *whole) unread(b []byte) { x.wire.raw = append([]byte(nil), b...) }

// Lend implements park.Layer. A worker's calls come with its own Socket.
func (*whole) Lend(park.Socket, bool) {}

// Close implements park.Layer.
func (x *whole) Close(s park.Socket, reset bool) (unsent []byte) {
	x.group.closed(tls12)
	if !reset && (x.err == nil || x.err == io.EOF) {
		x.wire.socket = s
		_ = x.tls.CloseWrite() // fails if it was sent before
	}
	return x.wire.out
}
