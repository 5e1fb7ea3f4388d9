//go:build !linux || park_plain

package park_test

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// scripted is a net.Conn whose Read is the test's.
type scripted struct {
	net.Conn
	read      func(p []byte) (int, error)
	deadlinec chan struct{} // closed by SetDeadline
	closec    chan struct{} // closed by Close
	once      sync.Once
}

func (s *scripted) Read(p []byte) (int, error)  { return s.read(p) }
func (s *scripted) Write(p []byte) (int, error) { return len(p), nil }
func (s *scripted) RemoteAddr() net.Addr        { return &net.UnixAddr{Net: "unix"} }

func (s *scripted) SetDeadline(time.Time) error {
	close(s.deadlinec)
	return nil
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closec) })
	return nil
}

// single is a listener with one connection.
type single struct {
	nextc chan net.Conn
	donec chan struct{}
}

func (o *single) Accept() (net.Conn, error) {
	select {
	case c := <-o.nextc:
		return c, nil
	case <-o.donec:
		return nil, net.ErrClosed
	}
}

func (o *single) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (o *single) Close() error {
	close(o.donec)
	return nil
}

// TestBrokenStaysBroken: bytes that arrive while Shutdown breaks a connection do not hide from its
// worker that it is broken.
func TestBrokenStaysBroken(t *testing.T) {
	againc := make(chan struct{}) // closed when the reader asks for more after the break
	reads := 0
	s := &scripted{deadlinec: make(chan struct{}), closec: make(chan struct{})}
	s.read = func(p []byte) (int, error) { // runs on the connection's reader
		switch reads++; reads {
		case 1:
			return copy(p, "x"), nil
		case 2:
			<-s.deadlinec
			return copy(p, "y"), nil
		}
		close(againc)
		<-s.closec
		return 0, os.ErrDeadlineExceeded
	}
	o := &single{nextc: make(chan net.Conn, 1), donec: make(chan struct{})}
	o.nextc <- s
	p, err := park.New(park.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	startedc := make(chan struct{})
	var got []byte
	var readErr error
	err = p.Listen(o, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			st := park.NewStream(c, nil)
			p.Go(func() {
				close(startedc)
				<-againc
				st.SetReadDeadline(time.Now().Add(wiretest.Timeout / 4))
				got, readErr = io.ReadAll(st)
				st.Release(drop)
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	<-startedc
	p.Shutdown()
	<-donec
	if readErr != nil || string(got) != "xy" {
		t.Errorf("read %q, %v; want the bytes and the end", got, readErr)
	}
}
