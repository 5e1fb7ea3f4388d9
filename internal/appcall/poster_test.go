package appcall

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// takenPost is a request as the app got it.
type takenPost struct {
	*http.Request
	body string
}

// rawApp is an app on a socket that does to a POST whatever a test wants.
type rawApp struct {
	t     *testing.T
	ln    net.Listener
	conns atomic.Int64
	group sync.WaitGroup

	mu    sync.Mutex
	posts []takenPost
	does  func(n int, c net.Conn) (more bool) // with POST number n, which was read
}

func answerWith(text string) func(int, net.Conn) bool {
	return func(_ int, c net.Conn) bool {
		_, _ = io.WriteString(c, text)
		return true
	}
}

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

func startRawApp(t *testing.T, does func(int, net.Conn) bool) *rawApp {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &rawApp{t: t, ln: ln, does: does}
	a.group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.conns.Add(1)
			a.group.Go(func() { a.serve(c) })
		}
	})
	t.Cleanup(a.stop)
	return a
}

func (a *rawApp) got() []takenPost {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.posts)
}

func (a *rawApp) stop() {
	_ = a.ln.Close()
	a.group.Wait()
}

func (a *rawApp) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // the other side says what it saw
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.posts = append(a.posts, takenPost{r, string(body)})
		n := len(a.posts)
		a.mu.Unlock()
		if !a.does(n, c) {
			return
		}
	}
}

func (a *rawApp) poster(t *testing.T) *Poster {
	p := NewPoster(PosterOptions{
		Target: Target{Endpoints: []Endpoint{{Network: "tcp", Address: a.ln.Addr().String()}}, Path: "/events?x=1"}, Key: "a key of some length", Timeout: 5 * time.Second,
	})
	t.Cleanup(p.Close)
	return p
}

func TestPostIsSigned(t *testing.T) {
	a := startRawApp(t, answerWith(noContent))
	p := a.poster(t)
	for range 2 {
		if err := p.Post(context.Background(), []byte(`{"events":[]}`)); err != nil {
			t.Fatal(err)
		}
	}
	p.Close()
	for _, r := range a.got() {
		if r.Method != "POST" || r.RequestURI != "/events?x=1" || r.Host != a.ln.Addr().String() ||
			r.Header.Get("Content-Type") != "application/json" || r.body != `{"events":[]}` {
			t.Errorf("request: %+v, body %q", r.Request, r.body)
		}
		var at int64
		var sum string
		if _, err := fmt.Sscanf(r.Header.Get("Holdfast-Signature"), "t=%d,v1=%s", &at, &sum); err != nil {
			t.Fatalf("%v: %v", err, r.Header)
		}
		mac := hmac.New(sha256.New, []byte("a key of some length"))
		fmt.Fprintf(mac, "%d.%s", at, r.body)
		if hex.EncodeToString(mac.Sum(nil)) != sum {
			t.Errorf("signature is not that of the body: %s", sum)
		}
		if age := time.Since(time.Unix(at, 0)); age < 0 || age > time.Minute {
			t.Errorf("signature is %v old", age)
		}
	}
	if n := a.conns.Load(); len(a.got()) != 2 || n != 1 {
		t.Errorf("%d posts on %d connections", len(a.got()), n)
	}
}

func TestPostAnswers(t *testing.T) {
	big := strings.Repeat("x", 2*maxBody)
	for _, c := range []struct {
		what, answer, err string
	}{
		{"200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""},
		{"202", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", ""},
		{"204", noContent, ""},
		{"a large answer", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big), big), ""},
		{"a large failure", fmt.Sprintf("HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s", len(big), big), "status 500"},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "status 302"},
		{"400", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "status 400"},
		{"500", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status 500"},
		{"not HTTP", "hello\r\n\r\n", "POST /events"},
	} {
		a := startRawApp(t, func(_ int, nc net.Conn) bool {
			_, _ = io.WriteString(nc, c.answer)
			return false
		})
		p := a.poster(t)
		err := p.Post(context.Background(), []byte("{}"))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.what, err)
		}
		p.Close()
		a.stop()
	}
}

// One of several endpoints that is down does not keep events from the others.
func TestPostToAnother(t *testing.T) {
	a := startRawApp(t, answerWith(noContent))
	p := NewPoster(PosterOptions{
		Target: Target{
			Endpoints: []Endpoint{{Network: "unix", Address: filepath.Join(t.TempDir(), "nobody")}, {Network: "tcp", Address: a.ln.Addr().String()}},
			Host:      "app", Path: "/e",
		},
		Key: "k", Timeout: 5 * time.Second,
	})
	t.Cleanup(p.Close)
	if err := p.Post(context.Background(), []byte("{}")); err != nil || len(a.got()) != 1 || a.got()[0].Host != "app" {
		t.Errorf("%v, %d posts", err, len(a.got()))
	}
}

// An app that hangs costs its timeout, or less when the end comes first.
func TestPostHangs(t *testing.T) {
	a := startRawApp(t, func(_ int, c net.Conn) bool {
		_, _ = c.Read(make([]byte, 1)) // until the other side gives up
		return false
	})
	p := a.poster(t)
	p.options.Timeout = 50 * time.Millisecond
	if err := p.Post(context.Background(), []byte("{}")); !errors.Is(err, fasthttp.ErrTimeout) {
		t.Errorf("after the timeout: %v", err)
	}
	p.options.Timeout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	before := len(a.got())
	go func() {
		for { // until it has come
			if len(a.got()) > before {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := p.Post(ctx, []byte("{}")); err == nil {
		t.Error("no error after the end")
	}
	if err := p.Post(ctx, []byte("{}")); err == nil {
		t.Error("no error past the end")
	}
}

// The whole of it, over an app that hangs, resets, fails, and is away for a while and comes back.
func TestEventSenderSurvivesTheApp(t *testing.T) {
	bad := func(n int, c net.Conn) bool {
		switch n % 5 {
		case 0:
			_, _ = io.WriteString(c, noContent)
			return true
		case 1:
			_ = c.(*net.TCPConn).SetLinger(0) // reset, after it was read
			return false
		case 2:
			_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno")
			return false
		case 3:
			_, _ = c.Read(make([]byte, 1))
			return false
		}
		_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	a := startRawApp(t, bad)
	p := a.poster(t)
	p.options.Timeout = 100 * time.Millisecond
	var post atomic.Value // where the app is
	post.Store(p.Post)
	sender := NewEventSender(EventSenderOptions{Batch: 10, Delay: time.Millisecond, Post: func(ctx context.Context, body []byte) error {
		return post.Load().(func(context.Context, []byte) error)(ctx, body)
	}})
	served := make(chan struct{})
	go func() {
		defer close(served)
		sender.Serve()
	}()
	hurry := func(done func() bool) { // pauses are not what is tested here
		for !done() {
			sender.mu.Lock()
			sender.until = time.Time{}
			sender.mu.Unlock()
			sender.wake()
			time.Sleep(time.Millisecond)
		}
	}
	tell(sender, 1, 50)
	hurry(func() bool { return sender.Stats().Sent >= 30 })
	a.stop()
	tell(sender, 51, 60)
	failed := sender.Stats().Failures
	hurry(func() bool { return sender.Stats().Failures >= failed+2 })
	b := startRawApp(t, answerWith(noContent))
	post.Store(b.poster(t).Post)
	tell(sender, 61, 100)
	hurry(func() bool { return sender.Stats().Queued == 0 })
	sender.Shutdown(context.Background())
	<-served
	p.Close()

	next, seen := 1, make(map[string]bool)
	for _, r := range append(a.got(), b.got()...) {
		for _, e := range readBatch(t, []byte(r.body)) {
			if seen[e.ID] {
				continue
			}
			seen[e.ID] = true
			if e.User != fmt.Sprint(next) {
				t.Fatalf("event of user %s where %d is next", e.User, next)
			}
			next++
		}
	}
	if s := sender.Stats(); next != 101 || s.Lost > 0 || s.Sent != 100 {
		t.Errorf("%d events came, %+v", next-1, s)
	}
}
