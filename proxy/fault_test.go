package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// middleman stands between the proxy and the app and spoils connections on a schedule drawn from a seed.
type middleman struct {
	app    string
	ln     net.Listener
	random func() uint64
	wg     sync.WaitGroup
	mu     sync.Mutex // guards conns
	conns  map[net.Conn]bool
	done   bool
	counts [faults]atomic.Int64
}

const (
	passes      = iota
	delays      // a few milliseconds, in the middle
	closesEarly // FIN after some bytes of the response
	resets      // RST after some bytes of the response
	halfCloses  // FIN towards the app after some bytes of the request
	corrupts    // the first line of the response
	refuses     // RST before anything
	faults
)

func newMiddleman(t *testing.T, app string, seed uint64) *middleman {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	m := &middleman{app: app, ln: ln, conns: map[net.Conn]bool{}, random: func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint64()
	}}
	m.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		m.mu.Lock()
		m.done = true
		for c := range m.conns {
			c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

func (m *middleman) keep(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[c] = true
	return !m.done
}

func (m *middleman) serve(near *net.TCPConn) {
	defer near.Close()
	x := m.random()
	fault, after := passes, int(x>>8%4000)
	if x%4 == 0 { // a fault on every fourth connection
		fault = 1 + int(x>>40%(faults-1))
	}
	m.counts[fault].Add(1)
	if fault == refuses {
		near.SetLinger(0)
		return
	}
	conn, err := net.Dial("tcp", m.app)
	if err != nil {
		return
	}
	far := conn.(*net.TCPConn)
	defer far.Close()
	if !m.keep(near) || !m.keep(far) {
		return
	}
	defer func() {
		m.mu.Lock()
		delete(m.conns, near)
		delete(m.conns, far)
		m.mu.Unlock()
	}()
	donec := make(chan struct{})
	go func() { // the request
		defer close(donec)
		if fault == halfCloses {
			io.CopyN(far, near, int64(after%300))
			far.CloseWrite()
			io.Copy(io.Discard, near)
			return
		}
		io.Copy(far, near)
		far.CloseWrite()
	}()
	buf := make([]byte, 2048)
	sent := 0
	for {
		n, err := far.Read(buf)
		p := buf[:n]
		switch {
		case fault == delays && sent <= after:
			time.Sleep(time.Duration(1+x>>50%5) * time.Millisecond)
		case fault == corrupts && sent == 0 && n > 0:
			p[x>>20%9] ^= 0x41
		case (fault == closesEarly || fault == resets) && sent+n >= after:
			near.Write(p[:max(after-sent, 0)])
			if fault == resets {
				near.SetLinger(0)
			}
			near.Close()
			far.Close()
			<-donec
			return
		}
		if _, werr := near.Write(p); werr != nil || err != nil {
			break
		}
		sent += n
	}
	near.Close()
	far.Close()
	<-donec
}

// pattern is what the app answers for n: every byte depends on n and its place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte((i*7+n)%26)
	}
	return b
}

// TestFaults sends many requests through the middleman: no wrong body, no torn response taken for whole,
// no POST run twice, nothing left over. FAULT_REQUESTS sets how many.
func TestFaults(t *testing.T) {
	requests := 4000
	if s := os.Getenv("FAULT_REQUESTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("FAULT_REQUESTS: %v", err)
		}
		requests = n
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d requests", seed, requests)
	var mu sync.Mutex
	runs := map[string]int{}
	app := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, _ := strconv.Atoi(strings.Split(rest, "/")[0])
		if r.Method == http.MethodPost {
			mu.Lock()
			runs[r.URL.Path]++
			mu.Unlock()
			if !bytes.Equal(body, pattern(n)) {
				return []byte("HTTP/1.1 422 Wrong Body\r\nContent-Length: 0\r\n\r\n")
			}
		}
		switch kind {
		case "chunked":
			out := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for p := pattern(n); len(p) > 0; {
				k := min(len(p), 700)
				out = fmt.Appendf(out, "%x\r\n%s\r\n", k, p[:k])
				p = p[k:]
			}
			return append(out, "0\r\n\r\n"...)
		default:
			return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n), pattern(n)...)
		}
	}))
	man := newMiddleman(t, app.Addr, seed)
	addr, p := start(t, man.ln.Addr().String(), func(o *Options) { o.RequestBuffer = 1 << 10 })
	var ids atomic.Int64
	var fine, failed, torn atomic.Int64
	var group sync.WaitGroup
	for w := range 16 {
		r := rand.New(rand.NewPCG(seed, uint64(w+10)))
		group.Go(func() {
			var c net.Conn
			var in *bufio.Reader
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			for {
				id := ids.Add(1)
				if id > int64(requests) {
					return
				}
				if c == nil {
					var err error
					if c, err = net.Dial("tcp", addr); err != nil {
						t.Error(err)
						return
					}
					in = bufio.NewReader(c)
				}
				c.SetDeadline(time.Now().Add(2 * wiretest.Timeout))
				n := r.IntN(6000)
				if r.IntN(20) == 0 {
					n *= 30
				}
				kind := []string{"length", "chunked"}[r.IntN(2)]
				method, path := http.MethodGet, fmt.Sprintf("/%s/%d/%d", kind, n, id)
				head := "Host: x\r\n"
				var body []byte
				if r.IntN(3) == 0 {
					method, body = http.MethodPost, pattern(n)
					head += fmt.Sprintf("Content-Length: %d\r\n", n)
				}
				go c.Write(append([]byte(method+" "+path+" HTTP/1.1\r\n"+head+"\r\n"), body...))
				resp, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					torn.Add(1)
					c.Close()
					c = nil
					continue
				}
				got, err := io.ReadAll(resp.Body)
				switch {
				case err != nil:
					torn.Add(1)
				case resp.StatusCode == 200 && !bytes.Equal(got, pattern(n)):
					t.Errorf("%s %s: %d wrong bytes, want %d", method, path, len(got), n)
				case resp.StatusCode == 200:
					fine.Add(1)
				case resp.StatusCode == 502 || resp.StatusCode == 504 || resp.StatusCode == 400 || resp.StatusCode == 408:
					failed.Add(1)
				default:
					t.Errorf("%s %s: status %d", method, path, resp.StatusCode)
				}
				if err != nil || resp.Close {
					c.Close()
					c = nil
				}
			}
		})
	}
	group.Wait()
	mu.Lock()
	for path, n := range runs {
		if n > 1 {
			t.Errorf("POST %s was run %d times", path, n)
		}
	}
	mu.Unlock()
	wiretest.Eventually(t, "nothing is in flight", func() bool { return p.Stats().InFlight == 0 && p.Stats().Buffered == 0 })
	t.Logf("%d fine, %d answered as failed, %d torn visibly; %+v", fine.Load(), failed.Load(), torn.Load(), p.Stats())
	for fault := range man.counts {
		if man.counts[fault].Load() == 0 {
			t.Errorf("fault %d never happened", fault)
		}
	}
	if fine.Load() < int64(requests)/2 {
		t.Errorf("only %d of %d were fine", fine.Load(), requests)
	}
}
