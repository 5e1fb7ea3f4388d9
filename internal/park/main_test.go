package park_test

import (
	"log/slog"
	"net"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// start returns a poller that serves until the test ends. What it logs is the test's.
func start(t *testing.T, o park.Options) *park.Poller {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	p, err := park.New(o)
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	t.Cleanup(func() { p.Shutdown(); <-donec })
	return p
}

// listen accepts connections on a free port and returns its address.
func listen(t *testing.T, p *park.Poller, accept func(*park.Loop) park.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := p.Listen(ln, accept); err != nil {
		t.Fatal(err)
	}
	return addr
}

// handlerFunc is a handler that is a function.
type handlerFunc func(c *park.Conn, ev park.Event)

func (f handlerFunc) Ready(c *park.Conn, ev park.Event) { f(c, ev) }
