package proxy

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestRequestIsRelayed compares what the app is sent, byte for byte.
func TestRequestIsRelayed(t *testing.T) {
	tests := []struct{ name, sent, want string }{
		{"order, case and repetition are kept", lines("GET /a?b=%2f&c= HTTP/1.1", "hOST: x", "accept:  */*  ", "X-a: 1", "x-A: 2", "Cookie: a=b; c"),
			"GET /a?b=%2f&c= HTTP/1.1\r\nhOST: x\r\naccept: */*\r\nX-a: 1\r\nx-A: 2\r\nCookie: a=b; c\r\n" + forwardedTo("x") + "\r\n"},
		{"empty query", lines("GET /a? HTTP/1.1", "Host: x"), "GET /a? HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"double slash with a URL", lines("GET //admin/x?u=http://a HTTP/1.1", "Host: x"), "GET //admin/x?u=http://a HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"absolute form", lines("GET http://x/p HTTP/1.1", "Host: x"), "GET /p HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"hop by hop", lines("GET / HTTP/1.1", "Host: x", "Connection: keep-alive, X-Hop", "X-hop: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close", "Proxy: http://evil", "Upgrade: h2c"),
			""},
		{"hop by hop without protected", lines("GET / HTTP/1.1", "Host: x", "Connection: keep-alive, hop", "Hop: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close", "Proxy: http://evil", "Upgrade: h2c"),
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "Connection: TE\r\nTE: trailers\r\n\r\n"},
		{"trailers among codings, named by Connection", lines("GET / HTTP/1.1", "Host: x", "Connection: te", "TE: deflate;q=0.5, TRAILERS"),
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "Connection: TE\r\nTE: trailers\r\n\r\n"},
		{"codings that are not understood here", lines("GET / HTTP/1.1", "Host: x", "TE: gzip, x-trailers"), "GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"trailers of HTTP/1.0", lines("GET / HTTP/1.0", "Host: x", "TE: trailers"), "GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"trailers with an upgrade", lines("GET / HTTP/1.1", "Host: x", "TE: trailers", "Connection: upgrade, TE", "Upgrade: foo"),
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "Connection: Upgrade\r\nUpgrade: foo\r\n\r\n"},
		{"forged forwarding", lines("GET / HTTP/1.1", "Host: x", "x-forwarded-for: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X.Forwarded.For: 6.6.6.6", "X~Real~IP: 6.6.6.6", "X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "X-FORWARDED-HOST: evil", "X-Forwarded-Port: 1", "x-forwarded-prefix: /evil", "X-Forwarded-Ssl: on"),
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"HTTP/1.0 without Host", lines("GET / HTTP/1.0"), "GET / HTTP/1.1\r\nHost: UPSTREAM\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n\r\n"},
		{"OPTIONS *", lines("OPTIONS * HTTP/1.1", "Host: x"), "OPTIONS * HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"empty line first", "\r\n" + lines("GET / HTTP/1.1", "Host: x"), "GET / HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "\r\n"},
		{"body with a length", lines("PUT /u HTTP/1.1", "Host: x", "Content-Length: 3") + "abc", "PUT /u HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + forwardedTo("x") + "\r\nabc"},
		{"body in chunks", lines("POST /u HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "3;ext=1\r\nabc\r\n0\r\nTrailer: dropped\r\n\r\n",
			"POST /u HTTP/1.1\r\nHost: x\r\n" + forwardedTo("x") + "Content-Length: 3\r\n\r\nabc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(echo))
			addr, _ := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			resp, body := c.Response(http.MethodGet)
			want := strings.ReplaceAll(tt.want, "UPSTREAM", u.Addr)
			if want == "" {
				if resp.StatusCode != 400 || u.Sent() != "" {
					t.Fatalf("answered %d and the app was sent %q; want 400 and nothing", resp.StatusCode, u.Sent())
				}
				return
			}
			if got := u.Sent(); got != want {
				t.Errorf("the app was sent\n%q\nwant\n%q\nanswer %d %q", got, want, resp.StatusCode, body)
			}
		})
	}
}

// TestRequestArrivesInPieces sends a request a byte at a time.
func TestRequestArrivesInPieces(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	for _, b := range lines("POST /p HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" {
		c.Send(string(b))
		time.Sleep(100 * time.Microsecond)
	}
	if _, body := c.Response("POST"); body != `POST /p "hello"` {
		t.Errorf("answer %q", body)
	}
}

func TestConnectionIsKept(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	for i := range 5 {
		c.Send(lines(fmt.Sprintf("GET /%d HTTP/1.1", i), "Host: x"))
		if _, body := c.Response("GET"); body != fmt.Sprintf(`GET /%d ""`, i) {
			t.Fatalf("answer %q", body)
		}
	}
	if n := len(u.Conns()); n != 1 {
		t.Errorf("%d upstream connections for one client's requests, one after the other; want 1", n)
	}
}

func TestPipelinedRequests(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	var all strings.Builder
	for i := range 50 {
		all.WriteString(lines(fmt.Sprintf("POST /%d HTTP/1.1", i), "Host: x", "Content-Length: 2") + "ab")
	}
	c.Send(all.String())
	for i := range 50 {
		if _, body := c.Response("POST"); body != fmt.Sprintf(`POST /%d "ab"`, i) {
			t.Fatalf("answer %d is %q", i, body)
		}
	}
}

// TestBodyOfABodylessResponse: what an app sends behind a response that has no body, however late, is nobody's answer.
func TestBodyOfABodylessResponse(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, head := range []string{"204 No Content\r\nContent-Length: 42", "204 No Content\r\nTransfer-Encoding: chunked", "304 Not Modified\r\nTransfer-Encoding: chunked"} {
		late := make(chan struct{})
		u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
			for {
				r, err := http.ReadRequest(c.Reader)
				if err != nil {
					return
				}
				if r.URL.Path == "/next" {
					c.Write(ok("right"))
					continue
				}
				fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\n", head)
				<-late
				io.WriteString(c, evil)
			}
		})
		addr, _ := start(t, u.Addr)
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 204 && resp.StatusCode != 304 {
			t.Fatalf("%s: answered %d", head, resp.StatusCode)
		}
		c.Send(lines("GET /next HTTP/1.1", "Host: x"))
		close(late)
		if _, body := c.Response(http.MethodGet); body != "right" {
			t.Errorf("%s: then answered %q", head, body)
		}
	}
}

// TestResponseIsRelayed compares what the client gets, byte for byte.
func TestResponseIsRelayed(t *testing.T) {
	get := lines("GET / HTTP/1.1", "Host: x")
	tests := []struct{ name, sent, answer, want string }{
		{"lines kept", get, "HTTP/1.1 200 Fine\r\nServer: s\r\nset-cookie: a\r\nSet-Cookie: b\r\nETag: \"x\"\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nhi",
			"HTTP/1.1 200 Fine\r\nServer: s\r\nset-cookie: a\r\nSet-Cookie: b\r\nETag: \"x\"\r\nContent-Length: 2\r\n\r\nhi"},
		{"HTTP/1.0 client", lines("GET / HTTP/1.0"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"},
		{"HTTP/1.0 client that stays", lines("GET / HTTP/1.0", "Connection: keep-alive"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"},
		{"HEAD", lines("HEAD / HTTP/1.1", "Host: x"), "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"},
		{"304", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n"},
		{"204", get, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"103", get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"103 to HTTP/1.0", lines("GET / HTTP/1.0"), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"103 with a length", get, "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"204 with a body", get, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nwrong", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"204 in chunks", get, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304 in chunks", get, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"},
		{"fields that Connection names", get, "HTTP/1.1 200 OK\r\nX-Inner: 1\r\nConnection: x-inner, Content-Length, close\r\nContent-Length: 2\r\nX-Inner: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"HTTP/1.2, which means 1.1", get, "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"fields that Connection names in capitals", get, "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nx-hop: 2\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"stray bytes", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\nevil", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"bare LF", get, "HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi"},
		{"mixed line ends", get, "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n\nhi", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi"},
		{"the same length twice", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"a line without a colon", get, "HTTP/1.1 200 OK\r\nWarning\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"two Locations", get, "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"},
		{"empty reason", get, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"},
	}
	for _, tt := range tests {
		for _, pieces := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in pieces %v", tt.name, pieces), func(t *testing.T) {
				u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
					if _, err := http.ReadRequest(c.Reader); err != nil {
						return
					}
					if !pieces {
						io.WriteString(c, tt.answer)
					} else {
						for i := range tt.answer {
							io.WriteString(c, tt.answer[i:i+1])
							time.Sleep(50 * time.Microsecond)
						}
					}
					if !strings.Contains(tt.answer, "/1.0") {
						io.Copy(io.Discard, c) // until the proxy ends it
					}
				})
				addr, _ := start(t, u.Addr)
				c := wiretest.Dial(t, addr)
				c.Send(tt.sent)
				c.Expect(tt.want)
				wiretest.EndSide(c)
				if rest, _ := c.Rest(); rest != "" {
					t.Errorf("after the response came %q", rest)
				}
			})
		}
	}
}

// TestResponsesThatAreRefused checks that a response which a client could read in another way is a 502.
func TestResponsesThatAreRefused(t *testing.T) {
	for name, answer := range map[string]string{
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
		"a list of lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
		"a fold":                  "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nhi",
		"a fold with a colon":     "HTTP/1.1 200 OK\r\nA: b\r\n\tc: d\r\nContent-Length: 2\r\n\r\nhi",
		"a CR in a value":         "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 2\r\n\r\nhi",
		"a CR before CRLF":        "HTTP/1.1 200 OK\r\nA: b\r\r\nContent-Length: 2\r\n\r\nhi",
		"a space before a colon":  "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
		"an empty line first":     "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/2.0":                "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.10":               "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"no status line":          "Content-Length: 2\r\n\r\nhi",
		"a head of 70 kB at once": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 70<<10) + "\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				if _, err := http.ReadRequest(c.Reader); err == nil {
					io.WriteString(c, answer)
					io.Copy(io.Discard, c)
				}
			})
			addr, _ := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(lines("GET / HTTP/1.1", "Host: x"))
			if resp, _ := c.Response("GET"); resp.StatusCode != 502 {
				t.Errorf("answered %d; want 502", resp.StatusCode)
			}
		})
	}
}

// TestNoticesAreCounted checks that what is mended in an app's responses is counted for its upstream, by kind.
func TestNoticesAreCounted(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return []byte("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\nWarning\nDate: 1\ndate: 2\nLocation: /a\nLOCATION: /b\n\nhi")
	}))
	addr, p := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	for range 2 {
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || body != "hi" {
			t.Fatalf("answered %d, %q", resp.StatusCode, body)
		}
	}
	got := p.Stats().Upstreams[0].Notices
	for _, kind := range []string{"bare_lf", "equal_lengths", "no_colon", "equal_dates", "equal_locations"} {
		if got[kind] != 2 {
			t.Errorf("%s is counted %d times; want 2", kind, got[kind])
		}
	}
	if got["empty_length"] != 0 {
		t.Errorf("%v; want no empty length", got)
	}
}

func TestClientGoneClosesTheUpstream(t *testing.T) {
	gone := make(chan error, 1)
	asked := make(chan struct{})
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		close(asked)
		_, err := c.Reader.ReadByte()
		gone <- err
	})
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /slow HTTP/1.1", "Host: x"))
	<-asked
	c.Close()
	select {
	case <-gone:
	case <-time.After(wiretest.Timeout):
		t.Fatal("the app's connection is still open")
	}
}

func TestExpectContinueIsAnsweredHere(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 2", "Expect: 100-continue"))
	c.Expect("HTTP/1.1 100 Continue\r\n\r\n")
	c.Send("hi")
	if _, body := c.Response("POST"); body != `POST / "hi"` {
		t.Errorf("answer %q", body)
	}
	if strings.Contains(u.Sent(), "Expect") {
		t.Errorf("the app was sent %q", u.Sent())
	}
}

// TestEarlyResponse has an app that refuses an upload while it is still being sent, and closes.
func TestEarlyResponse(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		wiretest.EndSide(c)
		io.Copy(io.Discard, io.LimitReader(c.Reader, 1<<20))
	})
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 100000000"))
	go func() { // as much as is taken
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	resp, body := c.Response("POST")
	if resp.StatusCode != 413 || body != "big" {
		t.Errorf("answer %d %q", resp.StatusCode, body)
	}
	c.Close()
}

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
	}{{"GET", 200}, {"POST", 502}} {
		t.Run(tt.method, func(t *testing.T) {
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				n := 0
				wiretest.Answer(func(*http.Request, []byte) []byte {
					if n++; n == 2 && c.Index == 0 {
						return nil // the pooled connection takes the request and dies
					}
					return ok("fine")
				})(c)
			})
			addr, x := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(lines("GET /first HTTP/1.1", "Host: x"))
			c.Response("GET")
			c.Send(lines(tt.method+" /second HTTP/1.1", "Host: x", "Content-Length: 0"))
			if resp, _ := c.Response(tt.method); resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if n := strings.Count(u.Sent(), "/second"); n != 1 && tt.method == "POST" || n > 2 {
				t.Errorf("the app was sent the request %d times", n)
			}
			if tt.method == "GET" && x.Stats().Retries != 1 {
				t.Errorf("%d retries counted", x.Stats().Retries)
			}
		})
	}
}

func TestUpstreamErrors(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	silent := wiretest.NewUpstream(t, func(c *wiretest.Recorded) { io.Copy(io.Discard, c) })
	garbage := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n")
	})
	for _, tt := range []struct {
		name, upstream string
		status         int
	}{{"refused", dead.Addr().String(), 502}, {"silent", silent.Addr, 504}, {"garbage", garbage.Addr, 502}} {
		t.Run(tt.name, func(t *testing.T) {
			addr, _ := start(t, tt.upstream, func(o *Options) { o.UpstreamTime = 100 * time.Millisecond })
			c := wiretest.Dial(t, addr)
			c.Send(lines("GET / HTTP/1.1", "Host: x"))
			resp, body := c.Response("GET")
			if resp.StatusCode != tt.status || strings.Contains(body, "127.0.0.1") {
				t.Errorf("answer %d %q", resp.StatusCode, body)
			}
		})
	}
}

// TestUnreachableInLog: the log says once that it was the connect that failed, at once or later.
func TestUnreachableInLog(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for _, u := range []Upstream{
		{Network: "unix", Address: filepath.Join(t.TempDir(), "none.sock"), Host: "x"},
		{Network: "tcp", Address: dead.Addr().String(), Host: "x"},
	} {
		t.Run(u.Network, func(t *testing.T) {
			var log wiretest.Log
			addr, _ := start(t, "", func(o *Options) {
				o.Upstreams, o.Log = []Upstream{u}, slog.New(slog.NewTextHandler(&log, nil))
			})
			c := wiretest.Dial(t, addr)
			c.Send(lines("GET / HTTP/1.1", "Host: x"))
			if resp, _ := c.Response("GET"); resp.StatusCode != 502 {
				t.Errorf("answered %d", resp.StatusCode)
			}
			if text := log.String(); strings.Count(text, "connect: ") != 1 || !strings.Contains(text, "upstream failed") {
				t.Errorf("logged:\n%s", text)
			}
		})
	}
}

// TestPipelinedAfterALoneCR: a bad head behind a good one is refused like a first one, and costs nobody else.
func TestPipelinedAfterALoneCR(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /x HTTP/1.1", "Host: x") + "\r\r\n\r\n")
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 200 {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 400 {
		t.Fatalf("then answered %d; want 400", resp.StatusCode)
	}
	other := wiretest.Dial(t, addr)
	other.Send(lines("GET / HTTP/1.1", "Host: x"))
	if resp, _ := other.Response(http.MethodGet); resp.StatusCode != 200 {
		t.Fatalf("another client was answered %d", resp.StatusCode)
	}
}

// TestErrorPageThatIsNotRead: a client that does not read must not take the next answer for our page.
func TestErrorPageThatIsNotRead(t *testing.T) {
	const requests = 12000
	body := strings.Repeat("x", 900)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		if strings.HasPrefix(r.URL.Path, "/bad") {
			return []byte("garbage\r\n\r\n")
		}
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nX-Path: %s\r\n\r\n%s", r.URL.Path, body)
	}))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	go func() {
		var b strings.Builder
		for i := range requests {
			kind := "/good"
			if i%2 == 1 {
				kind = "/bad"
			}
			fmt.Fprintf(&b, "GET %s%d HTTP/1.1\r\nHost: x\r\n\r\n", kind, i)
		}
		io.WriteString(c, b.String()) // it may be cut
	}()
	time.Sleep(time.Second) // until the kernel is full
	for i := range requests {
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			return // cut, which the client can see
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return
		}
		want := 200
		if i%2 == 1 {
			want = 502
		}
		if resp.StatusCode != want || want == 200 && resp.Header.Get("X-Path") != fmt.Sprint("/good", i) {
			t.Fatalf("request %d was answered %d of %q", i, resp.StatusCode, resp.Header.Get("X-Path"))
		}
	}
}

// TestResponseBeforeRequest: a response that is there before the request was sent is not missed.
func TestResponseBeforeRequest(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		c.Reader.ReadByte()
		io.Copy(io.Discard, c.Reader)
	})
	addr, _ := start(t, u.Addr)
	for range 60 {
		c := wiretest.Dial(t, addr)
		c.SetDeadline(time.Now().Add(wiretest.Timeout / 2)) // before the proxy's own
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 503 {
			t.Fatalf("answered %d", resp.StatusCode)
		}
		c.Close()
	}
}
