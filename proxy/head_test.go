package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/serving"
	"holdfast/internal/wiretest"
)

// TestRequestsThatAreRefused has what RFC 9112 calls invalid, or two parsers could read two ways.
// Nothing of it may reach the app, and the client must be able to read the answer.
func TestRequestsThatAreRefused(t *testing.T) {
	host := "Host: x\r\n"
	type row struct {
		Name, Sent string
		Status     int
	}
	tests := []row{
		{"too many fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 100) + "\r\n", 431},
		{"too long a head", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 17<<10) + "\r\n\r\n", 431},
		{"too long a head, unfinished", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 17<<10), 431},
		{"too long a target", "GET /" + strings.Repeat("b", 17<<10), 414},
		{"body over the limit", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5001\r\n\r\n", 413},
		{"chunks over the limit", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1389\r\n" + strings.Repeat("x", 5001) + "\r\n0\r\n\r\n", 413},
	}
	for _, r := range wiretest.RefusedRequests() {
		tests = append(tests, row(r))
	}
	whole := 0
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		whole++
		return ok("")
	}))
	addr, _ := start(t, u.Addr, func(o *Options) { o.BodyBytes = 5000 })
	for _, tt := range tests {
		t.Run(tt.Name, func(t *testing.T) {
			c := wiretest.Dial(t, addr)
			c.Send(tt.Sent)
			resp, _ := c.Response("GET")
			if resp.StatusCode != tt.Status || !resp.Close && tt.Status != 413 {
				t.Errorf("status %d, close %v; want %d and close", resp.StatusCode, resp.Close, tt.Status)
			}
		})
	}
	u.Close()
	if whole > 0 {
		t.Errorf("the app had %d whole requests; want none", whole)
	}
}

// FuzzHead: what the head check lets in, net/http reads as the same one request.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a?b HTTP/1.1\r\nhost: x:80\r\nContent-Length: 3\r\n\r\nabc",
		"GET http://x/ HTTP/1.1\r\nHost: x\r\nConnection: a, Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"PUT /%2e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	p := new(Proxy)
	p.present.Store(&generation{Proxy: p, State: &serving.State{Sites: oneSite(balance.NewSet(balance.Options{}), Route{Upstreams: []Upstream{{Host: "up"}}}, nil), Reader: request.Reader{Trusted: func(netip.Addr) bool { return false }}}})
	f.Fuzz(func(t *testing.T, in []byte) {
		n, r := http1.HeadEnd(in, 0)
		if r != nil || n == 0 {
			return
		}
		// In two readings the end must be found at the same place.
		for _, cut := range []int{1, n / 2, n - 1} {
			if cut <= 0 || cut >= n {
				continue
			}
			if m, r := http1.HeadEnd(in[:cut], 0); m != 0 || r != nil {
				t.Fatalf("an end at %d, %v in the first %d bytes of %q; want none", m, r, cut, in[:n])
			}
			if m, r := http1.HeadEnd(in, cut); m != n || r != nil {
				t.Fatalf("looking from %d the end is %d, %v; want %d", cut, m, r, n)
			}
		}
		var h http1.Head
		if h.Parse(bytes.Clone(in[:n]), http1.Limits{Bytes: 16 << 10, Fields: 100}) != nil {
			return
		}
		var q request.Request
		p.present.Load().Reader.Read(&q, wirePeer, false, h.Host, &h.Forwarding)
		out := q.AppendHead(nil, &h, request.For{Mapping: &p.main().Paths})
		if h.Chunked {
			var x exchange
			x.upload.x, x.app.x, x.app.head = &x, &x, out
			(&httpSource{appLeg: &x.app}).frameUpload()
			out = x.app.head
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Clone(out), in[n:]...))))
		if err != nil {
			t.Fatalf("net/http refuses what was let in: %v\n%q", err, out)
		}
		if req.Method != string(h.Method) || req.RequestURI != string(h.Target) {
			t.Fatalf("net/http reads %s %s; the check read %s %s", req.Method, req.RequestURI, h.Method, h.Target)
		}
		if want := h.Length; want >= 0 && req.ContentLength != want || h.Chunked != (len(req.TransferEncoding) > 0) {
			t.Fatalf("net/http's framing: %d %v; the check's: %d %v", req.ContentLength, req.TransferEncoding, h.Length, h.Chunked)
		}
		if h.HasHost && req.Host != string(h.Host) {
			t.Fatalf("net/http reads Host %q; the check read %q", req.Host, h.Host)
		}
		if bytes.Count(out, []byte("\r\n\r\n")) != 1 {
			t.Fatalf("more than one head in %q", out)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	in := []byte("GET /examples/servlets/servlet/HelloWorldExample?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: JSESSIONID=0123456789ABCDEF\r\nConnection: keep-alive\r\n\r\n")
	var h http1.Head
	b.ReportAllocs()
	for b.Loop() {
		if n, r := http1.HeadEnd(in, 0); n != len(in) || r != nil {
			b.Fatal(fmt.Sprint(n, r))
		}
		if r := h.Parse(in, http1.Limits{Bytes: 16 << 10, Fields: 100}); r != nil {
			b.Fatal(r)
		}
	}
}

// TestRequestsThatArePassed: each is one request for the app, with the path as it was sent, and the connection stays
// in step.
func TestRequestsThatArePassed(t *testing.T) {
	var seen []string
	var mu sync.Mutex
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.RequestURI)
		for _, name := range []string{"Content_length", "Content.length", "Transfer_encoding", "Upgrade", "Http2-Settings", "Trailer", "Te"} {
			if r.Header.Get(name) != "" || len(r.Trailer) > 0 {
				t.Errorf("%s: the app was sent %s, trailers %v", r.RequestURI, name, r.Trailer)
			}
		}
		return ok(fmt.Sprint(r.RequestURI, len(body)))
	}))
	addr, _ := start(t, u.Addr, func(o *Options) { o.RequestBuffer = 64 << 10 })
	for _, tt := range wiretest.PassedRequests() {
		for _, split := range []int{1, 7, len(tt.Sent)} {
			seen = nil
			c := wiretest.Dial(t, addr)
			for rest := tt.Sent; len(rest) > 0; rest = rest[min(split, len(rest)):] {
				c.Send(rest[:min(split, len(rest))])
			}
			method, _, _ := strings.Cut(strings.TrimLeft(tt.Sent, "\r\n"), " ")
			resp, body := c.Response(method)
			for resp.StatusCode == 100 {
				resp, body = c.Response(method)
			}
			if resp.StatusCode != 200 || !strings.HasPrefix(body, tt.Path) {
				t.Errorf("%s: %d %q", tt.Name, resp.StatusCode, body)
				continue
			}
			c.Send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, body := c.Response("GET"); body != "/next0" {
				t.Errorf("%s: then answered %q", tt.Name, body)
			}
			mu.Lock()
			if fmt.Sprint(seen) != fmt.Sprint([]string{tt.Path, "/next"}) {
				t.Errorf("%s: the app saw %q", tt.Name, seen)
			}
			mu.Unlock()
		}
	}
}
