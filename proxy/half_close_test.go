package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestHalfClose: a client that ends its side soon behind its request, once the app was asked, has its response; later
// it has left.
func TestHalfClose(t *testing.T) {
	get, old := lines("GET /app.php HTTP/1.1", "Host: x"), lines("GET /app.php HTTP/1.0")
	for _, tt := range []struct {
		name, sent string
		grace      time.Duration
		reset      bool
		answered   bool
	}{
		{"HTTP/1.1", get, wiretest.Timeout, false, true},
		{"HTTP/1.0", old, wiretest.Timeout, false, true},
		{"with a body", lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 3") + "abc", wiretest.Timeout, false, true},
		{"with chunks", lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", wiretest.Timeout, false, true},
		{"too late", get, 1, false, false},
		{"never allowed", get, 0, false, false},
		{"a reset", get, wiretest.Timeout, true, false},
	} {
		for _, kind := range []string{"HTTP", "FastCGI"} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				asked, goOn := make(chan struct{}), make(chan struct{})
				change := func(o *Options) { o.HalfClose = tt.grace }
				var addr string
				var p *Proxy
				if kind == "HTTP" {
					u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
						close(asked)
						<-goOn
						return ok("hi")
					}))
					addr, p = start(t, u.Addr, change)
				} else {
					u := responder(t, func(id uint16, _ map[string]string, _ string) string {
						close(asked)
						<-goOn
						return whole(id, "Content-Length: 2\r\n\r\nhi")
					})
					site, _ := folder(t)
					addr, p = start(t, u.Addr, site, change)
				}
				c := wiretest.Dial(t, addr)
				c.Send(tt.sent)
				<-asked
				if tt.reset {
					wiretest.Reset(c)
				} else {
					wiretest.EndSide(c)
				}
				if !tt.answered {
					wiretest.Eventually(t, "the request is given up", func() bool { return p.Stats().ClientGone == 1 })
					close(goOn)
					if !tt.reset {
						if rest, _ := c.Rest(); rest != "" {
							t.Errorf("answered %q", rest)
						}
					}
					return
				}
				time.AfterFunc(20*time.Millisecond, func() { close(goOn) }) // the end of the client's side comes first
				resp, err := http.ReadResponse(c.Reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hi" {
					t.Errorf("answered %q, %v", b, err)
				}
				if rest, _ := c.Rest(); rest != "" {
					t.Errorf("then came %q", rest)
				}
				if n := p.Stats().ClientGone; n != 0 {
					t.Errorf("%d clients left", n)
				}
			})
		}
	}
}

// TestHalfCloseOfPart: the end of a client's side in the middle of its request is no half-close.
func TestHalfCloseOfPart(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, p := start(t, u.Addr, func(o *Options) { o.HalfClose, o.RequestBuffer = wiretest.Timeout, 64<<10 })
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 10") + "abc")
	wiretest.EndSide(c)
	if rest, _ := c.Rest(); strings.Contains(rest, "200") {
		t.Errorf("answered %q", rest)
	}
	wiretest.Eventually(t, "the client has left", func() bool { return p.Stats().ClientGone == 1 })
	if u.Sent() != "" {
		t.Errorf("the app was sent %q", u.Sent())
	}
}
