package wiretest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"syscall"
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
	return NewClient(t, secured(c))
}

// NewClient returns a Client on a connection that there is; it is closed with the test.
func NewClient(t testing.TB, c net.Conn) *Client {
	Bound(c)
	c.SetDeadline(time.Now().Add(3 * Timeout))
	t.Cleanup(func() { c.Close() })
	return &Client{Conn: c, Reader: bufio.NewReader(c), t: t}
}

// Bound keeps the kernel from taking more than some hundred kilobytes on c's behalf while nobody reads it. Linux goes up
// to tcp_rmem's 32 MB by itself, or does not, and a test of who does not read would depend on that.
func Bound(c net.Conn) {
	if c, ok := c.(*net.TCPConn); ok {
		c.SetReadBuffer(bufferSize)
	}
}

// bufferSize is that of the kernel's buffers for one direction of a connection, in bytes. Linux doubles it.
const bufferSize = 256 << 10

// KernelTakes is more than what the kernel takes for a client of Dial that does not read, of a server on Listen.
const KernelTakes = 2 << 20

// Listen listens on a free port of 127.0.0.1. The kernel takes little of what is sent on connections to it: they have the
// listener's buffer, and it is not made larger, as Linux does up to tcp_wmem's 4 MB.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = boundSend(fd) }); e != nil {
			return e
		}
		return err
	}}
	ln, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// Send writes raw bytes.
func (c *Client) Send(s string) {
	c.t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// Expect reads exactly s, but for lines of Date, which differ from run to run.
func (c *Client) Expect(s string) {
	c.t.Helper()
	b := make([]byte, len(s))
	n, err := io.ReadFull(&undated{r: c.Reader}, b)
	if err != nil || string(b) != s {
		c.t.Fatalf("read %q, %v; want %q", b[:n], err, s)
	}
}

// undated reads what r does, without lines of Date. It reads no byte more than it has to.
type undated struct {
	r    *bufio.Reader
	held []byte // the beginning of a line, that may become one of Date
	rest bool   // of the line, which is another
}

func (u *undated) Read(p []byte) (int, error) {
	const date = "Date: "
	for !u.rest || len(u.held) == 0 {
		c, err := u.r.ReadByte()
		if err != nil {
			return copy(p, u.held), err
		}
		u.held = append(u.held, c)
		switch {
		case u.rest || len(u.held) < len(date) && date[:len(u.held)] != string(u.held):
			u.rest = true
		case string(u.held) == date:
			if _, err := u.r.ReadString('\n'); err != nil {
				return 0, err
			}
			u.held = u.held[:0]
		}
	}
	n := copy(p, u.held)
	u.rest = u.held[n-1] != '\n'
	u.held = u.held[n:]
	return n, nil
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

var dateLine = regexp.MustCompile("(?m)^Date: [^\r\n]*\r\n")

// Rest reads to the end, without lines of Date. reset says that the connection was reset rather than closed.
func (c *Client) Rest() (all string, reset bool) {
	c.t.Helper()
	b, err := io.ReadAll(c.Reader)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the connection is still open after %q", b)
	}
	return dateLine.ReplaceAllString(string(b), ""), err != nil
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
