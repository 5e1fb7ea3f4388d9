package wiretest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
	"time"
)

// Client is a raw connection of a client.
type Client struct {
	net.Conn
	Reader *bufio.Reader
	t      testing.TB
}

// Dial connects to addr; the connection is closed with the test.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	Bound(c)
	c.SetDeadline(time.Now().Add(3 * Timeout))
	t.Cleanup(func() { c.Close() })
	return &Client{Conn: c, Reader: bufio.NewReader(c), t: t}
}

// Bound keeps the kernel from taking more than some hundred kilobytes on c's behalf while nobody reads it. Linux goes up
// to tcp_rmem's 32 MB by itself, or does not, and a test of who does not read would depend on that.
func Bound(c net.Conn) {
	if c, ok := c.(*net.TCPConn); ok {
		c.SetReadBuffer(256 << 10)
	}
}

// Send writes raw bytes.
func (c *Client) Send(s string) {
	c.t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// Expect reads exactly s.
func (c *Client) Expect(s string) {
	c.t.Helper()
	b := make([]byte, len(s))
	n, err := io.ReadFull(c.Reader, b)
	if err != nil || string(b) != s {
		c.t.Fatalf("read %q, %v; want %q", b[:n], err, s)
	}
}

// Response reads one response to a request of the given method, body and all.
func (c *Client) Response(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading the response's body after %q: %v", body, err)
	}
	return resp, string(body)
}

// Body is the body of the response that comes next on c; reading it fails if it is not complete.
func Body(c net.Conn) io.Reader {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return iotest.ErrReader(err)
	}
	return resp.Body
}

// Rest reads to the end. reset says that the connection was reset rather than closed.
func (c *Client) Rest() (all string, reset bool) {
	c.t.Helper()
	b, err := io.ReadAll(c.Reader)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the connection is still open after %q", b)
	}
	return string(b), err != nil
}

// Eventually waits until ok holds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for by := time.Now().Add(Timeout); !ok(); {
		if time.Now().After(by) {
			t.Fatalf("not within %v: %s", Timeout, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
