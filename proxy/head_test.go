package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestRequestsThatAreRefused has what RFC 9112 calls invalid, or two parsers could read two ways.
// Nothing of it may reach the app, and the client must be able to read the answer.
func TestRequestsThatAreRefused(t *testing.T) {
	host := "Host: x\r\n"
	tests := []struct {
		name, sent string
		status     int
	}{
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
		{"bare LF in a header line", "GET / HTTP/1.1\r\nA: b\n" + host + "\r\n", 400},
		{"bare CR in a value", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400},
		{"NUL in a value", "GET / HTTP/1.1\r\n" + host + "A: b\x00c\r\n\r\n", 400},
		{"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"bare CR before the request line", "\rXGET / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"bare CR and nothing else", "\r\r\n\r\n", 400},
		{"an option of Connection that folds to Transfer-Encoding", "POST / HTTP/1.1\r\n" + host + "Connection: tran\u017ffer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"an option of Connection that folds to Host", "GET / HTTP/1.1\r\n" + host + "Connection: ho\u017ft\r\n\r\n", 400},
		{"an option of Connection with a space", "GET / HTTP/1.1\r\n" + host + "Connection: a b\r\n\r\n", 400},
		{"folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400},
		{"folded Transfer-Encoding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400},
		{"space in a name", "GET / HTTP/1.1\r\n" + host + "A b: c\r\n\r\n", 400},
		{"no name", "GET / HTTP/1.1\r\n" + host + ": c\r\n\r\n", 400},
		{"no colon", "GET / HTTP/1.1\r\n" + host + "abc\r\n\r\n", 400},
		{"length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length twice", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
		{"length list", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\nabc", 400},
		{"length signed", "POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", 400},
		{"length empty", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", 400},
		{"length too long", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		{"identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"chunked twice", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"gzip, chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"chunked with a vertical tab", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
		{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
		{"Host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
		{"target and Host disagree", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400},
		{"target with userinfo", "GET http://u:p@x/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"other scheme", "GET ftp://x/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"no slash", "GET a HTTP/1.1\r\n" + host + "\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"raw UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"percent sign alone", "GET /100% HTTP/1.1\r\n" + host + "\r\n", 400},
		{"percent sign before other letters", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		{"zero byte", "GET /a%00.php HTTP/1.1\r\n" + host + "\r\n", 400},
		{"tab in the request line", "GET\t/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"lower-case version", "GET / http/1.1\r\n" + host + "\r\n", 400},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", 505},
		{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"CONNECT", "CONNECT x:443 HTTP/1.1\r\n" + host + "\r\n", 405},
		{"TRACE", "TRACE / HTTP/1.1\r\n" + host + "\r\n", 405},
		{"Connection names Content-Length", "POST / HTTP/1.1\r\n" + host + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", 400},
		{"Connection names Cookie", "GET / HTTP/1.1\r\n" + host + "Connection: cookie\r\nCookie: a=b\r\n\r\n", 400},
		{"two Content-Types", "POST / HTTP/1.1\r\n" + host + "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n", 400},
		{"other expectation", "POST / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", 417},
		{"too many fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 100) + "\r\n", 431},
		{"too long a head", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 17<<10) + "\r\n\r\n", 431},
		{"too long a head, unfinished", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 17<<10), 431},
		{"too long a target", "GET /" + strings.Repeat("b", 17<<10), 414},
		{"body over the limit", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5001\r\n\r\n", 413},
		{"chunks over the limit", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1389\r\n" + strings.Repeat("x", 5001) + "\r\n0\r\n\r\n", 413},
	}
	whole := 0
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		whole++
		return ok("")
	}))
	addr, _ := start(t, u.Addr, func(o *Options) { o.BodyBytes = 5000 })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			resp, _ := c.Response("GET")
			if resp.StatusCode != tt.status || !resp.Close && tt.status != 413 {
				t.Errorf("status %d, close %v; want %d and close", resp.StatusCode, resp.Close, tt.status)
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
	p := &Proxy{main: &route{first: &server{Upstream: Upstream{Host: "up"}}}, o: Options{Trusted: func(netip.Addr) bool { return false }}}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, r := headEnd(in, 0)
		if r != nil || n == 0 {
			return
		}
		// In two readings the end must be found at the same place.
		for _, cut := range []int{1, n / 2, n - 1} {
			if cut <= 0 || cut >= n {
				continue
			}
			if m, r := headEnd(in[:cut], 0); m != 0 || r != nil {
				t.Fatalf("an end at %d, %v in the first %d bytes of %q; want none", m, r, cut, in[:n])
			}
			if m, r := headEnd(in, cut); m != n || r != nil {
				t.Fatalf("looking from %d the end is %d, %v; want %d", cut, m, r, n)
			}
		}
		var h head
		if h.parse(bytes.Clone(in[:n]), limits{16 << 10, 100}) != nil {
			return
		}
		out := p.main.appendRequest(nil, &h, p.callerOf(wirePeer.Addr(), &h))
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Clone(out), in[n:]...))))
		if err != nil {
			t.Fatalf("net/http refuses what was let in: %v\n%q", err, out)
		}
		if req.Method != string(h.method) || req.RequestURI != string(h.target) {
			t.Fatalf("net/http reads %s %s; the check read %s %s", req.Method, req.RequestURI, h.method, h.target)
		}
		if want := h.length; want >= 0 && req.ContentLength != want || h.chunked != (len(req.TransferEncoding) > 0) {
			t.Fatalf("net/http's framing: %d %v; the check's: %d %v", req.ContentLength, req.TransferEncoding, h.length, h.chunked)
		}
		if h.hasHost && req.Host != string(h.host) {
			t.Fatalf("net/http reads Host %q; the check read %q", req.Host, h.host)
		}
		if bytes.Count(out, []byte("\r\n\r\n")) != 1 {
			t.Fatalf("more than one head in %q", out)
		}
	})
}

// FuzzChunks: a body in random pieces is read as in one, and as net/http reads it.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint8(1))
	f.Add([]byte("5;a=b\r\nhello\r\n00\r\nT: 1\r\n\r\nGET"), uint8(3))
	f.Add([]byte("A\r\n0123456789\r\n0\r\n\r\n"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		type result struct {
			out  string
			used int
			done bool
			bad  bool
		}
		read := func(step int, decode bool) (r result) {
			b := body{framing: byChunks, decode: decode}
			for rest := in; len(rest) > 0 && !b.done; {
				piece := bytes.Clone(rest[:min(step, len(rest))])
				n, used, err := b.feed(piece)
				r.out += string(piece[:n])
				r.used += used
				if err != nil {
					r.bad = true
					break
				}
				rest = rest[used:]
			}
			r.done = b.done
			return r
		}
		for _, decode := range []bool{false, true} {
			whole, pieces := read(max(len(in), 1), decode), read(int(step)+1, decode)
			if whole.done != pieces.done || whole.bad != pieces.bad || whole.out != pieces.out {
				t.Fatalf("in one: %+v\nin pieces of %d: %+v", whole, int(step)+1, pieces)
			}
			if !whole.done {
				continue
			}
			head := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			var want string
			if !decode {
				req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + whole.out)))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(req.Body)
				if err != nil {
					t.Fatalf("net/http refuses %q: %v", whole.out, err)
				}
				want = string(b)
			} else {
				want = whole.out
			}
			if got := read(max(len(in), 1), true).out; got != want {
				t.Fatalf("data %q, net/http reads %q", got, want)
			}
		}
	})
}

func BenchmarkHead(b *testing.B) {
	in := []byte("GET /examples/servlets/servlet/HelloWorldExample?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: JSESSIONID=0123456789ABCDEF\r\nConnection: keep-alive\r\n\r\n")
	var h head
	b.ReportAllocs()
	for b.Loop() {
		if n, r := headEnd(in, 0); n != len(in) || r != nil {
			b.Fatal(fmt.Sprint(n, r))
		}
		if r := h.parse(in, limits{16 << 10, 100}); r != nil {
			b.Fatal(r)
		}
	}
}
