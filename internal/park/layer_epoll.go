//go:build linux && !park_plain

package park

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func peek(c *Conn, p []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(int(c.fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, ErrAgain
		case err == unix.EINTR:
			continue
		}
		return 0, os.NewSyscallError("recvfrom", err)
	}
}

func received(c *Conn) int {
	n, err := unix.IoctlGetInt(int(c.fd), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// restTime is how long a closed connection may take to send the rest of its layer's bytes.
const restTime = 10 * time.Second

// sendRest takes c from its owner, by a new generation, and closes it when b is sent. It reports whether it has.
func sendRest(c *Conn, b []byte) bool {
	gen := c.gen.Add(2)
	ev := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.fd, Pad: int32(gen)}
	if unix.EpollCtl(c.Loop().sys.epfd, unix.EPOLL_CTL_MOD, int(c.fd), &ev) != nil {
		return false
	}
	c.handler = &restSender{b: b}
	c.SetDeadline(restTime)
	return true
}

// restSender is the handler of a closed connection that has bytes to send.
type restSender struct{ b []byte }

// Ready implements Handler.
func (x *restSender) Ready(c *Conn, ev Event) {
	n, err := c.sysWrite(x.b)
	x.b = x.b[n:]
	switch {
	case err == ErrAgain && ev&(Expired|Broken) == 0:
	case err == nil:
		c.Close()
	default:
		c.Abort()
	}
}
