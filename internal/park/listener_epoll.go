//go:build linux && !park_plain

package park

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const acceptBatch = 64 // connections accepted before other events have their turn

// Listener is a listening socket's handler. It lives on one loop and spreads what it accepts over all:
// a descriptor per loop (SO_REUSEPORT) would let a second process bind the same port unnoticed.
type Listener struct {
	p      *Poller
	loop   *Loop
	ref    Ref
	accept func(*Loop) (h Handler, marked bool)
	begun  bool        // owned by the loop
	unlink string      // path of a unix socket; empty: it is none
	named  os.FileInfo // of its file, which is removed on close unless another process has bound it anew; nil: none is
}

func (p *Poller) newListener(ln net.Listener, accept func(*Loop) (Handler, bool)) (*Listener, error) {
	x := &Listener{p: p, loop: p.loops[0], accept: accept}
	var file *os.File
	var err error
	switch ln := ln.(type) {
	case *net.TCPListener:
		file, err = ln.File()
	case *net.UnixListener:
		x.unlink = ln.Addr().String()
		x.named, _ = os.Lstat(x.unlink) // without it, none is removed
		ln.SetUnlinkOnClose(false)
		file, err = ln.File()
	default:
		return nil, fmt.Errorf("%T is not a TCP or unix listener", ln)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	// From here on only the duplicate is used: each new connection would wake Go's netpoller for the original.
	ln.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	if x.unlink == "" { // inherited by accepted connections
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	}
	c, err := x.loop.open(fd, x, netip.AddrPort{}, 0, unix.EPOLLIN)
	if err != nil {
		return nil, err
	}
	x.ref = c.Ref()
	return x, nil
}

// Begin has the listener accept connections, also those that wait. Call it once.
func (x *Listener) Begin() {
	x.ref.Post(x.loop, func(c *Conn) { x.begun = true; x.Ready(c, Readable) })
}

// close closes the listener. The caller has the poller's mu.
func (x *Listener) close() {
	x.ref.Post(x.loop, func(c *Conn) {
		for n := 0; n < acceptBatch && x.batch(c); n++ { // the system would reset those that wait
		}
		c.Close()
	})
	if now, err := os.Lstat(x.unlink); err == nil && x.named != nil && os.SameFile(x.named, now) && !x.p.keepFiles.Load() {
		os.Remove(x.unlink)
	}
}

// Ready accepts a batch. An error such as EMFILE waits and tries again; it never ends the listener.
func (x *Listener) Ready(c *Conn, _ Event) {
	if x.batch(c) {
		x.ref.Post(x.loop, func(c *Conn) { x.Ready(c, Readable) })
	}
}

// batch accepts some connections, and reports whether more may wait.
func (x *Listener) batch(c *Conn) bool {
	for range acceptBatch {
		if !x.begun {
			return false
		}
		if x.p.full() {
			x.p.refused.Add(1)
			c.SetDeadline(acceptPause)
			return false
		}
		if fd, sa, err := unix.Accept4(int(c.fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
			x.take(fd, sa)
		} else if errors.Is(err, unix.EAGAIN) {
			return false
		} else if !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EINTR) {
			x.p.acceptFailed(err)
			c.SetDeadline(acceptPause)
			return false
		}
	}
	return true
}

func (x *Listener) take(fd int, sa unix.Sockaddr) {
	l := x.p.nextLoopFor()
	h, marked := x.accept(l)
	if h == nil {
		x.p.refused.Add(1)
		unix.Close(fd)
		return
	}
	var remote netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		remote = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		remote = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	counted, ok := x.p.addresses.take(remote.Addr())
	if !ok {
		x.p.refuseAddress(remote)
		unix.Close(fd)
		return
	}
	x.p.accepted.Add(1)
	l.opening.Lock()
	_, err := l.open(fd, h, remote, accepted[marked]|counted, unix.EPOLLIN|unix.EPOLLOUT)
	l.opening.Unlock()
	if err != nil {
		x.p.acceptFailed(err)
	}
}

// full reports whether MaxConns clients are open.
func (p *Poller) full() bool {
	return p.opts.MaxConns > 0 && p.clients.Load() >= int64(p.opts.MaxConns)
}
