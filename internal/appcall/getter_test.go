package appcall

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (u *upstream) getter(t *testing.T, o GetterOptions, more ...Endpoint) *Getter {
	t.Helper()
	o.Target = u.target("", more...)
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	o.MaxConns, o.MaxBody = 2, 100
	g := NewGetter(o)
	t.Cleanup(g.Close)
	return g
}

// TestGetterRequest: the app is sent the path byte for byte, the fields of the options, and one validator.
func TestGetterRequest(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		u := startUpstream(t, network, always(jsonAnswer(`1`)))
		plain := u.getter(t, GetterOptions{})
		as := u.getter(t, GetterOptions{Header: map[string]string{
			"Cookie": `svc=a b; c="d"`, "Host": "www.example.com", "User-Agent": "x", "X-Requested-With": "XMLHttpRequest", "Authorization": "NTLM x",
		}})
		for i, c := range []struct {
			g     *Getter
			path  string
			known Validators
			want  string
		}{
			{plain, "/a%2Fb/../c;d?id=1%262&x=%20+", Validators{}, "GET /a%2Fb/../c;d?id=1%262&x=%20+ HTTP/1.1\r\nHost: app.internal\r\nUser-Agent: Holdfast\r\nAccept: */*\r\n\r\n"},
			{plain, "/", Validators{`W/"a"`, "Tue, 03 Mar 2026 10:00:00 GMT"}, "GET / HTTP/1.1\r\nHost: app.internal\r\nUser-Agent: Holdfast\r\nAccept: */*\r\nIf-None-Match: W/\"a\"\r\n\r\n"},
			{plain, "/", Validators{"", "Tue, 03 Mar 2026 10:00:00 GMT"}, "GET / HTTP/1.1\r\nHost: app.internal\r\nUser-Agent: Holdfast\r\nAccept: */*\r\nIf-Modified-Since: Tue, 03 Mar 2026 10:00:00 GMT\r\n\r\n"},
			{as, "/", Validators{}, ""},
			{as, "/", Validators{}, ""}, // its connection has the login of the one before, and is closed
		} {
			if _, err := c.g.Get(c.path, c.known); err != nil {
				t.Fatal(err)
			}
			heads, conns := u.seen()
			if got := heads[i]; c.want != "" && got != c.want {
				t.Errorf("%s: sent %q, want %q", network, got, c.want)
			}
			if want := max(1, i-1); conns != want {
				t.Errorf("%s: %d connections after request %d, want %d: they are kept", network, conns, i, want)
			}
		}
		heads, _ := u.seen()
		for _, want := range []string{"Host: www.example.com\r\n", "Cookie: svc=a b; c=\"d\"\r\n", "User-Agent: x\r\n", "X-Requested-With: XMLHttpRequest\r\n"} {
			if strings.Count(heads[3], want) != 1 || strings.Contains(heads[3], "app.internal") {
				t.Errorf("%s: sent %q, want %q", network, heads[3], want)
			}
		}
	}
}

func TestGetterResponse(t *testing.T) {
	const now = "Date: Tue, 03 Mar 2026 10:00:05 GMT\r\n"
	for name, c := range map[string]struct {
		answer string
		want   Page
		err    error
	}{
		"plain": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Page{Status: 200, Body: []byte("hi")}, nil},
		"type":  {typed("Application/JSON; charset=utf-8", "{}"), Page{Status: 200, Body: []byte("{}"), MediaType: "application/json"}, nil},
		"redirect, not followed": {"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
			Page{Status: 302, SetsCookie: true}, nil},
		"not modified": {"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", Page{Status: 304, Validators: Validators{ETag: `"x"`}}, nil},
		"validators": {"HTTP/1.1 200 OK\r\n" + now + "Last-Modified: Tue, 03 Mar 2026 10:00:04 GMT\r\nETag: W/\"a-b\"\r\nContent-Length: 0\r\n\r\n",
			Page{Status: 200, Validators: Validators{`W/"a-b"`, "Tue, 03 Mar 2026 10:00:04 GMT"}}, nil},
		"changed in this second":  {"HTTP/1.1 200 OK\r\n" + now + "Last-Modified: Tue, 03 Mar 2026 10:00:05 GMT\r\nContent-Length: 0\r\n\r\n", Page{Status: 200}, nil},
		"changed, who knows when": {"HTTP/1.1 200 OK\r\nLast-Modified: Tue, 03 Mar 2026 10:00:05 GMT\r\nContent-Length: 0\r\n\r\n", Page{Status: 200}, nil},
		"a tag without quotes":    {"HTTP/1.1 200 OK\r\nETag: abc\r\nContent-Length: 0\r\n\r\n", Page{Status: 200}, nil},
		"a tag with a space":      {"HTTP/1.1 200 OK\r\nETag: \"a b\"\r\nContent-Length: 0\r\n\r\n", Page{Status: 200}, nil},
		"a tag of great length":   {"HTTP/1.1 200 OK\r\nETag: \"" + strings.Repeat("a", 300) + "\"\r\nContent-Length: 0\r\n\r\n", Page{Status: 200}, nil},
		"busy":                    {"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", Page{Status: 503, RetryAfter: 30 * time.Second}, nil},
		"busy for years":          {"HTTP/1.1 503 Busy\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n", Page{Status: 503, RetryAfter: time.Hour}, nil},
		"compressed":              {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", Page{Status: 200, Body: []byte("x"), Encoded: true}, nil},
		"nothing but the end":     {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", Page{Status: 200, EndedByClose: true}, nil},
		"too large":               {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + strings.Repeat("a", 101), Page{}, ErrTooLarge},
		"too large, in chunks":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("a", 101) + "\r\n0\r\n\r\n", Page{}, ErrTooLarge},
		"cut":                     {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi", Page{}, ErrCut},
		"no HTTP":                 {"SSH-2.0-x\r\n\r\n", Page{}, ErrCut},
		"nothing":                 {"", Page{}, ErrCut},
	} {
		u := startUpstream(t, "tcp", func(conn net.Conn, n int) bool {
			fmt.Fprint(conn, c.answer)
			return false
		})
		got, err := u.getter(t, GetterOptions{}).Get("/", Validators{})
		if c.want.MediaType == "" && c.err == nil {
			c.want.MediaType = "text/plain"
		}
		if !errors.Is(err, c.err) || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) && c.err == nil {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, c.want, c.err)
		}
	}
}

// TestGetterEndpoints: an app is asked at the next address if there is no connection to the one before.
func TestGetterEndpoints(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := Endpoint{Network: "tcp", Address: ln.Addr().String()}
	_ = ln.Close()
	u := startUpstream(t, "unix", always(jsonAnswer("1")))
	if p, err := u.getter(t, GetterOptions{}, gone).Get("/", Validators{}); err != nil || p.Status != http.StatusOK {
		t.Errorf("%+v, %v", p, err)
	}
	g := NewGetter(GetterOptions{Target: Target{Endpoints: []Endpoint{gone}}, Timeout: 10 * time.Second, MaxConns: 1, MaxBody: 1})
	defer g.Close()
	if _, err := g.Get("/", Validators{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestGetterTimeout(t *testing.T) {
	u := startUpstream(t, "tcp", func(conn net.Conn, n int) bool { return true })
	if _, err := u.getter(t, GetterOptions{Timeout: 50 * time.Millisecond}).Get("/", Validators{}); !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
}

// TestGetterClose: requests in progress end at once, and none begins.
func TestGetterClose(t *testing.T) {
	askedc := make(chan bool, 2)
	u := startUpstream(t, "tcp", func(conn net.Conn, n int) bool { askedc <- true; return true })
	g := u.getter(t, GetterOptions{Timeout: time.Hour})
	donec := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := g.Get("/", Validators{})
			donec <- err
		}()
	}
	<-askedc
	<-askedc
	g.Close()
	for range 2 {
		if err := <-donec; !errors.Is(err, ErrGetterStopped) {
			t.Error(err)
		}
	}
	if _, err := g.Get("/", Validators{}); !errors.Is(err, ErrGetterStopped) {
		t.Errorf("after the end: %v", err)
	}
}
