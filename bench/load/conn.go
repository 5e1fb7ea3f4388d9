package load

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Conn is one socket of a Loop.
type Conn struct {
	loop    *Loop
	epoll   int
	handler Handler
	fd      int
	made    int32  // its number, so that no event of an earlier user of the descriptor is taken for its own
	events  uint32 // what epoll is asked for
	out     []byte // what the kernel has not taken yet; the caller's memory
	opened  bool
	paused  bool
	closed  bool
}

// Send writes data, now or when the kernel takes it. The caller leaves data alone until it is written, and
// does not send again before; requests here are answered before the next, so that is no burden.
func (c *Conn) Send(data []byte) {
	if c.closed {
		return
	}
	if len(c.out) > 0 {
		c.out = append(append([]byte(nil), c.out...), data...)
		return
	}
	c.out = data
	c.flush()
}

// Pause stops or resumes reading: a client that does not read.
func (c *Conn) Pause(paused bool) {
	c.paused = paused
	c.want()
}

// Close closes the socket. The handler is not told.
func (c *Conn) Close() {
	if c.closed {
		return
	}
	c.closed = true
	c.loop.open--
	c.loop.conns[c.fd] = nil
	unix.Close(c.fd)
}

func (c *Conn) fail(err error) {
	if !c.closed {
		c.Close()
		c.handler.Closed(c, err)
	}
}

// want asks epoll for what the state of the connection needs.
func (c *Conn) want() {
	if c.closed {
		return
	}
	var events uint32
	if !c.opened || len(c.out) > 0 {
		events |= unix.EPOLLOUT
	}
	if c.opened && !c.paused {
		events |= unix.EPOLLIN
	}
	if events != c.events {
		c.events = events
		unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, c.fd, c.event())
	}
}

func (c *Conn) event() *unix.EpollEvent {
	return &unix.EpollEvent{Events: c.events, Fd: int32(c.fd), Pad: c.made}
}

func (c *Conn) flush() {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if n > 0 {
			c.out = c.out[n:]
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			// The answer that explains the refusal may be readable yet; the next read says how it ended.
			c.out = nil
		}
	}
	c.want()
}

func (c *Conn) ready(events uint32) {
	if !c.opened {
		if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			c.fail(fmt.Errorf("load: connect: %w", unix.Errno(code)))
			return
		}
		c.opened = true
		c.want()
		c.handler.Opened(c)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 || c.closed {
		return
	}
	if c.paused && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	n, err := unix.Read(c.fd, c.loop.buf)
	switch {
	case n > 0:
		c.handler.Data(c, c.loop.buf[:n])
	case n == 0 && err == nil:
		c.fail(nil)
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
		c.fail(fmt.Errorf("load: read: %w", err))
	}
}
