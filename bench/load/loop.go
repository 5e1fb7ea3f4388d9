package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const readSize = 256 << 10 // bytes of one read(2), so that large answers cost few calls

// Handler has the events of one connection. Data is only valid during the call.
type Handler interface {
	Opened(c *Conn)
	Data(c *Conn, data []byte)
	// Closed is the last call: err is nil if the other side ended the connection in order.
	Closed(c *Conn, err error)
}

// Loop is an epoll set and the connections in it.
type Loop struct {
	epoll  int
	first  int // a set in epoll: those of Hasten
	timer  int // timerfd, or -1
	conns  []*Conn
	open   int // connections that are not closed
	buf    []byte
	onTick func(ticks int)
	source int // number of connections that were made, for the next source address
}

func NewLoop() (*Loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll_create: %w", err)
	}
	first, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll_create: %w", err)
	}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, first, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(first)}); err != nil {
		return nil, fmt.Errorf("load: epoll_ctl: %w", err)
	}
	return &Loop{epoll: fd, first: first, timer: -1, buf: make([]byte, readSize)}, nil
}

// Hasten has events of c handled soon, and not behind those of all other connections: the answers of ten publishers, say,
// which publish anew when they have one, while ten thousand subscribers have something to read.
func (l *Loop) Hasten(c *Conn) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil); err != nil {
		return fmt.Errorf("load: epoll_ctl: %w", err)
	}
	c.epoll = l.first
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, c.fd, c.event()); err != nil {
		return fmt.Errorf("load: epoll_ctl: %w", err)
	}
	return nil
}

// Close closes every connection without telling its handler.
func (l *Loop) Close() {
	for _, c := range l.conns {
		if c != nil && !c.closed {
			c.Close()
		}
	}
	l.Tick(0, nil)
	unix.Close(l.first)
	unix.Close(l.epoll)
}

// Open is the number of connections that are not closed.
func (l *Loop) Open() int { return l.open }

// Tick calls f every interval from within Run, with the number of intervals since the last call. 0 ends it.
func (l *Loop) Tick(interval time.Duration, f func(ticks int)) error {
	if l.timer >= 0 {
		unix.Close(l.timer)
		l.timer = -1
	}
	if interval == 0 {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("load: timerfd: %w", err)
	}
	each := unix.NsecToTimespec(int64(interval))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		unix.Close(fd)
		return fmt.Errorf("load: timerfd: %w", err)
	}
	l.timer, l.onTick = fd, f
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Run handles events until done says so, and reports false if that took longer than limit.
func (l *Loop) Run(limit time.Duration, done func() bool) bool {
	end := time.Now().Add(limit)
	events, hastened := make([]unix.EpollEvent, 512), make([]unix.EpollEvent, 16)
	for !done() {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		n, err := unix.EpollWait(l.epoll, events, int(min(left, 20*time.Millisecond).Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Errorf("load: epoll_wait: %w", err)) // a fault of this package
		}
		for i := range max(n, 0) {
			if i%len(hastened) == 0 {
				if n, _ := unix.EpollWait(l.first, hastened, 0); n > 0 {
					l.handle(hastened[:n])
				}
			}
			l.handle(events[i : i+1])
		}
	}
	return true
}

func (l *Loop) handle(events []unix.EpollEvent) {
	for _, e := range events {
		switch fd := int(e.Fd); {
		case fd == l.timer:
			l.tick()
		case fd == l.first: // Run looks at it anyway
		default:
			if c := l.conns[fd]; c != nil && c.made == e.Pad {
				c.ready(e.Events)
			}
		}
	}
}

// Pass handles events for a time.
func (l *Loop) Pass(d time.Duration) { l.Run(d, func() bool { return false }) }

func (l *Loop) tick() {
	var b [8]byte
	if n, _ := unix.Read(l.timer, b[:]); n == 8 {
		l.onTick(int(b[0]) | int(b[1])<<8 | int(b[2])<<16)
	}
}

// Option changes how a connection is made.
type Option func(fd int) error

// SmallWindow keeps what the kernel takes for a client that does not read at its minimum.
func SmallWindow(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }

// Dial begins a connection; h hears how it went. The source addresses go round in 127.0.1.0/24, so that
// the ports of connections that have just been closed do not run out.
func (l *Loop) Dial(to netip.AddrPort, h Handler, options ...Option) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("load: socket: %w", err)
	}
	fail := func(what string, err error) (*Conn, error) {
		unix.Close(fd)
		return nil, fmt.Errorf("load: %s: %w", what, err)
	}
	for _, o := range options {
		if err := o(fd); err != nil {
			return fail("option", err)
		}
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fail("bind", err)
	}
	from := [4]byte{127, 0, 1, byte(1 + l.source%250)}
	l.source++
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from}); err != nil {
		return fail("bind", err)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fail("connect", err)
	}
	c := &Conn{loop: l, epoll: l.epoll, fd: fd, made: int32(l.source), handler: h, events: unix.EPOLLOUT}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, c.event()); err != nil {
		return fail("epoll_ctl", err)
	}
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	l.open++
	return c, nil
}
