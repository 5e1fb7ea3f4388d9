package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// files makes what is larger than 16 kB go to a folder, in which nothing may be left.
func files(t *testing.T) func(*Options) {
	dir := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in the folder: %v, %v", left, err)
		}
	})
	return func(o *Options) {
		o.RequestBuffer, o.ResponseBuffer = 16<<10, 16<<10
		o.Folder, o.FileBytes, o.FilesTotal = dir, 1<<30, 1<<40
	}
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func chunked(b []byte, size int) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(size, len(b))
		fmt.Fprintf(&s, "%x\r\n%s\r\n", n, b[:n])
		b = b[n:]
	}
	return s.String() + "0\r\n\r\n"
}

func settled(t *testing.T, p *Proxy) {
	t.Helper()
	wiretest.Eventually(t, "nothing is left", func() bool {
		s := p.Stats()
		return s.InFlight == 0 && s.Buffered == 0 && s.Spilled == 0
	})
}

// TestLargeUploadWaitsInAFile: the app hears of it when it is complete, and gets it as it was.
func TestLargeUploadWaitsInAFile(t *testing.T) {
	body := noise(1, 3<<20)
	for name, sent := range map[string]string{
		"length": lines("PUT /up HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + string(body),
		"chunks": lines("POST /up HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + chunked(body, 70_000),
	} {
		t.Run(name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, got []byte) []byte { return ok(r.Method + sum(got)) }))
			addr, p := start(t, u.Addr, files(t))
			c := wiretest.Dial(t, addr)
			half := len(sent) / 2
			c.Send(sent[:half])
			wiretest.Eventually(t, "half of it is in a file", func() bool { return p.Stats().Spilled > int64(half)-(40<<10) })
			if n := len(u.Conns()); n > 0 {
				t.Fatal("the app was asked before the body was complete")
			}
			if b := p.Stats().Buffered; b > 128<<10 {
				t.Errorf("%d bytes in memory", b)
			}
			c.Send(sent[half:] + lines("GET /next HTTP/1.1", "Host: x"))
			if resp, got := c.Response(http.MethodPut); resp.StatusCode != 200 || got[len(got)-64:] != sum(body) {
				t.Fatalf("answered %d %q", resp.StatusCode, got)
			}
			if _, got := c.Response(http.MethodGet); got != "GET"+sum(nil) {
				t.Errorf("then answered %q", got)
			}
			settled(t, p)
		})
	}
}

// TestLargeUploadForAScript: with the whole body in a file its length is known, also of one in chunks.
func TestLargeUploadForAScript(t *testing.T) {
	body := noise(2, 1<<20)
	u := responder(t, func(id uint16, p map[string]string, in string) string {
		return whole(id, "Content-Type: text/plain\r\n\r\n"+p["CONTENT_LENGTH"]+" "+sum([]byte(in)))
	})
	change, _ := folder(t)
	addr, p := start(t, u.Addr, change, files(t))
	for _, sent := range []string{
		lines("POST /app.php HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + string(body),
		lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + chunked(body, 9_999),
	} {
		c := wiretest.Dial(t, addr)
		c.Send(sent)
		if resp, got := c.Response(http.MethodPost); resp.StatusCode != 200 || got != fmt.Sprint(len(body), " ", sum(body)) {
			t.Fatalf("answered %d %.100q", resp.StatusCode, got)
		}
	}
	settled(t, p)
}

// TestLargeResponseWaitsInAFile: the app is done with a client that does not read.
func TestLargeResponseWaitsInAFile(t *testing.T) {
	body := noise(3, 16<<20)
	for name, answer := range map[string]string{
		"length": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 100_000),
		"close":  "HTTP/1.0 200 OK\r\n\r\n" + string(body),
	} {
		t.Run(name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				wiretest.Answer(func(*http.Request, []byte) []byte { return []byte(answer) })(c)
				if name == "close" {
					c.Close()
				}
			})
			if name == "close" {
				u = wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
					c.Read(make([]byte, 4096))
					io.WriteString(c, answer)
					c.Close()
				})
			}
			addr, p := start(t, u.Addr, files(t))
			c := wiretest.Dial(t, addr)
			for range 2 {
				c.Send(lines("GET /down HTTP/1.1", "Host: x"))
				wiretest.Eventually(t, "the app is let go, and a file has its response", func() bool {
					s := p.Stats()
					return s.Upstreams[0].Active == 0 && s.InFlight == 1 && s.Spilled >= 8<<20
				})
				if n := p.Stats().Buffered; n > 1<<20 {
					t.Errorf("%d bytes in memory", n)
				}
				if resp, got := c.Response(http.MethodGet); resp.StatusCode != 200 || sum([]byte(got)) != sum(body) {
					t.Fatalf("answered %d, %d bytes; want %d", resp.StatusCode, len(got), len(body))
				}
				if name == "close" {
					break
				}
			}
			settled(t, p)
		})
	}
}

// TestCutResponseInAFile: what the app did not finish is not finished for the client, however much of it waits.
func TestCutResponseInAFile(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		c.Read(make([]byte, 4096))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 30<<20)
		c.Write(make([]byte, 20<<20))
		c.Close()
	})
	addr, p := start(t, u.Addr, files(t))
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x"))
	wiretest.Eventually(t, "it is cut", func() bool { return p.Stats().Cut == 1 })
	if got, reset := c.Rest(); !reset || len(got) >= 20<<20+100 {
		t.Errorf("%d bytes, reset %v", len(got), reset)
	}
	settled(t, p)
}

// TestFilesAtRandom: bodies of every size both ways, clients that read slowly or leave, files that are too small, too
// many or not there at all: what arrives is what was sent, and nothing is left.
func TestFilesAtRandom(t *testing.T) {
	for name, limit := range map[string]func(*Options){
		"room":         func(*Options) {},
		"small files":  func(o *Options) { o.FileBytes = 100 << 10 },
		"few files":    func(o *Options) { o.FilesTotal = 300 << 10 },
		"no folder":    func(o *Options) { o.Folder += "/none" },
		"small memory": func(o *Options) { o.BufferTotal = 8 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, got []byte) []byte {
				n, _ := strconv.Atoi(r.URL.Query().Get("n"))
				body := append([]byte(sum(got)), noise(uint64(n), n)...)
				if n%2 == 0 {
					return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunked(body, 33_333))
				}
				return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			}))
			addr, p := start(t, u.Addr, files(t), limit)
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 12 {
						filesClient(t, addr, r)
					}
				})
			}
			group.Wait()
			settled(t, p)
			if s := p.Stats(); (s.SpillErrors > 0) != (name == "no folder") || s.Spills == 0 {
				t.Errorf("%d files, %d errors", s.Spills, s.SpillErrors)
			}
		})
	}
}

// filesClient sends one request of a random size for a random size, perhaps slowly, and may leave before the end.
func filesClient(t *testing.T, addr string, r *rand.Rand) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(128 << 10)
	c.SetDeadline(time.Now().Add(3 * wiretest.Timeout))
	size := func() int { return int(float64(uint(1)<<r.UintN(21)) * (1 + r.Float64())) }
	up, down := noise(r.Uint64(), size()), size()
	head := fmt.Sprintf("POST /?n=%d HTTP/1.1\r\nHost: x\r\n", down)
	sent := head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(up)) + string(up)
	if r.IntN(2) == 0 {
		sent = head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(up, 1+r.IntN(50_000))
	}
	leaves := r.IntN(4) == 0
	if leaves && r.IntN(2) == 0 {
		io.WriteString(c, sent[:r.IntN(len(sent))])
		return
	}
	if _, err := io.WriteString(c, sent); err != nil {
		t.Errorf("sending %d bytes: %v", len(sent), err)
		return
	}
	if r.IntN(3) == 0 {
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
	}
	if leaves {
		io.CopyN(io.Discard, c, int64(r.IntN(down+1)))
		return
	}
	got, err := io.ReadAll(wiretest.Body(c))
	if err != nil {
		t.Errorf("reading %d bytes: %v after %d", down, err, len(got))
		return
	}
	if want := append([]byte(sum(up)), noise(uint64(down), down)...); !bytes.Equal(got, want) {
		t.Errorf("of %d bytes up and %d down came %d that differ", len(up), down, len(got))
	}
}
