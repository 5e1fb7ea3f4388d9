package proxy

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	brotli "github.com/molecule-man/go-brrr"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/compress"
	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// compressing compresses everything that may be, of 100 bytes and more.
func compressing(t testing.TB) func(*Options) {
	t.Helper()
	return func(o *Options) {
		var err error
		if o.Compress, err = compress.NewRule(compress.Options{MinLength: 100}); err != nil {
			t.Fatal(err)
		}
	}
}

// prose returns n bytes of a text.
func prose(seed uint64, n int) string {
	random := rand.New(rand.NewPCG(seed, 3))
	var s strings.Builder
	for s.Len() < n {
		fmt.Fprintf(&s, "line %d of <b>%d</b>\n", s.Len(), random.IntN(1000))
	}
	return s.String()[:n]
}

// decoded is a reader of a body without its coding.
func decoded(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case "br":
		return brotli.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d
	}
	return r
}

func decodedText(t testing.TB, r *http.Response, body string) string {
	t.Helper()
	all, err := io.ReadAll(decoded(t, r.Header.Get("Content-Encoding"), strings.NewReader(body)))
	if err != nil {
		t.Fatalf("%s: %v", r.Header.Get("Content-Encoding"), err)
	}
	return string(all)
}

// noneHeld waits until no compressor belongs to a response: a worker may have the last one.
func noneHeld(t testing.TB, p *Proxy) {
	t.Helper()
	wiretest.Eventually(t, "no compressor is held", func() bool { return p.compress.Held() == 0 })
}

// TestCompressed: however an app sends a body, a client that accepts a coding has the same body in it, and its connection
// continues.
func TestCompressed(t *testing.T) {
	const fields = "Content-Type: text/html\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\n"
	for _, how := range []string{"length", "chunks", "close", "pieces"} {
		for _, size := range []int{0, 99, 400, 3000, 40_000, 1 << 20} {
			body := prose(uint64(size), size)
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				for {
					if _, err := http.ReadRequest(c.Reader); err != nil {
						return
					}
					switch how {
					case "length":
						fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
					case "chunks":
						io.WriteString(c, "HTTP/1.1 200 OK\r\n"+fields+"Transfer-Encoding: chunked\r\n\r\n"+chunked([]byte(body), 4096))
					case "pieces":
						io.WriteString(c, "HTTP/1.1 200 OK\r\n"+fields+"Transfer-Encoding: chunked\r\n\r\n")
						for rest := body; len(rest) > 0; {
							n := min(len(rest), 2000)
							fmt.Fprintf(c, "%x\r\n%s\r\n", n, rest[:n])
							rest = rest[n:]
						}
						io.WriteString(c, "0\r\n\r\n")
					default:
						io.WriteString(c, "HTTP/1.1 200 OK\r\n"+fields+"\r\n"+body)
						return
					}
				}
			})
			addr, p := start(t, u.Addr, compressing(t))
			c := wiretest.Dial(t, addr)
			for _, coding := range []string{"gzip", "br", "zstd", ""} {
				c.Send(lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
				r, got := c.Response("GET")
				want, tag := coding, `W/"x-hfz"`
				if size < 100 {
					want = ""
				}
				if coding == "" || how == "length" && size < 100 {
					tag = `"x"`
				}
				vary := "Accept-Encoding"
				if how == "length" && size < 100 {
					vary = ""
				}
				if size == 0 && how == "close" {
					tag = r.Header.Get("ETag")
				}
				if r.Header.Get("Content-Encoding") != want || r.Header.Get("Vary") != vary || r.Header.Get("ETag") != tag || (r.Header.Get("Accept-Ranges") != "") != (tag == `"x"`) {
					t.Errorf("%s, %d bytes, %s: %v", how, size, coding, r.Header)
				}
				if text := decodedText(t, r, got); text != body {
					t.Errorf("%s, %d bytes, %s: got %d bytes", how, size, coding, len(text))
				}
				if size == 3000 && want != "" && how == "length" && r.ContentLength != int64(len(got)) {
					t.Errorf("%s, %d bytes, %s: Content-Length %d of %d", how, size, coding, r.ContentLength, len(got))
				}
			}
			settled(t, p)
			noneHeld(t, p)
		}
	}
}

// TestCompressedCut: a response that the app cuts anywhere is not complete for the client in any coding.
func TestCompressedCut(t *testing.T) {
	body := prose(1, 90_000)
	for _, framing := range []string{"length", "chunks"} {
		whole := "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte(body), 30_000)
		if framing == "length" {
			whole = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
		cut := make(chan int, 1)
		u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
			if _, err := http.ReadRequest(c.Reader); err == nil {
				io.WriteString(c, whole[:<-cut])
			}
		})
		addr, p := start(t, u.Addr, compressing(t))
		for _, coding := range []string{"gzip", "br", "zstd"} {
			for _, n := range []int{90, 100, 200, 5000, 33_000, 64 << 10, len(whole) - 7, len(whole) - 1, len(whole)} {
				cut <- n
				c := wiretest.Dial(t, addr)
				c.Send(lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
				status, _, complete := outcome(c)
				if complete != (n == len(whole)) && status == 200 {
					t.Errorf("%s, %s, cut after %d of %d bytes: complete %v", framing, coding, n, len(whole), complete)
				}
				c.Close()
			}
		}
		settled(t, p)
		noneHeld(t, p)
	}
}

// TestCompressedPace: what an app has flushed reaches the client before the app says more.
func TestCompressedPace(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		nextc := make(chan string, 10)
		u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
			if _, err := http.ReadRequest(c.Reader); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
			for line := range nextc {
				fmt.Fprintf(c, "%x\r\n%s\r\n", len(line), line)
			}
			io.WriteString(c, "0\r\n\r\n")
		})
		addr, _ := start(t, u.Addr, compressing(t))
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
		nextc <- "line 0\n"
		r := bufio.NewReader(decoded(t, coding, wiretest.Body(c)))
		for i := range 5 {
			if got, err := r.ReadString('\n'); got != fmt.Sprintf("line %d\n", i) {
				t.Errorf("%s: %q, %v", coding, got, err)
				break
			}
			nextc <- fmt.Sprintf("line %d\n", i+1)
		}
		close(nextc)
	}
}

// TestCompressedForSlowClient: while a client does not read, the app waits, in the end the client has everything.
func TestCompressedForSlowClient(t *testing.T) {
	body := prose(1, 30<<20)
	for name, change := range map[string]func(*Options){"memory": func(o *Options) { o.ResponseBuffer = 64 << 10 }, "a file": files(t)} {
		for _, coding := range []string{"gzip", "br", "zstd"} {
			var written atomic.Int64
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				if _, err := http.ReadRequest(c.Reader); err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: %d\r\n\r\n", len(body))
				for rest := body; len(rest) > 0; rest = rest[min(len(rest), 8192):] {
					n, err := io.WriteString(c, rest[:min(len(rest), 8192)])
					if written.Add(int64(n)); err != nil {
						return
					}
				}
			})
			addr, p := start(t, u.Addr, compressing(t), change, func(o *Options) { o.FileBytes = 1 << 20 })
			c := wiretest.Dial(t, addr)
			wiretest.Bound(c)
			c.Send(lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
			wiretest.Eventually(t, "the app waits", func() bool {
				before := written.Load()
				time.Sleep(50 * time.Millisecond)
				return before > 0 && written.Load() == before
			})
			if n := p.Stats().Buffered; written.Load() == int64(len(body)) || n > 64<<10+3*64<<10 {
				t.Errorf("%s, %s: the app has sent %d bytes, and %d are in memory", name, coding, written.Load(), n)
			}
			got, err := io.ReadAll(decoded(t, coding, wiretest.Body(c)))
			if string(got) != body {
				t.Errorf("%s, %s: %d bytes, %v", name, coding, len(got), err)
			}
			settled(t, p)
		}
	}
}

// TestCompressedClientLeaves: nothing of a response is left whose client is gone, wherever it was.
func TestCompressedClientLeaves(t *testing.T) {
	body := prose(1, 8<<20)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}))
	addr, p := start(t, u.Addr, compressing(t), func(o *Options) { o.ResponseBuffer = 64 << 10 })
	for i := range 60 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: "+[]string{"gzip", "br", "zstd"}[i%3]))
		if i%2 == 0 {
			io.CopyN(io.Discard, c, int64(i)*1000)
		}
		c.Close()
	}
	settled(t, p)
	noneHeld(t, p)
}

// TestCompressedConditions: an app that compares entity tags byte by byte still answers 304.
func TestCompressedConditions(t *testing.T) {
	body := prose(1, 5000)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		switch {
		case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != `"v1"`:
			return []byte("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")
		case r.Header.Get("If-None-Match") == `"v1"`:
			return []byte("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n")
		case r.Header.Get("Range") != "" && r.Header.Get("If-Range") == "":
			return fmt.Appendf(nil, "HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-999/5000\r\nContent-Length: 1000\r\n\r\n%s", body[:1000])
		}
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"v1\"\r\nContent-Length: %d\r\n\r\n", len(body))
		if r.Method == "HEAD" {
			return []byte(head)
		}
		return []byte(head + body)
	}))
	addr, _ := start(t, u.Addr, compressing(t))
	c := wiretest.Dial(t, addr)
	ask := func(method string, fields ...string) (*http.Response, string) {
		t.Helper()
		c.Send(lines(append([]string{method + " / HTTP/1.1", "Host: x", "Accept-Encoding: gzip"}, fields...)...))
		return c.Response(method)
	}
	r, _ := ask("GET")
	tag := r.Header.Get("ETag")
	if r, _ := ask("GET", "If-None-Match: "+tag); r.StatusCode != 304 || r.Header.Get("ETag") != tag || r.Header.Get("Vary") != "Accept-Encoding" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("%s: %d, %v", tag, r.StatusCode, r.Header)
	}
	if r, _ := ask("GET", `If-None-Match: "v1"`); r.StatusCode != 304 || r.Header.Get("ETag") != `"v1"` {
		t.Errorf("the app's own tag: %d, %v", r.StatusCode, r.Header)
	}
	if r, _ := ask("GET", "If-Match: "+tag); r.StatusCode != 200 {
		t.Errorf("If-Match: %d", r.StatusCode)
	}
	if r, got := ask("GET", "Range: bytes=0-999"); r.StatusCode != 206 || r.Header.Get("Content-Encoding") != "" || got != body[:1000] {
		t.Errorf("a range: %d, %v", r.StatusCode, r.Header)
	}
	if r, got := ask("GET", "Range: bytes=0-999", "If-Range: "+tag); r.StatusCode != 200 || decodedText(t, r, got) != body {
		t.Errorf("a range of what has another tag: %d, %v", r.StatusCode, r.Header)
	}
	if r, _ := ask("HEAD"); r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("ETag") != tag || r.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD: %v", r.Header)
	}
}

// TestNotCompressed: what must stay as it is, byte for byte.
func TestNotCompressed(t *testing.T) {
	body := prose(1, 3000)
	for name, fields := range map[string]string{
		"an image": "Content-Type: image/png\r\n", "no type": "", "encoded": "Content-Type: text/html\r\nContent-Encoding: br\r\n",
		"events": "Content-Type: text/event-stream\r\n", "NDJSON": "Content-Type: application/x-ndjson\r\n",
		"unbuffered": "Content-Type: text/html\r\nX-Accel-Buffering: no\r\n", "no-transform": "Content-Type: text/html\r\nCache-Control: no-transform\r\n",
	} {
		u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
			return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
		}))
		addr, _ := start(t, u.Addr, compressing(t))
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x", "Accept-Encoding: gzip"))
		r, got := c.Response("GET")
		if got != body || r.ContentLength != int64(len(body)) || r.Header.Get("Vary") != "" {
			t.Errorf("%s: %v", name, r.Header)
		}
	}
}

// TestCompressedToOldClient: HTTP/1.0 has the body as it is, with its length.
func TestCompressedToOldClient(t *testing.T) {
	body := prose(1, 3000)
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}))
	addr, _ := start(t, u.Addr, compressing(t))
	c := wiretest.Dial(t, addr)
	for range 2 {
		c.Send(lines("GET / HTTP/1.0", "Accept-Encoding: gzip", "Connection: keep-alive"))
		if r, got := c.Response("GET"); got != body || r.ContentLength != int64(len(body)) || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%v", r.Header)
		}
	}
}

// TestCompressedFiles: files, with the script tag and without it, by keep-alive, condition and range.
func TestCompressedFiles(t *testing.T) {
	dir := t.TempDir()
	page := "<!DOCTYPE html><html><head></head><body>" + prose(1, 500_000) + "</body></html>"
	if err := os.WriteFile(filepath.Join(dir, "x.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := site.New(site.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok("") }))
	addr, p := start(t, u.Addr, compressing(t), func(o *Options) {
		o.Inject = shimRules()
		plain := o.Settings
		plain.Compress = nil
		o.Routes = []Route{{Match: "/pages", Files: folder, Below: true}, {Match: "/files", Files: folder, Below: true}, {Match: "/plain", Files: folder, Below: true, Settings: &plain}}
	})
	c := wiretest.Dial(t, addr)
	for path, want := range map[string]string{"/pages/x.html": strings.Replace(page, "<head>", "<head>"+shimTag, 1), "/files/x.html": page, "/plain/x.html": page} {
		for _, coding := range []string{"gzip", "br", "zstd"} {
			c.Send(lines("GET "+path+" HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
			r, got := c.Response("GET")
			if (r.Header.Get("Content-Encoding") == coding) == strings.HasPrefix(path, "/plain") || decodedText(t, r, got) != want {
				t.Fatalf("%s %s: %v, %d bytes", path, coding, r.Header, len(got))
			}
			tag := r.Header.Get("ETag")
			c.Send(lines("GET "+path+" HTTP/1.1", "Host: x", "Accept-Encoding: "+coding, "If-None-Match: "+tag))
			if r, _ := c.Response("GET"); r.StatusCode != 304 || r.Header.Get("ETag") != tag {
				t.Errorf("%s %s: %d with %s, not %s", path, coding, r.StatusCode, r.Header.Get("ETag"), tag)
			}
			c.Send(lines("HEAD "+path+" HTTP/1.1", "Host: x", "Accept-Encoding: "+coding))
			c.Response("HEAD")
		}
	}
	c.Send(lines("GET /files/x.html HTTP/1.1", "Host: x", "Accept-Encoding: gzip", "Range: bytes=10-19"))
	if r, got := c.Response("GET"); r.StatusCode != 206 || got != page[10:20] {
		t.Errorf("a range: %d %q", r.StatusCode, got)
	}
	settled(t, p)
}

// TestCompressedHits: what is stored is compressed once for each coding, kept with it and counted, and validated by any of its tags.
func TestCompressedHits(t *testing.T) {
	body := prose(1, 100_000)
	const fields = "Content-Type: text/html\r\nETag: \"v1\"\r\nVary: Cookie\r\nCache-Control: max-age=60\r\n"
	a := newCachedApp(t, []rules.Options{{Name: "c", Match: "/c", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour}}}, func(int64, *http.Request, []byte) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
	}, compressing(t))
	a.get("GET", "/c")
	size := a.store.Stats().Bytes
	for range 3 {
		for _, coding := range []string{"gzip", "br", "zstd", ""} {
			r, got := a.get("GET", "/c", "Accept-Encoding: "+coding)
			tag := `W/"v1-hfz"`
			if coding == "" {
				tag = `"v1"`
			}
			if text := decodedText(t, r, got); text != body || r.Header.Get("Content-Encoding") != coding || r.Header.Get("Vary") != "Cookie, Accept-Encoding" ||
				r.Header.Get("ETag") != tag || !strings.HasPrefix(r.Header.Get("Cache-Status"), "holdfast; hit") || r.ContentLength != int64(len(got)) {
				t.Errorf("%s: %v, %d bytes", coding, r.Header, len(text))
			}
			if r, _ := a.get("GET", "/c", "Accept-Encoding: "+coding, "If-None-Match: "+tag); r.StatusCode != 304 || r.Header.Get("ETag") != tag {
				t.Errorf("%s: %d, %v", coding, r.StatusCode, r.Header)
			}
			if r, _ := a.get("HEAD", "/c", "Accept-Encoding: "+coding); r.Header.Get("Content-Encoding") != coding || r.Header.Get("ETag") != tag {
				t.Errorf("HEAD, %s: %v", coding, r.Header)
			}
		}
	}
	if n := a.asked.Load(); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
	if grown := a.store.Stats().Bytes - size; grown < 20_000 || grown > 80_000 {
		t.Errorf("the store has grown by %d bytes", grown)
	}
	a.store.Clear()
	if n := a.store.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}
	settled(t, a.proxy)
}
