//go:build linux && !park_plain

package park

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventBatch is how many events are taken from the kernel at once. Posted functions wait for them: with 64 requests,
// half a millisecond.
const eventBatch = 64

// sysConn is empty: on Linux a connection is its slot and the kernel's socket.
type sysConn struct{}

type sysPoller struct{}

func (*sysPoller) wait() {}

type sysLoop struct {
	epfd   int
	gatefd int      // an epoll descriptor that has epfd: what Go's netpoller sees of it, see gate
	file   *os.File // gatefd, in Go's netpoller
	raw    syscall.RawConn
	wakefd int
	events []unix.EpollEvent
	armed  uint32 // tick for which the read deadline is set
	waits  bool   // for blockTime, before it sleeps
	iov    [2]unix.Iovec
}

// slotLimit returns how many descriptors the table must have slots for.
func slotLimit() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil || r.Cur > 4<<20 {
		return 4 << 20
	}
	return int(r.Cur)
}

func (l *Loop) sysOpen() error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	gatefd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.EpollCtl(gatefd, unix.EPOLL_CTL_ADD, epfd, &unix.EpollEvent{}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	// Only a non-blocking descriptor is put into the netpoller by os.NewFile.
	if err := unix.SetNonblock(gatefd, true); err != nil {
		return fmt.Errorf("epoll descriptor: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(wakefd)} // generation 0: not a slot
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wakefd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	file := os.NewFile(uintptr(gatefd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("epoll descriptor: %w", err)
	}
	l.sys = sysLoop{epfd: epfd, gatefd: gatefd, file: file, raw: raw, wakefd: wakefd, events: make([]unix.EpollEvent, eventBatch)}
	return nil
}

func (l *Loop) sysClose() {
	l.sys.file.Close()
	unix.Close(l.sys.epfd)
	unix.Close(l.sys.wakefd)
}

func (l *Loop) sysWake() {
	one := [8]byte{1}
	unix.Write(l.sys.wakefd, one[:]) // a full counter wakes as well
}

// sysRun waits for the epoll descriptor to become readable in Go's netpoller. The callback returns
// false to wait: as the netpoller's edge is only forgotten when Read begins, nothing is missed between
// an empty epoll_wait and the wait.
func (l *Loop) sysRun() {
	l.sys.waits = runtime.GOMAXPROCS(0) > len(l.poller.loops)
	for !l.stopped {
		err := l.sys.raw.Read(func(uintptr) bool { return l.turn() })
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			panic(fmt.Sprintf("park: waiting on epoll: %v", err)) // only after our own Close
		}
		if err != nil {
			l.sys.armed = 0
			l.sys.file.SetReadDeadline(time.Time{})
		}
	}
}

// The longest that a busy loop runs without a call of Go's scheduler: if all processors run loops that find an event at each
// epoll_wait, only the runtime's monitor polls Go's netpoller, every 10 ms at best. With a processor to spare, that one polls,
// and each call may continue the loop on another thread, a time slice later (docs/decisions/0007-loops-yield.md).
const yieldTime, yieldSpareTime = 2 * time.Millisecond, 20 * time.Millisecond

// blockTime is how long a loop that has run out of events waits in the kernel, in milliseconds, before it leaves the
// waiting to Go's netpoller. A loop that is busy with pauses is woken by the kernel alone, in less time and with less
// work; one that is idle keeps no thread. It does so only if there are more processors than loops: the call keeps its own,
// and other goroutines would wait for that.
const blockTime = 1

// yield calls the scheduler. Tests count its calls.
var yield = runtime.Gosched

// turn handles events and what was posted until there are none. It returns true to end the loop.
func (l *Loop) turn() bool {
	l.gate(false)
	yielded := time.Now()
	blocks := false // nothing is left to do but what the kernel has
	alone, limit := l.sys.waits, yieldTime
	if alone {
		limit = yieldSpareTime
	}
	for {
		n, errno := epollWait(l.sys.epfd, l.sys.events, blocks && l.sys.waits)
		if errno != 0 && errno != unix.EINTR {
			panic(fmt.Sprintf("park: epoll_wait: %v", errno))
		}
		l.clock()
		for i := range n {
			ev := &l.sys.events[i]
			l.deliver(ev.Fd, uint32(ev.Pad), ev.Events)
		}
		more := l.runPosted()
		if l.stopped {
			return true
		}
		if l.now.Sub(yielded) >= limit {
			yield()
			yielded = l.now
		}
		if alone && !more {
			// The thread that has found this loop awake was the one that polls, and no other was woken for that.
			alone = false
			yield()
			yielded = l.now
		}
		if n == 0 && !more && blocks && l.sleepUntilExpiry() {
			l.gate(true)
			return false
		}
		blocks = !more
	}
}

// gate lets the netpoller see the events of the loop while it sleeps, and not while it is awake: a processor that waits in
// the netpoller would wake at each of them, to find that nobody waits for it. Opening tells of events that are there. What
// the closed gate has in its list of ready descriptors must be taken out before, or opening tells of nothing. It is taken
// out as late as that, and not when the gate is closed: an event of that moment, on another processor, may come into the
// list a little later.
func (l *Loop) gate(open bool) {
	var ev unix.EpollEvent
	if open {
		epollWait(l.sys.gatefd, l.sys.events[:1], false)
		ev.Events = unix.EPOLLIN
	}
	if err := unix.EpollCtl(l.sys.gatefd, unix.EPOLL_CTL_MOD, l.sys.epfd, &ev); err != nil {
		panic(fmt.Sprintf("park: epoll_ctl: %v", err))
	}
}

// sleepUntilExpiry arms the wake-up for the next deadline. It reports false when one is due already.
func (l *Loop) sleepUntilExpiry() bool {
	if l.wheel.nearest == l.sys.armed {
		return true
	}
	d := l.untilExpiry()
	switch {
	case d == 0:
		return false
	case d < 0:
		l.sys.file.SetReadDeadline(time.Time{})
	default:
		l.sys.file.SetReadDeadline(time.Now().Add(d))
	}
	l.sys.armed = l.wheel.nearest
	return true
}

func (l *Loop) deliver(fd int32, gen uint32, bits uint32) {
	if gen == 0 {
		var b [8]byte
		unix.Read(l.sys.wakefd, b[:])
		return
	}
	c := l.poller.slots.get(fd)
	if c == nil || c.gen.Load() != gen {
		return
	}
	var ev Event
	if bits&unix.EPOLLIN != 0 {
		ev |= Readable
	}
	if bits&unix.EPOLLOUT != 0 {
		ev |= Writable
	}
	if bits&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		ev |= HangUp | Readable
	}
	if bits&unix.EPOLLERR != 0 {
		ev |= Broken
	}
	l.dispatch(c, ev)
}

// open makes the slot of fd, in the given state, and adds it to l's set. It owns fd, even if it fails.
func (l *Loop) open(fd int, h Handler, remote netip.AddrPort, state uint8, events uint32) (*Conn, error) {
	c, err := l.poller.slots.take(fd)
	if err != nil {
		unix.Close(fd)
		if state&connCounted != 0 {
			l.poller.addresses.leave(remote.Addr())
		}
		return nil, err
	}
	if state&connClient != 0 {
		l.poller.clients.Add(1)
	}
	gen := c.publish(l, h, sysConn{}, remote, state)
	ev := unix.EpollEvent{Events: events | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd), Pad: int32(gen)}
	if err := unix.EpollCtl(l.sys.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		c.Close()
		return nil, fmt.Errorf("park: epoll_ctl: %w", err)
	}
	return c, nil
}

func (c *Conn) sysClose(reset bool) {
	fd := int(c.fd)
	if reset {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	c.gen.Add(1)
	unix.Close(fd) // also takes it out of the epoll set
}

func (c *Conn) sysRead(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			if n == 0 {
				return 0, io.EOF
			}
			return int(n), nil
		case unix.EAGAIN:
			return 0, ErrAgain
		case unix.EINTR:
			continue
		}
		return 0, os.NewSyscallError("read", errno)
	}
}

func (c *Conn) sysWrite(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&p[written])), uintptr(len(p)-written))
		switch errno {
		case 0:
			written += int(n)
		case unix.EAGAIN:
			return written, ErrAgain
		case unix.EINTR:
		default:
			return written, os.NewSyscallError("write", errno)
		}
	}
	return written, nil
}

func (c *Conn) sysWritev(a, b []byte) (int, error) {
	if len(a) == 0 {
		return c.sysWrite(b)
	}
	if len(b) == 0 {
		return c.sysWrite(a)
	}
	iov := &c.Loop().sys.iov
	iov[0] = unix.Iovec{Base: &a[0], Len: uint64(len(a))}
	iov[1] = unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(c.fd), uintptr(unsafe.Pointer(&iov[0])), 2)
		if errno == unix.EINTR {
			continue
		}
		iov[0], iov[1] = unix.Iovec{}, unix.Iovec{}
		switch errno {
		case 0:
		case unix.EAGAIN:
			return 0, ErrAgain
		default:
			return 0, os.NewSyscallError("writev", errno)
		}
		written := int(n)
		if written < len(a) {
			m, err := c.sysWrite(a[written:])
			if written += m; err != nil {
				return written, err
			}
		}
		m, err := c.sysWrite(b[written-len(a):])
		return written + m, err
	}
}

func (c *Conn) sysStale() bool {
	var b [1]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno != unix.EAGAIN
}

// sysBreak ends both directions; a worker that still uses the descriptor closes it.
func (c *Conn) sysBreak() { unix.Shutdown(int(c.fd), unix.SHUT_RDWR) }

func (c *Conn) sysCloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(int(c.fd), unix.SHUT_WR))
}

func (c *Conn) sysUnsent() int {
	n, err := unix.IoctlGetInt(int(c.fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

func (c *Conn) sysDialError() error {
	fd := int(c.fd)
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if code != 0 {
		return os.NewSyscallError("connect", syscall.Errno(code))
	}
	if _, err := unix.Getpeername(fd); err != nil {
		if errors.Is(err, unix.ENOTCONN) {
			return ErrAgain
		}
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// epollWait takes events. With blocks it waits for one for up to blockTime. Go's scheduler is not told of the call, so the
// processor stays the loop's: a signal, as the runtime sends to stop it, ends the waiting.
func epollWait(epfd int, events []unix.EpollEvent, blocks bool) (int, syscall.Errno) {
	timeout := uintptr(0)
	if blocks {
		timeout = blockTime
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), timeout, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (l *Loop) sysDial(network, address string, h Handler) (*Conn, error) {
	sa, family, remote, err := sockaddr(network, address)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if family != unix.AF_UNIX {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return l.open(fd, h, remote, 0, unix.EPOLLIN|unix.EPOLLOUT)
}

func sockaddr(network, address string) (unix.Sockaddr, int, netip.AddrPort, error) {
	if network == "unix" {
		return &unix.SockaddrUnix{Name: address}, unix.AF_UNIX, netip.AddrPort{}, nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, 0, ap, fmt.Errorf("park: dial %s %q: %w", network, address, err)
	}
	if ap.Addr().Unmap().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().Unmap().As4()}, unix.AF_INET, ap, nil
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, 0, ap, fmt.Errorf("park: dial %q: %w", address, err)
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return sa, unix.AF_INET6, ap, nil
}
