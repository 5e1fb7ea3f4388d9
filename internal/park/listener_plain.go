//go:build !linux || park_plain

package park

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// Listener accepts on a goroutine of its own.
type Listener struct {
	p      *Poller
	ln     net.Listener
	accept func(*Loop) (h Handler, marked bool)
	donec  chan struct{} // closed by close
}

func (p *Poller) newListener(ln net.Listener, accept func(*Loop) (Handler, bool)) (*Listener, error) {
	return &Listener{p: p, ln: ln, accept: accept, donec: make(chan struct{})}, nil
}

// Begin has the listener accept connections, also those that wait. Call it once.
func (x *Listener) Begin() {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	if !x.p.closed {
		x.p.sys.wg.Go(x.acceptLoop)
	}
}

func (x *Listener) close() {
	close(x.donec)
	x.ln.Close()
}

// acceptLoop accepts connections until close. After an error it waits and tries again.
func (x *Listener) acceptLoop() {
	for {
		nc, err := x.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
				return
			}
			x.p.acceptFailed(err)
			select {
			case <-x.donec:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		x.take(nc)
	}
}

func (x *Listener) take(nc net.Conn) {
	for !x.p.reserve() { // on Linux it waits in the listener's queue; here it is already accepted
		x.p.refused.Add(1)
		select {
		case <-x.donec:
			nc.Close()
			return
		case <-time.After(acceptPause):
		}
	}
	l := x.p.nextLoopFor()
	h, marked := x.accept(l)
	if h == nil {
		x.p.clients.Add(-1)
		x.p.refused.Add(1)
		nc.Close()
		return
	}
	var remote netip.AddrPort
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		remote = a.AddrPort()
	}
	counted, ok := x.p.addresses.take(remote.Addr())
	if !ok {
		x.p.clients.Add(-1)
		x.p.refuseAddress(remote)
		nc.Close()
		return
	}
	x.p.accepted.Add(1)
	io, err := l.adopt(nc, h, remote, accepted[marked]|counted)
	switch {
	case err == nil:
		io.tell(Writable)
		return
	case err != ErrClosed:
		x.p.acceptFailed(err)
	}
	x.p.clients.Add(-1)
	if counted != 0 {
		x.p.addresses.leave(remote.Addr())
	}
	nc.Close()
}

// adopt opens a connection for the loop from another goroutine, unless the loop has ended: a function posted to it then
// would be dropped, and the connection with it.
func (l *Loop) adopt(nc net.Conn, h Handler, remote netip.AddrPort, state uint8) (*plainIO, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, ErrClosed
	}
	l.opening.Lock()
	defer l.opening.Unlock()
	_, io, err := l.openPlain(nc, h, remote, state)
	return io, err
}

// reserve counts a client, unless MaxConns are open. It counts before the loop opens the connection, as others are
// accepted meanwhile.
func (p *Poller) reserve() bool {
	for {
		n := p.clients.Load()
		if p.opts.MaxConns > 0 && n >= int64(p.opts.MaxConns) {
			return false
		}
		if p.clients.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
