package proxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// brokenSource asks the app as usual and panics at one step.
type brokenSource struct {
	source
	atStart bool
}

func (s brokenSource) start(h *http1.Head, q *request.Request, body []byte) {
	s.source.start(h, q, body)
	if s.atStart {
		panic("a fault in start")
	}
}

func (s brokenSource) bodyReady() { panic("a fault in bodyReady") }

// TestPanicEndsBothLegs: whatever a fault leaves behind, neither connection stays with an exchange that nobody moves on,
// no server stays taken, and the next client is served.
func TestPanicEndsBothLegs(t *testing.T) {
	for name, atStart := range map[string]bool{"at the start": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			up := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
				return []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}))
			var broken atomic.Bool
			broken.Store(true)
			addr, p := startPrepared(t, up.Addr, func(p *Proxy) {
				whole := p.newSource
				p.newSource = func(x *exchange) source {
					if broken.Load() {
						return brokenSource{whole(x), atStart}
					}
					return whole(x)
				}
			})
			c := wiretest.Dial(t, addr)
			c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
			if !atStart {
				wiretest.Eventually(t, "the app has the head", func() bool { return strings.Contains(up.Sent(), "ab") })
				c.Send("c")
			}
			if all, _ := c.Rest(); all != "" {
				t.Errorf("the client got %q", all)
			}
			settled(t, p)
			broken.Store(false)
			c = wiretest.Dial(t, addr)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, body := c.Response("GET"); body != "ok" {
				t.Errorf("body %q", body)
			}
		})
	}
}

// brokenApp is an app whose source panics when the request's body is there.
type brokenApp struct{ appSource }

func (brokenApp) collected() { panic("a fault in collected") }

// brokenLog panics at one message.
type brokenLog struct {
	slog.Handler
	at string
}

func (brokenLog) Enabled(context.Context, slog.Level) bool { return true }

func (l brokenLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == l.at {
		panic("a fault in the log")
	}
	return nil
}

// TestPanicInPostedSteps: so it is with steps that are not an event of either connection.
func TestPanicInPostedSteps(t *testing.T) {
	up := func(t *testing.T) string {
		return wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok("") })).Addr
	}
	folder := func(t *testing.T) *site.Site {
		dir := t.TempDir()
		for _, name := range []string{"a.txt", "a.php"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("a"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := site.New(site.Options{Root: dir, NoScripts: []string{"/"}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	get := "GET /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct {
		name, sent string
		start      func(t *testing.T) (string, *Proxy)
	}{
		{"what a worker has found", strings.Replace(get, "a.txt", "a.php", 1), func(t *testing.T) (string, *Proxy) {
			return startPrepared(t, up(t), func(*Proxy) {}, func(o *Options) {
				o.Routes = []Route{{Match: "/files", Below: true, Files: folder(t)}}
				o.Log = slog.New(brokenLog{slog.DiscardHandler, "request refused"})
			})
		}},
		{"what a worker does", get, func(t *testing.T) (string, *Proxy) {
			return startPrepared(t, up(t), func(p *Proxy) { p.present.Load().Sites.Tables[0].Routes[0].Files, p.newSource = nil, newFileSource }, func(o *Options) {
				o.Routes = []Route{{Match: "/files", Below: true, Files: folder(t)}}
			})
		}},
		{"a body that is in a file", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), func(t *testing.T) (string, *Proxy) {
			return startPrepared(t, up(t), func(p *Proxy) {
				whole := p.newSource
				p.newSource = func(x *exchange) source {
					s := whole(x)
					x.app.source = brokenApp{x.app.source}
					return s
				}
			}, func(o *Options) {
				o.RequestBuffer, o.BufferTotal, o.Folder, o.FileBytes, o.FilesTotal = 8<<10, 1<<20, t.TempDir(), 1<<20, 1<<20
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, p := tt.start(t)
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			if all, _ := c.Rest(); all != "" {
				t.Errorf("the client got %q", all)
			}
			settled(t, p)
		})
	}
}

// TestPanicInLine: so it is where a request has waited for an upstream, and whoever waits behind it has its turn.
func TestPanicInLine(t *testing.T) {
	answer, asked := make(chan []byte), make(chan string, 10)
	up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		asked <- r.RequestURI
		return <-answer
	}))
	addr, p := startPrepared(t, up.Addr, func(p *Proxy) {}, func(o *Options) {
		o.MaxFails, o.Queue, o.QueueTime = 0, 10, wiretest.Timeout
		o.Upstreams[0].MaxConns = 1
	})
	send := func(target string) *wiretest.Client {
		c := wiretest.Dial(t, addr)
		c.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	first := send("/first")
	<-asked
	// Whoever is first in line, of both loops, panics.
	var turn atomic.Bool
	for _, f := range p.fronts {
		f.loop.Do(func(done func()) {
			p.lines.Join(f.loop, func() bool {
				if !turn.Load() {
					return false
				}
				p.lines.Leave()
				panic("a fault in line")
			})
			done()
		})()
	}
	second := send("/second")
	wiretest.Eventually(t, "it waits in line", func() bool { return p.Stats().Queued == 3 })
	turn.Store(true)
	answer <- ok("1")
	if _, body := first.Response("GET"); body != "1" {
		t.Errorf("first: %q", body)
	}
	<-asked
	answer <- ok("2")
	if _, body := second.Response("GET"); body != "2" {
		t.Errorf("second: %q", body)
	}
	settled(t, p)
}

// TestPanicOfQueuedRequest: so it is where a request has its turn and the step that goes on with it panics.
func TestPanicOfQueuedRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	go func() { // an app that leaves behind its first response
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		http.ReadRequest(bufio.NewReader(c))
		close(asked)
		<-answer
		ln.Close() // and nobody can connect any more
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1")
	}()
	addr, p := startPrepared(t, "", func(*Proxy) {}, func(o *Options) {
		o.MaxFails, o.Queue, o.QueueTime = 0, 10, wiretest.Timeout
		o.Upstreams = []Upstream{{Network: "unix", Address: path, Host: "x", MaxConns: 1}}
		o.Log = slog.New(brokenLog{slog.DiscardHandler, "upstream failed"})
	})
	first := wiretest.Dial(t, addr)
	first.Send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	second := wiretest.Dial(t, addr)
	second.Send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	wiretest.Eventually(t, "it waits in line", func() bool { return p.Stats().Queued == 1 })
	close(answer)
	if _, body := first.Response("GET"); body != "1" {
		t.Errorf("first: %q", body)
	}
	if all, _ := second.Rest(); all != "" {
		t.Errorf("second: %q", all)
	}
	settled(t, p)
	if n := p.Stats().Queued; n != 0 {
		t.Errorf("%d are in line", n)
	}
}

// TestPanicBehindAccelRedirect: so it is where an app has sent the request elsewhere.
func TestPanicBehindAccelRedirect(t *testing.T) {
	up := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return []byte("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /within/a\r\nContent-Length: 0\r\n\r\n")
	}))
	addr, p := startPrepared(t, up.Addr, func(p *Proxy) {
		p.newSource = func(x *exchange) source { return brokenSource{newHTTPSource(x), true} }
	}, func(o *Options) { o.Routes = []Route{{Match: "/within", Internal: true}} })
	c := wiretest.Dial(t, addr)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if all, _ := c.Rest(); all != "" {
		t.Errorf("the client got %q", all)
	}
	settled(t, p)
	for _, s := range p.Stats().Upstreams {
		if s.Active != 0 {
			t.Errorf("%s has %d requests", s.Name, s.Active)
		}
	}
}
