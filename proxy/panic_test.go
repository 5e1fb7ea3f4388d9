package proxy

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/request"
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
				whole := p.main().source
				p.main().source = func(x *exchange) source {
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

// TestPanicBehindAccelRedirect: so it is where an app has sent the request elsewhere.
func TestPanicBehindAccelRedirect(t *testing.T) {
	up := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return []byte("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /within/a\r\nContent-Length: 0\r\n\r\n")
	}))
	addr, p := startPrepared(t, up.Addr, func(p *Proxy) {
		p.routes[0].source = func(x *exchange) source { return brokenSource{newHTTPSource(x), true} }
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
