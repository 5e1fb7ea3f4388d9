package park

import (
	"errors"
	"net/netip"
	"time"
)

// ErrBusy means that a loop does not get to what was posted to it.
var ErrBusy = errors.New("park: a loop is busy")

// Frozen is a poller whose loops are stopped. The goroutine that has it may use every connection, and everything else
// that belongs to a loop, as that loop would. What arrives meanwhile waits in the kernel, and what is posted in the loops'
// queues.
type Frozen struct {
	p     *Poller
	thawc chan struct{}
}

// Freeze stops all loops, between two events. It fails with ErrBusy if that takes longer than limit, and nothing is stopped
// then. Serve must be running. It is not for a loop's goroutine.
func (p *Poller) Freeze(limit time.Duration) (*Frozen, error) {
	f := &Frozen{p: p, thawc: make(chan struct{})}
	stoppedc := make(chan struct{}, len(p.loops))
	for _, l := range p.loops {
		if !l.Post(func() { stoppedc <- struct{}{}; <-f.thawc }) {
			f.Thaw()
			return nil, ErrClosed
		}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for range p.loops {
		select {
		case <-stoppedc:
		case <-timer.C:
			f.Thaw()
			return nil, ErrBusy
		}
	}
	return f, nil
}

// Thaw lets the loops continue. f is not to be used afterwards.
func (f *Frozen) Thaw() { close(f.thawc) }

// Clients calls visit for every open connection that was accepted, until that returns false.
func (f *Frozen) Clients(visit func(*Conn) bool) {
	goOn := true
	for _, l := range f.p.loops {
		l.Each(func(c *Conn) {
			if goOn && c.state&connClient != 0 {
				goOn = visit(c)
			}
		})
	}
}

// Moving is what the poller knows of a connection that moves to another process.
type Moving struct {
	Remote   netip.AddrPort
	Deadline time.Duration // how long it may still wait; 0: without limit
	TLS      bool          // see Conn.SetTLS
	Marked   bool          // see Poller.Open
	Counted  bool          // it counts for its address
}

// MovingOf returns what Adopt needs in the other process. c stays as it is.
func MovingOf(c *Conn) Moving {
	m := Moving{
		Remote: c.RemoteAddr(), TLS: c.TLS(), Marked: Marked(c), Counted: c.state&connCounted != 0,
	}
	if l := c.Loop(); c.due != 0 {
		m.Deadline = max(time.Until(l.start.Add(time.Duration(c.due-1)*tickLength)), tickLength)
	}
	return m
}

// KeepSocketFiles says whether the files of unix sockets stay when their listeners close: another process listens on them.
func (p *Poller) KeepSocketFiles(keep bool) { p.keepFiles.Store(keep) }
