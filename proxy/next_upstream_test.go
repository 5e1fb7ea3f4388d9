package proxy

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// failing are the ways in which an upstream gives no response to a request that it has read.
var failing = map[string]func(c *wiretest.Recorded){
	"closed": func(*wiretest.Recorded) {},
	"reset":  func(c *wiretest.Recorded) { wiretest.TCP(c).SetLinger(0) },
	"closed in its head": func(c *wiretest.Recorded) {
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Le"))
	},
	"silent": func(c *wiretest.Recorded) { c.Reader.Peek(1) }, // until it is closed
	"closed in its body": func(c *wiretest.Recorded) {
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"))
	},
	"closed after a hint": func(c *wiretest.Recorded) {
		c.Write([]byte("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"))
	},
}

// TestNextUpstreamUnanswered: what a server was sent and has not answered goes to the next if it may be repeated, to each
// server once.
func TestNextUpstreamUnanswered(t *testing.T) {
	get := lines("GET /a HTTP/1.1", "Host: x")
	put := lines("PUT /a HTTP/1.1", "Host: x", "Content-Length: 5") + "12345"
	for _, tt := range []struct {
		name, fault, request string
		next                 string // of nginx: "error timeout", "error", "off"
		status               int    // 0: cut
		sent                 string // how often each of the servers was asked
	}{
		{"GET", "closed", get, "error timeout", 200, "111"},
		{"GET", "reset", get, "error timeout", 200, "111"},
		{"GET", "closed in its head", get, "error timeout", 200, "111"},
		{"GET", "silent", get, "error timeout", 200, "111"},
		{"HEAD", "closed", lines("HEAD /a HTTP/1.1", "Host: x"), "error timeout", 200, "111"},
		{"PROPFIND", "closed", lines("PROPFIND /a HTTP/1.1", "Host: x", "Content-Length: 5") + "12345", "error timeout", 200, "111"},
		{"DELETE", "reset", lines("DELETE /a HTTP/1.1", "Host: x"), "error timeout", 200, "111"},
		{"PUT with its body", "closed", put, "error timeout", 200, "111"},
		{"PUT in chunks", "closed", lines("PUT /a HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "5\r\n12345\r\n0\r\n\r\n", "error timeout", 200, "111"},
		{"GET", "silent", get, "error", 504, "100"},
		{"GET", "closed", get, "error", 200, "111"},
		{"GET", "closed", get, "off", 502, "100"},
		{"GET", "silent", get, "off", 504, "100"},
		{"POST", "closed", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 5") + "12345", "error timeout", 502, "100"},
		{"POST", "reset", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 5") + "12345", "error timeout", 502, "100"},
		{"POST", "silent", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 5") + "12345", "error timeout", 504, "100"},
		{"POST without a body", "closed", lines("POST /a HTTP/1.1", "Host: x", "Content-Length: 0"), "error timeout", 502, "100"},
		{"PATCH", "closed", lines("PATCH /a HTTP/1.1", "Host: x", "Content-Length: 0"), "error timeout", 502, "100"},
		{"LOCK", "closed", lines("LOCK /a HTTP/1.1", "Host: x", "Content-Length: 0"), "error timeout", 502, "100"},
		{"GET", "closed in its body", get, "error timeout", 0, "100"},
		{"GET", "closed after a hint", lines("GET /a HTTP/1.1", "Host: x", "Connection: close"), "error timeout", 502, "100"},
	} {
		t.Run(tt.name+" "+tt.fault+", "+tt.next, func(t *testing.T) {
			var all []*wiretest.Upstream
			var list []Upstream
			fail := func(c *wiretest.Recorded) {
				if r, err := http.ReadRequest(c.Reader); err == nil && (r.ContentLength == 0 || r.Body.Close() == nil) {
					failing[tt.fault](c)
				}
			}
			for _, serve := range []func(*wiretest.Recorded){fail, fail, wiretest.Answer(func(_ *http.Request, body []byte) []byte { return ok(string(body)) })} {
				u := wiretest.NewUpstream(t, serve)
				all = append(all, u)
				list = append(list, Upstream{Address: u.Addr, Backup: len(list) > 0})
			}
			list[1].Backup = false
			addr, p := start(t, "", upstreams(list...), func(o *Options) {
				o.NextError, o.NextTimeout = tt.next != "off", strings.HasSuffix(tt.next, "timeout")
				o.RequestBuffer = 1 << 10
				o.UpstreamTime = wiretest.Timeout
				if tt.fault == "silent" {
					o.UpstreamTime = 200 * time.Millisecond
				}
			})
			c := wiretest.Dial(t, addr)
			method, _, _ := strings.Cut(tt.request, " ")
			c.Send(tt.request)
			switch {
			case tt.status == 0:
				// The reset may overtake what there was before the client has read it.
				if got, reset := c.Rest(); got != "" && !strings.HasSuffix(got, "first") || !reset {
					t.Errorf("received %q, reset %v; want what there was, if anything, and a reset", got, reset)
				}
			case tt.fault == "closed after a hint":
				if got, _ := c.Rest(); !strings.HasPrefix(got, "HTTP/1.1 103 ") || !strings.Contains(got, "HTTP/1.1 502 ") {
					t.Errorf("received %q; want the hint and 502", got)
				}
			default:
				resp, body := c.Response(method)
				want := ""
				if strings.HasPrefix(tt.name, "PUT") || tt.name == "PROPFIND" {
					want = "12345"
				}
				if resp.StatusCode != tt.status || tt.status == 200 && body != want {
					t.Errorf("answered %d %q; want %d %q", resp.StatusCode, body, tt.status, want)
				}
			}
			times := func(u *wiretest.Upstream) int { return strings.Count(u.Sent(), method+" /a HTTP/1.1\r\n") }
			first, second := times(all[0]), times(all[1])
			if first < second { // either of the two may be the first
				first, second = second, first
			}
			if got := strings.Join([]string{digit(first), digit(second), digit(times(all[2]))}, ""); got != tt.sent {
				t.Errorf("the servers were asked %s times; want %s", got, tt.sent)
			}
			if s := p.Stats(); tt.status == 200 && s.Retries != 2 || tt.status != 200 && s.Retries != 0 {
				t.Errorf("%d retries", s.Retries)
			}
		})
	}
}

func digit(n int) string { return string(rune('0' + n)) }

// TestNextUpstreamFastCGI: the same with scripts; what the first server sent of its response is forgotten.
func TestNextUpstreamFastCGI(t *testing.T) {
	for _, tt := range []struct {
		name, request, begun string
		status               int
		asked                int
	}{
		{"closed", "GET", "", 200, 2},
		{"closed in a record", "GET", "\x01\x06\x00\x01\x00\x20", 200, 2},
		{"closed in the head", "GET", record(6, 1, "Content-Type: text/pl"), 200, 2},
		{"closed in the body", "GET", record(6, 1, "Content-Type: text/plain\r\n\r\nfirst"), 0, 1},
		{"PUT, closed", "PUT", "", 200, 2},
		{"POST, closed", "POST", "", 502, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			var bodies [2]atomic.Value
			serve := func(id uint16, _ map[string]string, stdin string) string {
				n := asked.Add(1)
				bodies[n-1].Store(stdin)
				if n == 1 {
					return tt.begun
				}
				return whole(id, "Content-Type: text/plain\r\n\r\n"+stdin)
			}
			one, two := responder(t, serve), responder(t, serve)
			site, _ := folder(t)
			addr, _ := start(t, "", upstreams(Upstream{Address: one.Addr}, Upstream{Address: two.Addr}), site, func(o *Options) { o.NextError = true })
			c := wiretest.Dial(t, addr)
			c.Send(lines(tt.request+" /app.php HTTP/1.1", "Host: x", "Content-Length: 5") + "12345")
			if tt.status == 0 {
				if got, reset := c.Rest(); strings.Contains(got, "12345") || !reset {
					t.Errorf("received %q, reset %v; want no second response, and a reset", got, reset)
				}
			} else if resp, body := c.Response(tt.request); resp.StatusCode != tt.status || tt.status == 200 && body != "12345" {
				t.Errorf("answered %d %q; want %d", resp.StatusCode, body, tt.status)
			}
			if n := asked.Load(); int(n) != tt.asked {
				t.Fatalf("asked %d times; want %d", n, tt.asked)
			}
			for i := range tt.asked {
				if got := bodies[i].Load(); got != "12345" {
					t.Errorf("the body came as %q", got)
				}
			}
		})
	}
}
