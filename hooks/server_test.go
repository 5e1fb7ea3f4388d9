package hooks

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

// On a unix socket there is no name to be wrong about. Browsers stay out all the same.
func TestUnix(t *testing.T) {
	a := start(t, "unix", Options{})
	for _, c := range []struct {
		request string
		status  int
	}{
		{"POST /publish?channel=a HTTP/1.1\r\nHost: any.thing\r\nContent-Length: 5\r\n\r\nhello", 200},
		{"GET /channels HTTP/1.0\r\n\r\n", 200},
		{"GET /channels HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n", 403},
	} {
		if got := a.raw(c.request); got.status != c.status {
			t.Errorf("%q: %d %s", c.request, got.status, got.body)
		}
	}
}

func TestCheckBind(t *testing.T) {
	for _, c := range []struct {
		listen string
		local  bool
	}{
		{"127.0.0.1:9090", true}, {"127.0.0.2:0", true}, {"[::1]:9090", true}, {"localhost:9090", true}, {"unix:/run/hooks", true},
		{":9090", false}, {"0.0.0.0:9090", false}, {"[::]:9090", false}, {"10.0.0.1:9090", false}, {"holdfast:9090", false},
		{"localhost.evil.test:9090", false}, {"[::1%lo]:9090", false},
	} {
		if err := CheckBind(c.listen, ""); (err == nil) != c.local || err != nil && !errors.Is(err, ErrOpenBind) {
			t.Errorf("%s without a token: %v", c.listen, err)
		}
		if err := CheckBind(c.listen, "0123456789abcdef"); err != nil {
			t.Errorf("%s with a token: %v", c.listen, err)
		}
	}
	if err := CheckBind("nonsense", ""); err == nil {
		t.Error("nonsense may be listened on")
	}
}

// Whatever was checked before, Serve itself does not start on an open listener without a token.
func TestServeRefusesOpenBind(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Hub: hub.New(hub.Options{})}).Serve(ln); !errors.Is(err, ErrOpenBind) {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the listener is open after Serve refused it")
	}
}

// The answer to a caller that is still sending arrives, and is not overtaken by a reset.
func TestRefusalReachesSender(t *testing.T) {
	a := start(t, "tcp", Options{MaxBody: 1000})
	for range 20 {
		got := a.raw(request("POST /publish?channel=a", "", strings.Repeat("x", 1<<20)))
		if got.status != 413 || !got.closes {
			t.Fatalf("answer is %d, %v", got.status, got.header)
		}
	}
}

func TestKeepAliveAndExpect(t *testing.T) {
	a := start(t, "tcp", Options{})
	c := a.dial()
	br := bufio.NewReader(c)
	for range 3 {
		if _, err := io.WriteString(c, request("POST /publish?channel=a", "", "x")); err != nil {
			t.Fatal(err)
		}
		if got := a.read(br, false); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if _, err := io.WriteString(c, request("POST /publish?channel=a", "Expect: 100-continue\r\nContent-Length: 1\r\n", "")); err != nil {
		t.Fatal(err)
	}
	if line, err := br.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if got := a.read(br, false); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
}

// A call that breaks off was never made.
func TestCutRequestPublishesNothing(t *testing.T) {
	a := start(t, "tcp", Options{})
	whole := request("POST /publish?channel=a", "Transfer-Encoding: chunked\r\n", "") + "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
	for cut := range len(whole) {
		c := a.dial()
		if _, err := io.WriteString(c, whole[:cut]); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		if n := a.hub.Stats().Published; n > 0 {
			t.Fatalf("published after %q", whole[:cut])
		}
	}
	if got := a.raw(whole); got.status != 200 {
		t.Errorf("all of it: %d", got.status)
	}
}

// Shutdown ends idle connections at once, lets a call in progress finish, and gives up with its context.
func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	s := New(Options{Hub: hub.New(hub.Options{}), Ready: func() error { asked <- struct{}{}; <-release; return nil }})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	a := &app{t: t, ln: ln}
	fresh, idle, busy := a.dial(), a.dial(), a.dial()
	if _, err := io.WriteString(idle, request("GET /healthz", "", "")); err != nil {
		t.Fatal(err)
	}
	idleReader := bufio.NewReader(idle)
	a.read(idleReader, false)
	if _, err := io.WriteString(busy, request("GET /readyz", "", "")); err != nil {
		t.Fatal(err)
	}
	<-asked

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	for _, r := range []io.Reader{fresh, idleReader} {
		if n, err := r.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("idle connection is still open")
		}
	}
	select {
	case <-done:
		t.Error("Shutdown did not wait for the call in progress")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if got := a.read(bufio.NewReader(busy), false); got.status != 200 {
		t.Errorf("call in progress: %d", got.status)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Serve(ln); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	s := New(Options{Hub: hub.New(hub.Options{})})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c := (&app{t: t, ln: ln}).dial()
	if _, err := io.WriteString(c, "POST /publish?channel=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nh"); err != nil {
		t.Fatal(err)
	}
	for busy := false; !busy; time.Sleep(time.Millisecond) { // until it is a request in progress
		s.mu.Lock()
		for c := range s.conns {
			busy = !c.idle
		}
		s.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// brokenListener fails as one does that is out of descriptors.
type brokenListener struct {
	net.Listener
	fails int
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log wiretest.Log
	s := New(Options{Hub: hub.New(hub.Options{}), Log: slog.New(slog.NewTextHandler(&log, nil))})
	served := make(chan error, 1)
	go func() { served <- s.Serve(&brokenListener{ln, 3}) }()
	a := &app{t: t, ln: ln}
	if got := a.raw(request("GET /healthz", "", "")); got.status != 200 {
		t.Errorf("after accept errors: %d", got.status)
	}
	if n := strings.Count(log.String(), "API listener: accept failed"); n != 3 {
		t.Errorf("%d accept errors logged, want 3", n)
	}
	_ = ln.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve with a closed listener: %v", err)
	}
}

func TestReadyAndMetrics(t *testing.T) {
	ready := errors.New("the upstream cannot be reached")
	a := start(t, "tcp", Options{
		Version: "1.2.3",
		Ready:   func() error { return ready },
		Metrics: func(w *metric.Writer) { w.Int("holdfast_else", 7) },
	})
	if got := a.raw(request("GET /readyz", "", "")); got.status != 503 || !strings.Contains(got.body, ready.Error()) {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	a.raw(request("POST /publish?channel=a", "Origin: null\r\n", "x"))
	a.raw(request("POST /publish?channel=a", "Origin: null\r\n", strings.Repeat("x", 2<<20)))
	a.raw(request("POST /publish?channel=a", "", "x"))
	got := a.raw(request("GET /metrics", "", ""))
	for _, want := range []string{
		"holdfast_build_info{version=\"1.2.3\"} 1\n", "holdfast_else 7\n",
		"holdfast_api_requests_total{code=\"503\"} 1\n", "holdfast_api_requests_total{code=\"403\"} 2\n",
		"holdfast_api_requests_total{code=\"200\"} 1\n",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("metrics have no %q:\n%s", want, got.body)
		}
	}
}

// A panic costs its caller an answer, and nobody else anything.
func TestPanic(t *testing.T) {
	a := start(t, "tcp", Options{Ready: func() error { panic("secret thoughts") }})
	got := a.raw(request("GET /readyz", "", ""))
	if got.status != 500 || strings.Contains(got.body, "secret") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if !strings.Contains(a.log.String(), "secret thoughts") {
		t.Error("the panic is not in the log")
	}
	if got := a.raw(request("GET /healthz", "", "")); got.status != 200 {
		t.Errorf("afterwards: %d", got.status)
	}
}

func TestBusy(t *testing.T) {
	a := start(t, "tcp", Options{Hub: hub.New(hub.Options{Backlog: 1})})
	a.hub.Lane(0).Join(new(listener), []string{"a"}, 0, false)
	a.raw(request("POST /publish?channel=a", "", "x"))
	got := a.raw(request("POST /publish?channel=a", "", "x"))
	if got.status != 503 || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "hub:") {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
}

// Refusals do not fill the log.
func TestRefusalsLog(t *testing.T) {
	a := start(t, "tcp", Options{})
	for range 50 {
		a.raw("GET /channels HTTP/1.1\r\nHost: evil.test\r\n\r\n")
	}
	a.raw(request("GET /nothing\"\x1b[31m?secret=1", "", ""))
	for deadline := time.Now().Add(time.Minute); !strings.Contains(a.log.String(), "connection ended"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the end of the connection is not in the log")
		}
	}
	log := a.log.String()
	if n := strings.Count(log, "status=403"); n < 1 || n > 10 {
		t.Errorf("%d lines for 50 refusals", n)
	}
	if strings.Contains(log, "secret") || strings.Contains(log, "\x1b") {
		t.Errorf("log has what was sent: %q", log)
	}
}

// One connection too many is told so.
func TestTooManyConnections(t *testing.T) {
	a := start(t, "tcp", Options{}, func(s *Server) { s.engine.Concurrency = 1 })
	first := a.dial()
	if _, err := io.WriteString(first, request("GET /healthz", "", "")); err != nil {
		t.Fatal(err)
	}
	a.read(bufio.NewReader(first), false)
	if got := a.raw(request("GET /healthz", "", "")); got.status != 503 {
		t.Errorf("second connection: %d %s", got.status, got.body)
	}
	_ = first.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if got := a.raw(request("GET /metrics", "", "")); strings.Contains(got.body, `{code="503"}`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the refused connection is not in the metrics")
		}
	}
	if !strings.Contains(a.log.String(), "too many connections") {
		t.Error("the refused connection is not in the log")
	}
}

// TestRefusedConnectionsOfAFlood: a refused connection is read for a while, so that its caller gets the response, but not
// any number of them.
func TestRefusedConnectionsOfAFlood(t *testing.T) {
	s := New(Options{})
	s.engine.Concurrency = 2
	for i := range 6 {
		c := new(conn)
		if !s.track(c) || c.linger != (i < 4) {
			t.Errorf("connection %d lingers: %v", i+1, c.linger)
		}
	}
}
