package succession

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/internal/takeover"
)

// descriptor returns a descriptor of the socket, until release.
func (l *Listener) descriptor() (fd int, release func(), err error) {
	c, ok := l.Listener.(syscall.Conn)
	if !ok {
		return 0, nil, takeover.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var dupErr error
	err = raw.Control(func(own uintptr) { fd, dupErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = os.NewSyscallError("fcntl", dupErr)
	}
	return fd, func() { unix.Close(fd) }, err
}
