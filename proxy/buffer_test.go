package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestSmallBodyIsGathered: the app hears of a request only when its body is complete, and of one that
// is larger than the buffer as soon as that is full.
func TestSmallBodyIsGathered(t *testing.T) {
	for _, tt := range []struct {
		name, head, first, rest string
		early                   bool // the app hears of it before the rest
	}{
		{"length", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 8"), "abc", "defgh", false},
		{"chunks", lines("POST /a HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"), "3;x=y\r\nab", "c\r\n0\r\n\r\n", false},
		{"larger than the buffer", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 40"), strings.Repeat("a", 30), strings.Repeat("b", 10), true},
		{"chunks larger than the buffer", lines("POST /a HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"), "20\r\n" + strings.Repeat("a", 32), "\r\n0\r\n\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(echo))
			addr, p := start(t, u.Addr, func(o *Options) { o.RequestBuffer = 16 })
			c := wiretest.Dial(t, addr)
			c.Send(tt.head)
			c.Send(tt.first)
			if tt.early {
				wiretest.Eventually(t, "the app hears of it", func() bool { return strings.Contains(u.Sent(), tt.first[4:]) })
			} else {
				wiretest.Eventually(t, "the request is in flight", func() bool { return p.Stats().InFlight == 1 })
				// Another request goes through meanwhile: had the first been passed on, it would show.
				other := wiretest.Dial(t, addr)
				other.Send(lines("GET /other HTTP/1.1", "Host: x"))
				other.Response(http.MethodGet)
				if n := len(u.Conns()); n != 1 || strings.Contains(u.Sent(), "POST") {
					t.Fatalf("the app had %d connections and was sent %q before the body was complete", n, u.Sent())
				}
			}
			c.Send(tt.rest)
			if resp, body := c.Response(http.MethodPost); resp.StatusCode != 200 || !strings.HasPrefix(body, "POST /a ") {
				t.Fatalf("answered %d %q", resp.StatusCode, body)
			}
		})
	}
}

// TestGatheredBodyGoesToAFreshConnection: a pooled connection that dies takes nothing with it.
func TestGatheredBodyIsTriedAgain(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		n := 0
		wiretest.Answer(func(r *http.Request, body []byte) []byte {
			if n++; n == 2 && c.Index == 0 {
				return nil
			}
			return echo(r, body)
		})(c)
	})
	addr, p := start(t, u.Addr, func(o *Options) { o.RequestBuffer = 1 << 10 })
	c := wiretest.Dial(t, addr)
	for range 2 {
		c.Send(lines("PUT /a HTTP/1.1", "Host: x", "Content-Length: 3"))
		c.Send("abc")
		if resp, body := c.Response(http.MethodPut); resp.StatusCode != 200 || body != `PUT /a "abc"` {
			t.Fatalf("answered %d %q", resp.StatusCode, body)
		}
	}
	if n := p.Stats().Retries; n != 1 {
		t.Errorf("%d retries; want 1", n)
	}
}

// TestResponseIsTakenAhead: the app is free for the next request while a client has read nothing yet.
func TestResponseIsTakenAhead(t *testing.T) {
	const size = 24 << 20 // more than the kernel takes
	payload := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for _, tt := range []struct {
		name  string
		field string
		free  bool
	}{
		{"buffered", "X-Other: 1", true},
		{"the app says no", "X-Accel-Buffering: no", false},
		{"an event stream", "Content-Type: text/event-stream", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := make(chan error, 1)
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				if _, err := http.ReadRequest(c.Reader); err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n\r\n", size, tt.field)
				_, err := c.Write(payload)
				sent <- err
				io.Copy(io.Discard, c)
			})
			addr, p := start(t, u.Addr, func(o *Options) { o.ResponseBuffer, o.BufferTotal = size+1<<10, 1<<30 })
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			wiretest.Bound(c)
			c.SetDeadline(time.Now().Add(3 * wiretest.Timeout))
			io.WriteString(c, lines("GET / HTTP/1.1", "Host: x"))
			if tt.free {
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
			} else {
				wiretest.Eventually(t, "the client's kernel is full", func() bool { return p.Stats().Buffered > 0 })
				if n := p.Stats().Buffered; n > 2*64<<10 {
					t.Errorf("%d bytes were taken ahead", n)
				}
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("%d bytes, error %v; want the same %d", len(got), err, size)
			}
			if resp.Header.Get("X-Accel-Buffering") != "" {
				t.Error("the client sees X-Accel-Buffering")
			}
			wiretest.Eventually(t, "nothing is buffered", func() bool { return p.Stats().Buffered == 0 && p.Stats().InFlight == 0 })
		})
	}
}

// TestSlowClientCostsItsBuffer: what is read ahead for a client that does not read is the buffer, and not a reading more.
func TestSlowClientCostsItsBuffer(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 1<<20)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok(payload) }))
	for _, size := range []int{16 << 10, 100 << 10, 256 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			addr, p := start(t, u.Addr, func(o *Options) { o.ResponseBuffer, o.BufferTotal = size, 1<<30 })
			c := wiretest.Dial(t, addr)
			c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			wiretest.Eventually(t, "the buffer is full", func() bool { return p.Stats().Buffered >= int64(size) })
			if n := p.Stats().Buffered; n > int64(max(size, 64<<10)+smallReading) {
				t.Errorf("%d bytes are buffered; want %d", n, size)
			}
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || string(body) != payload {
				t.Errorf("answered %d with %d bytes", resp.StatusCode, len(body))
			}
			wiretest.Eventually(t, "nothing is buffered", func() bool { return p.Stats().Buffered == 0 })
		})
	}
}

// TestBufferedTotal: when all clients together have too much, each gets one reading.
func TestBufferedTotal(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 24<<20)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok(string(payload)) }))
	addr, p := start(t, u.Addr, func(o *Options) { o.ResponseBuffer, o.BufferTotal = 64<<20, 1<<20 })
	for range 4 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).SetReadBuffer(4 << 10)
		io.WriteString(c, lines("GET / HTTP/1.1", "Host: x"))
	}
	wiretest.Eventually(t, "the total is reached", func() bool { return p.Stats().Buffered > 1<<20 })
	for range 100 {
		if n := p.Stats().Buffered; n > 1<<20+4*(64<<10) { // one full reading that went past it, each
			t.Fatalf("%d bytes are buffered", n)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestTrickledBodyIsTimedOut: a byte now and then does not hold a connection for ever.
func TestTrickledBodyIsTimedOut(t *testing.T) {
	for _, buffer := range []int{0, 1 << 10} {
		t.Run(fmt.Sprint("buffer ", buffer), func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(echo))
			addr, p := start(t, u.Addr, func(o *Options) { o.BodyTime, o.BodyRate, o.RequestBuffer = time.Second, 1000, buffer })
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, lines("POST / HTTP/1.1", "Host: x", "Content-Length: 1000"))
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						if _, err := io.WriteString(c, "x"); err != nil {
							return
						}
					}
				}
			}()
			c.SetReadDeadline(time.Now().Add(wiretest.Timeout))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 408 {
				t.Fatalf("answered %v, error %v; want 408", resp, err)
			}
			wiretest.Eventually(t, "it is over", func() bool { return p.Stats().InFlight == 0 })
		})
	}
}
