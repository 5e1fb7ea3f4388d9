package takeover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// link is one end of the socket pair.
type link struct {
	c   *net.UnixConn
	in  []byte
	oob []byte
	out []byte
}

// sendBuffer is how much a process may send, in bytes, that the other has not read; the kernel may allow less. After the
// take-over, the old process rarely has to wait.
const sendBuffer = 1 << 20

// newPair returns this process's end of a new socket pair, and the other one for a child.
func newPair() (*link, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	l, err := newLink(os.NewFile(uintptr(fds[0]), "take-over"))
	other := os.NewFile(uintptr(fds[1]), "take-over")
	if err != nil {
		other.Close()
		return nil, nil, err
	}
	_ = l.c.SetWriteBuffer(sendBuffer) // with less, it waits
	return l, other, nil
}

// newLink returns a link over f, and closes f.
func newLink(f *os.File) (*link, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("a %T is no socket of a take-over", c)
	}
	return &link{c: u, in: make([]byte, 1+maxData+1), oob: make([]byte, syscall.CmsgSpace(4*maxBatch))}, nil
}

func (l *link) close() { l.c.Close() }

// send sends a message within a time. It has erased its copy of the body when it returns.
func (l *link) send(kind byte, body []byte, descriptors []int, within time.Duration) error {
	l.out = append(append(l.out[:0], kind), body...)
	defer clear(l.out)
	var oob []byte
	if len(descriptors) > 0 {
		oob = syscall.UnixRights(descriptors...)
	}
	if err := l.c.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, _, err := l.c.WriteMsgUnix(l.out, oob, nil)
	return err
}

// sendData sends b in as many messages as it needs, all of them within a time.
func (l *link) sendData(b []byte, within time.Duration) error {
	by := time.Now().Add(within)
	for len(b) > 0 {
		n := min(len(b), maxData)
		if err := l.send(msgData, b[:n], nil, time.Until(by)); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

var (
	errTruncated   = errors.New("a message is longer than it may be")
	errDescriptors = errors.New("descriptors were lost: the limit of open files (RLIMIT_NOFILE) is reached")
)

// receive returns the next message, within a time; zero means without limit. The error is io.EOF if the other process has
// ended. The message's descriptors are the caller's.
func (l *link) receive(within time.Duration) (m message, err error) {
	var by time.Time
	if within > 0 {
		by = time.Now().Add(within)
	}
	if err := l.c.SetReadDeadline(by); err != nil {
		return m, err
	}
	n, oobn, flags, _, err := l.c.ReadMsgUnix(l.in, l.oob) // with MSG_CMSG_CLOEXEC
	if errors.Is(err, syscall.ECONNRESET) {                // it has ended without reading everything; what it has said comes next
		n, oobn, flags, _, err = l.c.ReadMsgUnix(l.in, l.oob)
	}
	if err != nil {
		return m, err
	}
	if m.descriptors, err = rights(l.oob[:oobn]); err != nil {
		return m, err
	}
	switch {
	case flags&syscall.MSG_CTRUNC != 0:
		err = errDescriptors
	case flags&syscall.MSG_TRUNC != 0, n == 0:
		err = errTruncated
	}
	if err != nil {
		closeAll(m.descriptors)
		return m, err
	}
	m.kind, m.body = l.in[0], l.in[1:n]
	return m, nil
}

func rights(oob []byte) (list []int, err error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return list, err
		}
		list = append(list, fds...)
	}
	return list, nil
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		syscall.Close(fd)
	}
}
