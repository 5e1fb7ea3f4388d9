// Package wire is a small HTTP server on one epoll loop in one thread: the app behind every proxy, and the
// frame of the bare loop. It knows just enough of HTTP/1.1 for the requests of this benchmark.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Request is one request whose body has been read, and dropped.
type Request struct {
	Conn         *Conn
	Method, Path string // path with query
	Head         []byte // valid during the call
	Body         []byte // what came with the head; only whole for small bodies
}

// Conn is one client.
type Conn struct {
	FD     int
	server *server
	in     []byte // the head so far
	body   int64  // bytes of the body to come
	out    []byte // what the kernel has not taken
	waits  bool   // epoll is asked for room to write, and for nothing else
	closed bool
	gone   bool // the handler took the connection for itself
}

// Take leaves the connection to the handler: bytes that come are dropped from now on, a hang-up calls gone.
func (c *Conn) Take() { c.gone = true }

type server struct {
	epoll   int
	conns   []*Conn
	handler func(*Request) []byte
	gone    func(*Conn)
}

// Serve listens and answers for ever. The handler returns the answer, which must stay as it is; gone hears of
// the end of connections that were taken.
func Serve(listen string, handler func(*Request) []byte, gone func(*Conn)) error {
	runtime.LockOSThread()
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return fmt.Errorf("bind %s: %w", addr, err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s := &server{handler: handler, gone: gone}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	if err := s.add(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 256<<10)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == fd {
				s.accept(fd)
			} else if c := s.conns[e.Fd]; c != nil {
				c.ready(e.Events, buf)
			}
		}
	}
}

func (s *server) add(fd, op int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (s *server) accept(listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		for len(s.conns) <= fd {
			s.conns = append(s.conns, nil)
		}
		s.conns[fd] = &Conn{FD: fd, server: s}
		s.add(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
}

func (c *Conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.server.conns[c.FD] = nil
	unix.Close(c.FD)
	if c.gone && c.server.gone != nil {
		c.server.gone(c)
	}
}

func (c *Conn) ready(events uint32, buf []byte) {
	if events&unix.EPOLLOUT != 0 {
		c.flush()
		return // what came meanwhile is still readable
	}
	n, err := unix.Read(c.FD, buf)
	if n <= 0 {
		if !errors.Is(err, unix.EAGAIN) {
			c.close()
		}
		return
	}
	if c.gone {
		return
	}
	data := buf[:n]
	if c.body > 0 {
		n := min(c.body, int64(len(data)))
		c.body -= n
		if c.body > 0 {
			return
		}
		data = data[n:]
		c.answer(&Request{Conn: c, Head: c.in})
		c.in = c.in[:0]
	}
	for len(data) > 0 && !c.closed && !c.gone {
		data = c.feed(data)
	}
}

// feed takes bytes of a head; it returns what belongs to the next request.
func (c *Conn) feed(data []byte) []byte {
	before := len(c.in)
	c.in = append(c.in, data...)
	end := bytes.Index(c.in, []byte("\r\n\r\n"))
	if end < 0 {
		return nil
	}
	end += 4
	rest := data[end-before:]
	c.in = c.in[:end]
	var length int64
	if v := Field(c.in, "Content-Length"); v != nil {
		length, _ = strconv.ParseInt(string(v), 10, 64)
	}
	if length > int64(len(rest)) {
		c.body = length - int64(len(rest))
		return nil
	}
	c.answer(&Request{Conn: c, Head: c.in, Body: rest[:length]})
	c.in = c.in[:0]
	return rest[length:]
}

func (c *Conn) answer(r *Request) {
	line, _, _ := bytes.Cut(r.Head, []byte(" HTTP/"))
	method, path, _ := bytes.Cut(line, []byte(" "))
	r.Method, r.Path = string(method), string(path)
	if a := c.server.handler(r); a != nil {
		c.out = a
		c.flush()
	}
}

func (c *Conn) flush() {
	for len(c.out) > 0 {
		n, err := unix.Write(c.FD, c.out)
		if n > 0 {
			c.out = c.out[n:]
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		c.close()
		return
	}
	if waits := len(c.out) > 0; waits != c.waits {
		c.waits = waits
		events := uint32(unix.EPOLLIN)
		if waits { // the next request is read when this one is answered
			events = unix.EPOLLOUT
		}
		c.server.add(c.FD, unix.EPOLL_CTL_MOD, events)
	}
}

// Field returns the trimmed value of a field of a head; nil if it is not there.
func Field(head []byte, name string) []byte {
	for rest := head; ; {
		_, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil
		}
		rest = after
		if len(rest) > len(name) && rest[len(name)] == ':' && bytes.EqualFold(rest[:len(name)], []byte(name)) {
			value, _, _ := bytes.Cut(rest[len(name)+1:], []byte("\n"))
			return bytes.TrimSpace(value)
		}
	}
}
