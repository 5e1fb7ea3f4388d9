package proxy

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/wiretest"
)

// What stands behind a body that is too large begins the next request. Were it dropped, the rest of that request would be
// taken for one by itself.
func TestBodyTooLargeEndsTheConnection(t *testing.T) {
	up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte { return ok(r.RequestURI) }))
	addr, _ := start(t, up.Addr, func(o *Options) { o.BodyBytes, o.RequestBuffer = 10, 1<<10 })
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, begin := range map[string]string{
		"at once":         "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n",
		"behind the head": "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n|14\r\n01234567890123456789\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := wiretest.Dial(t, addr)
			head, body, two := strings.Cut(begin, "|")
			if two { // an interim response says that the head was read
				head = strings.Replace(head, "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1)
				c.Send(head)
				c.Expect("HTTP/1.1 100 Continue\r\n\r\n")
				head = ""
			}
			c.Send(head + body + "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n")
			if resp, _ := c.Response("POST"); resp.StatusCode != 413 {
				t.Fatalf("status %d; want 413", resp.StatusCode)
			}
			c.Write([]byte(hidden)) // may find the connection closed
			rest, _ := c.Rest()
			if rest != "" || strings.Contains(up.Sent(), "hidden") {
				t.Errorf("a body was taken for a request: answered %q, sent on %q", rest, up.Sent())
			}
		})
	}
}

// An app that has a part of a body that turned out too large sees a reset, also if the body's end came in the same reading:
// after a plain end it may take the part for the whole.
func TestBodyTooLargeResetsTheApp(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		r := bufio.NewReader(c)
		for line := ""; line != "01234\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				ended <- err
				return
			}
		}
		close(began)
		_, err := io.Copy(io.Discard, r)
		ended <- err
	})
	addr, _ := start(t, up.Addr, func(o *Options) { o.BodyBytes = 10 })
	c := wiretest.Dial(t, addr)
	c.Send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
	<-began
	c.Send("6\r\n567890\r\n0\r\n\r\n")
	if resp, _ := c.Response("POST"); resp.StatusCode != 413 {
		t.Errorf("status %d; want 413", resp.StatusCode)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the app's connection ended with %v; want a reset", err)
	}
}
