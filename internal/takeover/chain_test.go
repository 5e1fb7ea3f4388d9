//go:build linux && !park_plain

package takeover_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/headread"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/takeover"
	"holdfast/internal/tlsconn"
	"holdfast/internal/wiretest"
)

func init() { takeover.Serve = serve }

// site is one process of a chain: it responds to requests with the target, and takes its time for some.
type site struct {
	poller  *park.Poller
	readers []*headread.Reader
}

const slowTime = 20 * time.Millisecond

// HeadRead implements headread.Owner.
func (s *site) HeadRead(c *park.Conn, head, rest []byte, more bool) {
	target := strings.Fields(string(head))[1]
	rest = append([]byte(nil), rest...)
	respond := func(c *park.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(target), target)
		s.readers[c.Loop().Index].Resume(c, rest, true)
	}
	if !strings.HasPrefix(target, "/slow") {
		respond(c)
		return
	}
	c.Hold(busy{})
	ref, l := c.Ref(), c.Loop()
	time.AfterFunc(slowTime, func() { ref.Post(l, respond) })
}

// HeadRefused implements headread.Owner.
func (s *site) HeadRefused(c *park.Conn, _ *http1.Refusal, _ []byte) { c.Abort() }

// busy is the handler of a connection whose request is in progress.
type busy struct{}

func (busy) Ready(*park.Conn, park.Event) {}

// serve is one process of the chain. It prints how many connections have moved to it before it serves, and at SIGUSR2 it
// starts the next one.
func serve() error {
	t, err := takeover.Inherit()
	if err != nil {
		return err
	}
	signalc := make(chan os.Signal, 1)
	signal.Notify(signalc, syscall.SIGUSR2)
	listeners := map[string]net.Listener{}
	if t != nil {
		if err := t.Begin("next"); err != nil {
			return err
		}
	}
	for _, name := range []string{"plain", "secure"} {
		var ln net.Listener
		if t != nil {
			ln, err = t.Listener(name)
		} else {
			ln, err = net.Listen("tcp", os.Getenv("HOLDFAST_TEST_"+strings.ToUpper(name)))
		}
		if err != nil || ln == nil {
			return fmt.Errorf("listener %s: %v", name, err)
		}
		listeners[name] = ln
	}
	p, err := park.New(park.Options{Loops: 2})
	if err != nil {
		return err
	}
	s := &site{poller: p}
	for _, l := range p.Loops() {
		s.readers = append(s.readers, &headread.Reader{Owner: s, Loop: l, FirstTime: time.Minute, IdleTime: time.Minute, MaxBytes: 4096})
	}
	cert, err := tls.LoadX509KeyPair(os.Getenv("HOLDFAST_TEST_PEM"), os.Getenv("HOLDFAST_TEST_PEM"))
	if err != nil {
		return err
	}
	secure := tlsconn.NewServer(p, tlsconn.Options{Config: &tls.Config{Certificates: []tls.Certificate{cert}}})
	accept := func(l *park.Loop) park.Handler { return s.readers[l.Index] }
	if err := p.Listen(listeners["plain"], accept); err != nil {
		return err
	}
	if err := p.Listen(listeners["secure"], secure.Accept(accept)); err != nil {
		return err
	}
	idle := &headread.Idle{Reader: func(l *park.Loop) *headread.Reader { return s.readers[l.Index] }}
	layers, kinds := []takeover.Kind{secure.Layer()}, []takeover.Kind{idle, secure.Hellos(accept)}
	if t != nil {
		if err := t.Take(context.Background(), p, nil, layers, kinds); err != nil {
			t.Refuse(err)
			return err
		}
		go func() {
			if err := t.Late(); err != nil {
				fmt.Fprintln(os.Stderr, "late:", err)
			}
		}()
	}
	go func() {
		if err := p.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	for range signalc {
		if s.handOver(layers, kinds) {
			return nil
		}
	}
	return nil
}

// handOver moves everything to the next process, and waits until nothing is left here. It reports whether that is so; it is
// not after a failure.
func (s *site) handOver(layers, kinds []takeover.Kind) bool {
	fds := s.poller.ListenerDescriptors()
	var passer *takeover.Passer
	g := &takeover.Giver{
		Poller: s.poller, Layers: layers, Kinds: kinds, Binary: "before",
		Listeners: []takeover.Listener{{Name: "plain", Descriptor: fds[0]}, {Name: "secure", Descriptor: fds[1]}},
		Moved: func(h *takeover.Handover) {
			s.poller.ReleaseListeners(0)
			passer = h.Passer()
			for _, r := range s.readers {
				r.Pass = passer.Pass
			}
		},
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	h, err := g.Run(context.Background(), cmd)
	if err != nil {
		fmt.Printf("failed: %v\n", err)
		return false
	}
	for by := time.Now().Add(time.Minute); s.poller.Stats().Clients > 0 && time.Now().Before(by); {
		time.Sleep(time.Millisecond)
	}
	left := s.poller.Stats().Clients
	passer.Close()
	fmt.Printf("moved: pid %d left %d conns %d stayed %d pause %d\n", h.PID, left, h.Conns, h.Stayed, h.Pause.Microseconds())
	return true
}

// visitor sends requests one after the other on one connection, or each on a new one, until stop.
func visitor(n int, dial func() (net.Conn, error), keep bool, stop *atomic.Bool, done *atomic.Int64) error {
	var c net.Conn
	var r *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for i := 0; !stop.Load(); i++ {
		if c == nil {
			var err error
			if c, err = dial(); err != nil {
				return fmt.Errorf("request %d: %w", i, err)
			}
			c.SetDeadline(time.Now().Add(2 * time.Minute))
			r = bufio.NewReader(c)
		}
		target := "/" + strconv.Itoa(n) + "/" + strconv.Itoa(i)
		if i%3 == 0 {
			target = "/slow" + target
		}
		if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != target {
			return fmt.Errorf("request %d: %q, %v", i, body, err)
		}
		done.Add(1)
		if !keep {
			c.Close()
			c = nil
		}
	}
	return nil
}

const takeOvers = 20

// TestChain has 20 processes, each of which takes over from the one before, under load: idle connections, requests on
// connections that are kept and on new ones, plain and with TLS, and some that take longer than the take-over. No
// request fails, and none of the connections is closed.
func TestChain(t *testing.T) {
	cert, pool := wiretest.Certificate()
	file := t.TempDir() + "/pem"
	writePEM(t, file, cert)
	plain, secure := freeAddr(t), freeAddr(t)
	first := exec.Command(os.Args[0], "-test.run=^$")
	first.Env = append(os.Environ(), takeover.Behavior+"=serves", "HOLDFAST_TEST_PLAIN="+plain, "HOLDFAST_TEST_SECURE="+secure, "HOLDFAST_TEST_PEM="+file)
	first.Stderr = t.Output()
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	pid := first.Process.Pid
	defer func() {
		syscall.Kill(pid, syscall.SIGKILL) // the last one
		first.Wait()
	}()
	dialPlain := func() (net.Conn, error) { return net.Dial("tcp", plain) }
	dialSecure := func() (net.Conn, error) {
		return tls.Dial("tcp", secure, &tls.Config{RootCAs: pool, ServerName: "app.test", MinVersion: tls.VersionTLS13})
	}
	wiretest.Eventually(t, "the first one serves", func() bool {
		c, err := dialPlain()
		if err == nil {
			c.Close()
		}
		return err == nil
	})

	var stop atomic.Bool
	var done atomic.Int64
	var group sync.WaitGroup
	errc := make(chan error, 100)
	for n := range 12 {
		dial := dialPlain
		if n%3 == 0 {
			dial = dialSecure
		}
		group.Go(func() {
			if err := visitor(n, dial, n < 9, &stop, &done); err != nil {
				errc <- fmt.Errorf("visitor %d: %w", n, err)
			}
		})
	}
	var idle []net.Conn
	for n := range 300 {
		c, err := dialPlain()
		if n%3 == 0 {
			c, err = dialSecure()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}

	lines := bufio.NewScanner(out)
	longest := 0
	for i := range takeOvers {
		before := done.Load()
		wiretest.Eventually(t, "requests in between", func() bool { return done.Load() >= before+50 || len(errc) > 0 })
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() {
			t.Fatalf("take-over %d: the process has ended", i)
		}
		var left, conns, stayed, pause int
		if _, err := fmt.Sscanf(lines.Text(), "moved: pid %d left %d conns %d stayed %d pause %d", &pid, &left, &conns, &stayed, &pause); err != nil {
			t.Fatalf("take-over %d: %s", i, lines.Text())
		}
		if left > 0 || conns < len(idle) {
			t.Errorf("take-over %d: %s", i, lines.Text())
		}
		longest = max(longest, pause)
	}
	stop.Store(true)
	group.Wait()
	close(errc)
	for err := range errc {
		t.Error(err)
	}
	for n, c := range idle {
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "GET /idle/%d HTTP/1.1\r\n\r\n", n)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("idle connection %d: %v", n, err)
			continue
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != fmt.Sprintf("/idle/%d", n) {
			t.Errorf("idle connection %d: %q, %v", n, body, err)
		}
	}
	t.Logf("%d requests, longest pause %d µs", done.Load(), longest)
}

func writePEM(t *testing.T, name string, cert tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddr returns an address that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
