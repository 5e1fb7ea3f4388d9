package wiretest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Timeout is how long a helper waits for something that should come at once. It only ends a test that hangs: on a
// machine with ten times as many busy processes as cores, what takes milliseconds elsewhere takes ten seconds.
const Timeout = time.Minute

// Upstream is an app on a loopback port whose every connection is served by a function of the test.
type Upstream struct {
	Addr string

	t     testing.TB
	ln    net.Listener
	mu    sync.Mutex // guards what follows
	conns []*Recorded
	wg    sync.WaitGroup
}

// Recorded is one connection that the upstream accepted. What is read from it is kept.
type Recorded struct {
	net.Conn
	Reader *bufio.Reader // reads through the record
	Index  int

	mu   sync.Mutex // guards sent
	sent bytes.Buffer
}

// Sent returns everything that was read from the connection.
func (r *Recorded) Sent() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.String()
}

func (r *Recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	r.sent.Write(p[:n])
	r.mu.Unlock()
	return n, err
}

// NewUpstream starts an upstream; serve runs once per connection, which is closed when it returns.
func NewUpstream(t testing.TB, serve func(c *Recorded)) *Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{Addr: ln.Addr().String(), t: t, ln: ln}
	u.wg.Go(func() { u.accept(serve) })
	t.Cleanup(u.Close)
	return u
}

func (u *Upstream) accept(serve func(*Recorded)) {
	for {
		c, err := u.ln.Accept()
		if err != nil {
			return
		}
		Bound(c)
		c.SetDeadline(time.Now().Add(3 * Timeout))
		r := &Recorded{Conn: c}
		r.Reader = bufio.NewReader(r)
		u.mu.Lock()
		r.Index = len(u.conns)
		u.conns = append(u.conns, r)
		u.mu.Unlock()
		u.wg.Go(func() {
			defer c.Close()
			serve(r)
		})
	}
}

// Close ends the upstream and waits until every serve has returned.
func (u *Upstream) Close() {
	u.ln.Close()
	u.mu.Lock()
	for _, c := range u.conns {
		c.Conn.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

// Conns returns the connections so far.
func (u *Upstream) Conns() []*Recorded {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*Recorded(nil), u.conns...)
}

// Sent returns what all connections were sent, in order.
func (u *Upstream) Sent() string {
	var b strings.Builder
	for _, c := range u.Conns() {
		b.WriteString(c.Sent())
	}
	return b.String()
}

// Answer serves requests on a connection one after the other: each is read whole with net/http, an
// independent parser, and answered with the bytes that answer returns; nil ends the connection.
func Answer(answer func(r *http.Request, body []byte) []byte) func(*Recorded) {
	return func(c *Recorded) {
		for {
			r, err := http.ReadRequest(c.Reader)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			b := answer(r, body)
			if b == nil {
				return
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
}
