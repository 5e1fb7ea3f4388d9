//go:build linux && !park_plain

package park

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Descriptor returns the descriptor of c, to be sent to another process.
func Descriptor(c *Conn) int { return int(c.fd) }

// Adopt opens a connection that another process has accepted, on l. Only l itself may call it, or any one goroutine before
// Serve runs. It owns fd, even if it fails. The connection's owner has to be set by Hold, and gets Writable as the first
// event, and Readable if anything waits in the kernel.
func (l *Loop) Adopt(fd int, m Moving) (*Conn, error) {
	state := accepted[m.Marked]
	if a := l.poller.addresses; a != nil && m.Counted {
		a.adopt(m.Remote.Addr())
		state |= connCounted
	}
	c, err := l.open(fd, nil, m.Remote, state, unix.EPOLLIN|unix.EPOLLOUT)
	if err != nil {
		return nil, err
	}
	c.SetTLS(m.TLS)
	c.SetDeadline(m.Deadline)
	return c, nil
}

// Release gives c up: it belongs to another process, which continues with it. The peer notices nothing. The layer is not
// closed, but forgotten. Only the connection's loop may call it, or who has frozen it.
func Release(c *Conn) {
	l := c.Loop()
	// What is registered is shared with the other process: this one would go on to get events.
	_ = unix.EpollCtl(l.sys.epfd, unix.EPOLL_CTL_DEL, int(c.fd), nil)
	if c.state&connLayered != 0 {
		l.poller.slots.setLayer(c.fd, nil)
	}
	free(c, false)
}

// ListenerDescriptors returns the descriptors of the listeners, in the order in which Listen was called.
func (p *Poller) ListenerDescriptors() (list []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.listeners {
		list = append(list, int(x.ref.c.fd))
	}
	return list
}

// ReleaseListeners gives up the listeners but for the first keep ones: another process has them. The loops must be frozen.
func (p *Poller) ReleaseListeners(keep int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.listeners[keep:] {
		if c, ok := x.ref.Conn(); ok {
			Release(c)
		}
	}
	p.listeners = p.listeners[:keep]
}

// adopt counts a connection of addr that another process has counted: it stays, whatever the limit is now.
func (a *addresses) adopt(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns[addr.Unmap().WithZone("")]++
}
