package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// serve runs f for each connection to a listener of the test.
func serve(t *testing.T, f func(net.Conn, *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

const patience = 20 * time.Second // until a test is given up

func TestRequester(t *testing.T) {
	const size = 300 << 10 // more than one read
	addr := serve(t, func(c net.Conn, r *bufio.Reader) {
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, q.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Got: %d\r\nContent-Length: %d\r\n\r\n", n, size)
			c.Write(make([]byte, size))
		}
	})
	l := newLoop(t)
	body := make([]byte, 2<<20) // more than the kernel takes at once
	request := append(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
	answers := 0
	r := &Requester{Failed: func(_ *Requester, err error) { t.Errorf("failed: %v", err) }}
	r.Done = func(r *Requester, took time.Duration) []byte {
		if got := string(r.Response.Header("X-Got")); got != fmt.Sprint(len(body)) || r.Response.Body != size || took <= 0 {
			t.Errorf("the server got %s bytes, answered %d, after %v", got, r.Response.Body, took)
		}
		if answers++; answers < 3 {
			return request
		}
		return nil
	}
	if err := r.Dial(l, addr, request); err != nil {
		t.Fatal(err)
	}
	if !l.Run(patience, func() bool { return answers == 3 }) || r.Busy() || l.Open() != 1 {
		t.Errorf("%d answers, busy %v, %d open", answers, r.Busy(), l.Open())
	}
}

func TestRequesterRefused(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := dead.Addr().(*net.TCPAddr).AddrPort()
	dead.Close()
	l := newLoop(t)
	var failed error
	r := &Requester{Failed: func(_ *Requester, err error) { failed = err }}
	if err := r.Dial(l, addr, []byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if !l.Run(patience, func() bool { return failed != nil }) || l.Open() != 0 {
		t.Errorf("failed: %v, %d open", failed, l.Open())
	}
}

func TestSubscriber(t *testing.T) {
	pong := make(chan string, 1)
	addr := serve(t, func(c net.Conn, r *bufio.Reader) {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		switch q.URL.Path {
		case "/ws": // a message in two fragments with a ping between them
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n\x01\x05@0000\x89\x02hi\x80\x040002")
			b := make([]byte, 8)
			io.ReadFull(r, b)
			pong <- string(b)
		case "/sse":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\ndata: @00000002\n\n\n\r\n")
		case "/poll":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n\"@00000002\"")
		default:
			io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		}
		io.Copy(io.Discard, r)
	})
	for _, path := range []string{"/ws", "/sse", "/poll"} {
		l := newLoop(t)
		held, answered, got := 0, 0, uint32(0)
		s := &Subscriber{
			Request:  []byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"),
			Held:     func(*Subscriber) { held++ },
			Message:  func(_ *Subscriber, n uint32) { got = n },
			Failed:   func(_ *Subscriber, err error) { t.Errorf("%s failed: %v", path, err) },
			Answered: func(*Subscriber) []byte { answered++; return nil },
			Poll:     path == "/poll",
		}
		if err := s.Dial(l, addr); err != nil {
			t.Fatal(err)
		}
		l.Run(patience, func() bool { return got != 0 && (path != "/poll" || answered > 0) })
		if held != 1 || got != 2 {
			t.Errorf("%s: held %d times, message %d", path, held, got)
		}
	}
	if got := <-pong; got != "\x8a\x82\x00\x00\x00\x00hi" {
		t.Errorf("pong %q", got)
	}

	l := newLoop(t)
	var failed error
	s := &Subscriber{Request: []byte("GET /full HTTP/1.1\r\nHost: a\r\n\r\n"), Failed: func(_ *Subscriber, err error) { failed = err }}
	if err := s.Dial(l, addr); err != nil {
		t.Fatal(err)
	}
	if !l.Run(patience, func() bool { return failed != nil }) {
		t.Error("a hold that was refused did not fail")
	}
}

// The JSON ping is answered wherever it stands in a frame, and nothing else is.
func TestJSONPing(t *testing.T) {
	answers := make(chan string, 1)
	addr := serve(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"+
			"\x81\x02{}"+ // alone
			"\x81\x0d{\"a\":1}\n{}\n{}"+ // twice behind a message
			"\x81\x07{\"b\":2}"+ // a message alone
			"\x89\x00") // and a ping of the protocol, whose answer is the last
		b := make([]byte, 3*8+6)
		n, _ := io.ReadFull(r, b)
		answers <- string(b[:n])
	})
	l := newLoop(t)
	s := &Subscriber{
		Request: []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), JSONPing: true,
		Held:   func(*Subscriber) {},
		Failed: func(*Subscriber, error) {},
	}
	if err := s.Dial(l, addr); err != nil {
		t.Fatal(err)
	}
	pong := "\x81\x82\x00\x00\x00\x00{}"
	var got string
	if !l.Run(patience, func() bool {
		select {
		case got = <-answers:
			return true
		default:
			return false
		}
	}) || got != pong+pong+pong+"\x8a\x80\x00\x00\x00\x00" {
		t.Errorf("answered with %q", got)
	}
}

// A connection that is paused takes nothing until it is resumed.
func TestPause(t *testing.T) {
	addr := serve(t, func(c net.Conn, _ *bufio.Reader) { c.Write(make([]byte, 1<<20)) })
	l := newLoop(t)
	h := &counter{}
	c, err := l.Dial(addr, h, SmallWindow)
	if err != nil {
		t.Fatal(err)
	}
	l.Run(patience, func() bool { return h.bytes > 0 })
	c.Pause(true)
	before := h.bytes
	l.Pass(50 * time.Millisecond)
	if h.bytes != before {
		t.Errorf("%d bytes were read while paused", h.bytes-before)
	}
	c.Pause(false)
	if !l.Run(patience, func() bool { return h.closed }) || h.bytes != 1<<20 {
		t.Errorf("%d bytes in all, closed %v", h.bytes, h.closed)
	}
}

type counter struct {
	bytes  int
	closed bool
}

func (h *counter) Opened(*Conn)              {}
func (h *counter) Data(_ *Conn, data []byte) { h.bytes += len(data) }
func (h *counter) Closed(*Conn, error)       { h.closed = true }

func TestTick(t *testing.T) {
	l := newLoop(t)
	ticks := 0
	if err := l.Tick(time.Millisecond, func(n int) { ticks += n }); err != nil {
		t.Fatal(err)
	}
	if !l.Run(patience, func() bool { return ticks >= 20 }) {
		t.Errorf("%d ticks", ticks)
	}
	l.Tick(0, nil)
	stopped := ticks
	l.Pass(10 * time.Millisecond)
	if ticks != stopped {
		t.Errorf("%d ticks after the end", ticks-stopped)
	}
}

// TestHasten: a connection that is hastened is not handled behind all others that have something to read.
func TestHasten(t *testing.T) {
	const others = 100
	accepted := make(chan net.Conn, others+1)
	addr := serve(t, func(c net.Conn, r *bufio.Reader) {
		accepted <- c
		io.Copy(io.Discard, r)
	})
	l := newLoop(t)
	opened, order := 0, []bool{}
	var conns []*Conn
	for i := range others + 1 {
		c, err := l.Dial(addr, &recorder{
			opened: func() { opened++ }, data: func() { order = append(order, i == others) },
		})
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if err := l.Hasten(conns[others]); err != nil {
		t.Fatal(err)
	}
	if !l.Run(patience, func() bool { return opened == others+1 }) {
		t.Fatalf("%d connections of %d stand", opened, others+1)
	}
	for range others + 1 { // on loopback, what is written is there to be read
		if _, err := (<-accepted).Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Run(patience, func() bool { return len(order) == others+1 }) {
		t.Fatalf("%d of %d were handled", len(order), others+1)
	}
	if at := slices.Index(order, true); at > 16 {
		t.Errorf("it was handled behind %d others", at)
	}
}

// recorder is a handler.
type recorder struct{ opened, data func() }

func (r *recorder) Opened(*Conn)        { r.opened() }
func (r *recorder) Data(*Conn, []byte)  { r.data() }
func (r *recorder) Closed(*Conn, error) {}
