package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hooksListener is a recording stand-in for Holdfast's API listener.
type hooksListener struct {
	status int    // of its answers; 0 is 200
	body   string // of its answers; "" is that of a message with two subscribers

	mu   sync.Mutex
	reqs []string // "POST /publish?channel=c body"
}

func (l *hooksListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	l.reqs = append(l.reqs, r.Method+" "+r.URL.String()+" "+string(body))
	l.mu.Unlock()
	if l.status != 0 {
		w.WriteHeader(l.status)
	}
	_, _ = io.WriteString(w, cmp.Or(l.body, `{"id":"0dzln3kxtdtb4","subscribers":2}`))
}

// RoundTrip answers without a network, for tests in a bubble.
func (l *hooksListener) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w.Result(), nil
}

func (l *hooksListener) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.reqs)
}

// start returns an app that publishes to l over a network.
func start(t *testing.T, l http.Handler) *App {
	t.Helper()
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return New(Options{HooksURL: server.URL + "/", StatusDelay: time.Nanosecond})
}

// do asks the app. Fields are "Name: value".
func do(t *testing.T, a *App, method, target, body string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func decode[T any](t *testing.T, from []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(from, &v); err != nil {
		t.Fatalf("%v in %s", err, from)
	}
	return v
}

// pipes is a listener of connections in memory, whose waits a bubble can see through.
type pipes struct {
	conns chan net.Conn
	donec chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), donec: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.donec:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.donec) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// dial sends a request on a connection of its own.
func (p *pipes) dial(t *testing.T, request string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	p.conns <- server
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAutoMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l hooksListener
		a := New(Options{AutoMove: 20 * time.Second})
		a.client.Transport = &l
		servec := make(chan error, 1)
		go func() { servec <- a.Serve(newPipes()) }()

		wantVersion := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if s := a.parcel.state(); s.Version != want {
				t.Fatalf("version %d, want %d", s.Version, want)
			}
			if n := len(l.requests()); n != want-1 {
				t.Fatalf("%d messages published, want %d", n, want-1)
			}
		}
		wantVersion(19*time.Second, 1)
		wantVersion(time.Second, 2)
		wantVersion(20*time.Second, 3)
		// A person moves it: it is left alone for a while.
		time.Sleep(15 * time.Second)
		wantStatus(t, do(t, a, "POST", "/parcels/HF-2041/move", ""), http.StatusOK)
		wantVersion(19*time.Second, 4)
		wantVersion(time.Second, 5)

		if err := a.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-servec; !errors.Is(err, ErrClosed) {
			t.Fatalf("Serve: %v, want ErrClosed", err)
		}
		wantVersion(time.Hour, 5) // and the bubble wants no goroutine left
	})
}

func TestShutdown(t *testing.T) {
	const request = "GET /poll/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

	t.Run("waits for a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, ln, servec := New(Options{}), newPipes(), make(chan error, 1)
			go func() { servec <- a.Serve(ln) }()
			c := ln.dial(t, request)
			defer c.Close() //nolint:errcheck
			synctest.Wait()
			downc := make(chan error, 1)
			go func() { downc <- a.Shutdown(t.Context()) }()
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
				t.Errorf("read %q, %v", answer, err)
			}
			if err := <-downc; err != nil {
				t.Error(err)
			}
			if err := <-servec; !errors.Is(err, ErrClosed) {
				t.Errorf("Serve: %v, want ErrClosed", err)
			}
		})
	})

	t.Run("cuts a request when its time is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, ln, servec := New(Options{StatusDelay: time.Hour}), newPipes(), make(chan error, 1)
			go func() { servec <- a.Serve(ln) }()
			c := ln.dial(t, request)
			defer c.Close() //nolint:errcheck
			synctest.Wait()
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
			}
			if err := <-servec; !errors.Is(err, ErrClosed) {
				t.Errorf("Serve: %v, want ErrClosed", err)
			}
			if took := time.Since(begin); took != 3*time.Second {
				t.Errorf("it took %v, want 3s", took)
			}
			if answer, _ := io.ReadAll(c); len(answer) > 0 {
				t.Errorf("read %q of an answer that was cut", answer)
			}
		})
	})

	t.Run("ends a publish that hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, ln, servec := New(Options{AutoMove: time.Minute}), newPipes(), make(chan error, 1)
			a.client.Transport = hangs{}
			go func() { servec <- a.Serve(ln) }()
			time.Sleep(time.Minute)
			synctest.Wait()
			begin := time.Now()
			if err := a.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-servec; !errors.Is(err, ErrClosed) {
				t.Errorf("Serve: %v, want ErrClosed", err)
			}
			if took := time.Since(begin); took >= publishTimeout {
				t.Errorf("it took %v", took)
			}
		})
	})

	t.Run("before Serve", func(t *testing.T) {
		a := New(Options{AutoMove: time.Hour})
		if err := a.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.Serve(newPipes()); !errors.Is(err, ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
}

func TestServeEndsWithItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ln, servec := New(Options{AutoMove: time.Hour}), newPipes(), make(chan error, 1)
		go func() { servec <- a.Serve(ln) }()
		c := ln.dial(t, "GET / HT") // and no more of it
		defer c.Close()             //nolint:errcheck
		synctest.Wait()
		_ = ln.Close()
		if err := <-servec; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed of net", err)
		}
	})
}

// hangs is an API listener that takes a call and never answers.
type hangs struct{}

func (hangs) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}
