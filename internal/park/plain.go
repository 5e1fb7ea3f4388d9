//go:build !linux || park_plain

package park

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	plainRead  = 16 << 10         // read ahead of the handler
	plainWrite = 64 << 10         // written ahead of the network
	plainFlush = 10 * time.Second // to send the rest when a connection closes
	plainDial  = 30 * time.Second
	plainSlots = 1 << 20
)

// sysConn is what a connection needs where there is no epoll: two goroutines and a buffer each way.
type sysConn struct{ io *plainIO }

type sysLoop struct {
	wakec chan struct{} // buffered; never closed
}

// sysPoller hands out slot numbers, which are descriptors elsewhere.
type sysPoller struct {
	mu   sync.Mutex // guards what follows
	free []int
	next int
	wg   sync.WaitGroup // readers, writers, dialers and acceptors
}

// plainIO is shared by the loop (or a worker) and the connection's two goroutines.
type plainIO struct {
	loop *Loop
	ref  Ref

	mu      sync.Mutex // guards what follows
	cond    *sync.Cond
	nc      net.Conn // nil while dialling
	dialErr error
	in      []byte
	inErr   error
	out     []byte
	outErr  error
	blocked bool // a write was cut short: Writable must follow
	half    bool // the sending side is to end after out
	writing bool // the writer is sending bytes that it took from out
	closed  bool
}

func slotLimit() int { return plainSlots }

func (l *Loop) sysOpen() error {
	l.sys.wakec = make(chan struct{}, 1)
	return nil
}

func (l *Loop) sysClose() {}

func (l *Loop) sysWake() {
	select {
	case l.sys.wakec <- struct{}{}:
	default:
	}
}

func (s *sysPoller) wait() { s.wg.Wait() }

func (l *Loop) sysRun() {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for {
		l.clock()
		more := l.runPosted()
		if l.stopped {
			return
		}
		if more {
			continue
		}
		if d := l.untilExpiry(); d >= 0 {
			timer.Reset(d)
		} else {
			timer.Reset(math.MaxInt64)
		}
		select {
		case <-l.sys.wakec:
		case <-timer.C:
		}
	}
}

// open makes a slot for a connection and starts its goroutines; nc is nil while it is being dialled.
func (l *Loop) openPlain(nc net.Conn, h Handler, remote netip.AddrPort, state uint8) (*Conn, *plainIO, error) {
	s := &l.poller.sys
	s.mu.Lock()
	n := s.next
	if len(s.free) > 0 {
		n = s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
	} else {
		s.next++
	}
	s.mu.Unlock()
	c, err := l.poller.slots.take(n)
	if err != nil {
		return nil, nil, err
	}
	x := &plainIO{loop: l, nc: nc}
	x.cond = sync.NewCond(&x.mu)
	// The load in publish orders this after the last owner's close; the store in publish makes it visible.
	gen := c.gen.Load() + 1
	x.ref = Ref{c, gen}
	c.publish(l, h, sysConn{x}, remote, state)
	if nc != nil {
		x.start()
	}
	return c, x, nil
}

func (x *plainIO) start() {
	wg := &x.loop.poller.sys.wg
	wg.Go(x.readLoop)
	wg.Go(x.writeLoop)
}

// tell gives an event to the connection's handler.
func (x *plainIO) tell(ev Event) {
	x.ref.Post(x.loop, func(c *Conn) { x.loop.dispatch(c, ev) })
}

// readLoop reads ahead of the handler, a little, so that a hang-up is noticed.
func (x *plainIO) readLoop() {
	buf := make([]byte, plainRead)
	for {
		n, err := x.nc.Read(buf)
		x.mu.Lock()
		x.in = append(x.in, buf[:n]...)
		if x.inErr == nil { // an error set by sysBreak stays
			x.inErr = err
		}
		for len(x.in) >= plainRead && !x.closed && err == nil {
			x.mu.Unlock()
			x.tell(Readable)
			x.mu.Lock()
			for len(x.in) >= plainRead && !x.closed {
				x.cond.Wait()
			}
		}
		closed := x.closed
		x.mu.Unlock()
		if closed {
			return
		}
		if err == io.EOF {
			x.tell(Readable | HangUp)
			return
		}
		if err != nil {
			x.tell(Readable | HangUp | Broken)
			return
		}
		x.tell(Readable)
	}
}

func (x *plainIO) writeLoop() {
	var buf []byte
	for {
		x.mu.Lock()
		for len(x.out) == 0 && !x.closed && !x.half {
			x.cond.Wait()
		}
		buf, x.out = x.out, buf[:0]
		half, closed := x.half, x.closed
		x.half = false
		x.writing = true
		x.mu.Unlock()
		var err error
		if len(buf) > 0 {
			_, err = x.nc.Write(buf)
		}
		if half && err == nil {
			if w, ok := x.nc.(interface{ CloseWrite() error }); ok {
				w.CloseWrite()
			}
		}
		x.mu.Lock()
		x.writing = false
		if err != nil && x.outErr == nil {
			x.outErr = err
		}
		owed := x.blocked
		x.blocked = false
		done := x.closed && (len(x.out) == 0 || x.outErr != nil)
		x.mu.Unlock()
		switch {
		case closed && done:
			x.nc.Close()
			return
		case err != nil:
			x.tell(Writable | HangUp | Readable | Broken)
			x.mu.Lock()
			for !x.closed {
				x.cond.Wait()
			}
			x.mu.Unlock()
			x.nc.Close()
			return
		case owed:
			x.tell(Writable)
		}
	}
}

func (c *Conn) sysRead(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.in) == 0 {
		switch {
		case x.inErr == nil:
			return 0, ErrAgain
		case errors.Is(x.inErr, io.EOF), errors.Is(x.inErr, io.ErrClosedPipe):
			return 0, io.EOF
		}
		return 0, x.inErr
	}
	n := copy(p, x.in)
	x.in = x.in[:copy(x.in, x.in[n:])]
	if len(x.in) == 0 && cap(x.in) > 4*plainRead {
		x.in = nil
	}
	x.cond.Broadcast()
	return n, nil
}

func (c *Conn) sysWrite(p []byte) (int, error) {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.outErr != nil {
		return 0, x.outErr
	}
	if x.nc == nil || x.closed {
		return 0, ErrAgain
	}
	n := min(len(p), max(plainWrite-len(x.out), 0))
	x.out = append(x.out, p[:n]...)
	x.cond.Broadcast()
	if n < len(p) {
		x.blocked = true
		return n, ErrAgain
	}
	return n, nil
}

func (c *Conn) sysWritev(a, b []byte) (int, error) {
	n, err := c.sysWrite(a)
	if err != nil {
		return n, err
	}
	m, err := c.sysWrite(b)
	return n + m, err
}

func (c *Conn) sysStale() bool {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.in) > 0 || x.inErr != nil || x.outErr != nil
}

func peek(c *Conn, p []byte) (int, error) {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case len(x.in) > 0:
		return copy(p, x.in), nil
	case x.inErr == nil:
		return 0, ErrAgain
	case errors.Is(x.inErr, io.EOF), errors.Is(x.inErr, io.ErrClosedPipe):
		return 0, io.EOF
	}
	return 0, x.inErr
}

func received(c *Conn) int {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.in)
}

// sendRest gives b to the connection's writer, which sends it after the close, and reports that the close is to go on.
func sendRest(c *Conn, b []byte) bool {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = append(x.out, b...)
	return false
}

// sysBreak ends both directions; a worker that still uses the slot releases it.
func (c *Conn) sysBreak() {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	x.inErr, x.outErr = io.EOF, net.ErrClosed
	if x.nc != nil {
		x.nc.SetDeadline(time.Now())
	}
	x.cond.Broadcast()
}

func (c *Conn) sysCloseWrite() error {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	x.half = true
	x.cond.Broadcast()
	return x.outErr
}

// sysUnsent knows only what has not reached the kernel yet.
func (c *Conn) sysUnsent() int {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.out)
}

func (c *Conn) sysDialError() error {
	x := c.sys.io
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.nc == nil && x.dialErr == nil {
		return ErrAgain
	}
	return x.dialErr
}

func (c *Conn) sysClose(reset bool) {
	x := c.sys.io
	x.mu.Lock()
	x.closed = true
	if x.nc != nil {
		if t, ok := x.nc.(*net.TCPConn); ok && reset {
			t.SetLinger(0)
		}
		if reset || len(x.out) == 0 && !x.half && !x.writing {
			x.nc.Close()
		} else {
			x.nc.SetDeadline(time.Now().Add(plainFlush))
		}
	}
	x.cond.Broadcast()
	x.mu.Unlock()
	c.sys.io = nil
	s := &x.loop.poller.sys
	c.gen.Add(1)
	s.mu.Lock()
	s.free = append(s.free, int(c.fd))
	s.mu.Unlock()
}

func (l *Loop) sysDial(network, address string, h Handler) (*Conn, error) {
	var remote netip.AddrPort
	if network != "unix" {
		var err error
		if remote, err = netip.ParseAddrPort(address); err != nil {
			return nil, err
		}
	}
	c, x, err := l.openPlain(nil, h, remote, 0)
	if err != nil {
		return nil, err
	}
	l.poller.sys.wg.Go(func() {
		nc, err := net.DialTimeout(network, address, plainDial)
		x.mu.Lock()
		x.nc, x.dialErr = nc, err
		if err != nil {
			x.nc, x.inErr, x.outErr = nil, err, err
		}
		closed := x.closed
		x.mu.Unlock()
		switch {
		case err != nil:
			x.tell(Writable | HangUp)
		case closed:
			nc.Close()
		default:
			x.start()
			x.tell(Writable)
		}
	})
	return c, nil
}
