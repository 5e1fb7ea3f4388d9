package hooks

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

// app is a server with everything a test wants to look at.
type app struct {
	*Server
	t   *testing.T
	hub *hub.Hub
	ln  net.Listener
	log *wiretest.Log
}

// listener stands in for one channel subscriber.
type listener struct {
	membership hub.Membership
	got        []*hub.Message
}

func (l *listener) Membership() *hub.Membership { return &l.membership }
func (l *listener) Deliver(b []*hub.Message)    { l.got = append(l.got, b...) }

// rules are those of a test, first, and one for every channel but unruled.x.y.
func rules(first ...channel.Rule) *channel.Rules {
	return channel.Compile(append(first, channel.Rule{Match: "unruled.{user}"}, channel.Rule{Match: "**"}))
}

// start serves on loopback, or on a unix socket, a server that was prepared.
func start(t *testing.T, network string, o Options, prepare ...func(*Server)) *app {
	t.Helper()
	a := &app{t: t, log: new(wiretest.Log)}
	if o.Hub == nil {
		o.Hub = hub.New(hub.Options{Rule: func(name string) (hub.History, bool) {
			return hub.History{Messages: 100}, !strings.HasPrefix(name, "unruled")
		}})
	}
	if o.Channels == nil {
		o.Channels = rules()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	a.hub = o.Hub
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "hooks")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	a.ln = ln
	a.Server = New(o)
	for _, f := range prepare {
		f(a.Server)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return a
}

func (a *app) dial() net.Conn {
	a.t.Helper()
	c, err := net.Dial(a.ln.Addr().Network(), a.ln.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(3 * time.Minute))
	return c
}

type answer struct {
	status int
	header http.Header
	body   string
	closes bool
}

// raw sends bytes as they are on a connection of their own and returns the answer.
func (a *app) raw(request string) answer {
	a.t.Helper()
	c := a.dial()
	defer c.Close() //nolint:errcheck // the answer is there or is not
	go func() { _, _ = io.WriteString(c, request) }()
	return a.read(bufio.NewReader(c), strings.HasPrefix(request, "HEAD "))
}

func (a *app) read(br *bufio.Reader, head bool) answer {
	a.t.Helper()
	var req *http.Request
	if head {
		req = &http.Request{Method: "HEAD"}
	}
	r, err := http.ReadResponse(br, req)
	if err != nil {
		a.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Fatalf("answer breaks off: %v", err)
	}
	return answer{r.StatusCode, r.Header, string(body), r.Close}
}

// request returns a request with a good Host and, if the body is not empty, its length.
func request(line, fields, body string) string {
	if body != "" {
		fields += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return line + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n" + body
}
