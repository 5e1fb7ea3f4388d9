package succession

import (
	"net"
	"sync"
	"sync/atomic"
)

// Listener is the listener of the API. When another process has it, Accept waits for Close instead of failing.
type Listener struct {
	net.Listener
	name    string
	left    atomic.Bool
	once    sync.Once
	closedc chan struct{}
}

// NewListener returns a Listener. By the name, the next process finds it.
func NewListener(name string, ln net.Listener) *Listener {
	return &Listener{Listener: ln, name: name, closedc: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.left.Load() {
		<-l.closedc
	}
	return c, err
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closedc) })
	return l.Listener.Close()
}

// leave stops accepting. The socket is another process's, and so is the file of a unix socket.
func (l *Listener) leave() {
	l.left.Store(true)
	l.unlinkOnClose(false)
	_ = l.Listener.Close() // only this process's descriptor
}

// unlinkOnClose says whether the file of a unix socket goes with it.
func (l *Listener) unlinkOnClose(unlink bool) {
	if u, ok := l.Listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(unlink)
	}
}
