package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// record is one of FastCGI, written by hand: version, type, id, length, padding.
func record(kind byte, id uint16, data string) string {
	var b bytes.Buffer
	b.Write([]byte{1, kind})
	binary.Write(&b, binary.BigEndian, []uint16{id, uint16(len(data))})
	b.Write([]byte{3, 0})
	return b.String() + data + "\x00\x00\x00"
}

// responder reads a request and answers with what answer makes of it: stdout of a script.
func responder(t *testing.T, answer func(id uint16, params map[string]string, stdin string) string) *wiretest.Upstream {
	t.Helper()
	return wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		var id uint16
		var params, stdin bytes.Buffer
		for {
			var h [8]byte
			if _, err := io.ReadFull(c.Reader, h[:]); err != nil {
				return
			}
			id = binary.BigEndian.Uint16(h[2:])
			n := binary.BigEndian.Uint16(h[4:])
			data := make([]byte, int(n)+int(h[6]))
			if _, err := io.ReadFull(c.Reader, data); err != nil {
				return
			}
			switch h[1] {
			case 4:
				params.Write(data[:n])
			case 5:
				stdin.Write(data[:n])
				if n == 0 {
					io.WriteString(c, answer(id, pairs(params.Bytes()), stdin.String()))
					return
				}
			}
		}
	})
}

func pairs(b []byte) map[string]string {
	m := map[string]string{}
	length := func() int {
		if b[0] < 128 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		n := int(binary.BigEndian.Uint32(b) & 0x7fffffff)
		b = b[4:]
		return n
	}
	for len(b) > 0 {
		n, v := length(), 0
		v = length()
		m[string(b[:n])] = string(b[n : n+v])
		b = b[n+v:]
	}
	return m
}

const endComplete = "\x00\x00\x00\x00\x00\x00\x00\x00"

func whole(id uint16, stdout string) string {
	return record(6, id, stdout) + record(6, id, "") + record(3, id, endComplete)
}

// folder makes a site with a script and files.
func folder(t *testing.T) (func(*Options), string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"app.php": "<?php", "a.txt": "hello", "big.bin": strings.Repeat("0123456789abcdef", 1<<15)} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.New(site.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Site, o.RequestBuffer = s, 4<<10 }, root
}

func TestFastCGI(t *testing.T) {
	const head = "Content-Type: text/plain\r\n"
	big := strings.Repeat("x", 200_000)
	pieces := func(id uint16, s string) (all string) {
		for len(s) > 0 {
			n := min(len(s), 60000)
			all += record(6, id, s[:n])
			s = s[n:]
		}
		return all + record(3, id, endComplete)
	}
	for _, tt := range []struct {
		name, sent string
		method     string
		answer     func(id uint16, p map[string]string, stdin string) string
		status     int
		body       string
	}{
		{"chunks", lines("GET /app.php/x?a=b HTTP/1.1", "Host: h:1"), "GET", func(id uint16, p map[string]string, _ string) string {
			return whole(id, head+"\r\n"+p["SCRIPT_NAME"]+p["PATH_INFO"]+p["QUERY_STRING"]+p["REQUEST_METHOD"]+p["HTTP_HOST"]+p["REMOTE_ADDR"]+p["HTTP_X_FORWARDED_FOR"])
		}, 200, "/app.php/xa=bGETh:1127.0.0.1127.0.0.1"},
		{"length", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, head+"Content-Length: 5\r\n\r\nhello")
		}, 200, "hello"},
		{"status and bare LF", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, "Status: 404 Not Found\nX-A: 1\n\nnothing")
		}, 404, "nothing"},
		{"redirect", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, "Location: /there\r\n\r\n")
		}, 302, ""},
		{"HEAD", lines("HEAD /app.php HTTP/1.1", "Host: x"), "HEAD", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, head+"\r\nnot for HEAD")
		}, 200, ""},
		{"no body for 304", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, "Status: 304 Not Modified\r\n\r\nnot for 304")
		}, 304, ""},
		{"large", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return pieces(id, head+"\r\n"+big)
		}, 200, big},
		{"a stray record after the end", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id, head+"\r\nfine") + whole(id, head+"\r\nanother")
		}, 200, "fine"},
		{"stderr", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return record(7, id, "PHP Warning: \x1b[31m") + whole(id, head+"\r\nfine")
		}, 200, "fine"},
		{"upload", lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 3") + "abc", "POST", func(id uint16, p map[string]string, in string) string {
			return whole(id, head+"\r\n"+p["CONTENT_LENGTH"]+in)
		}, 200, "3abc"},
		{"upload beyond the buffer", lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 200000") + big, "POST", nil, 413, "*"},
		{"chunked upload", lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n", "POST", func(id uint16, p map[string]string, in string) string {
			return whole(id, head+"\r\n"+p["CONTENT_LENGTH"]+in)
		}, 200, "5abcde"},
		{"chunked upload beyond the buffer", lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "2000\r\n" + big[:0x2000] + "\r\n", "POST", nil, 413, "*"},
		{"another id", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return whole(id+1, head+"\r\nfor somebody else")
		}, 502, "*"},
		{"overloaded", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string {
			return record(3, id, "\x00\x00\x00\x00\x02\x00\x00\x00")
		}, 502, "*"},
		{"no head", lines("GET /app.php HTTP/1.1", "Host: x"), "GET", func(id uint16, _ map[string]string, _ string) string { return whole(id, "") }, 502, "*"},
		{"a file", lines("GET /a.txt HTTP/1.1", "Host: x"), "GET", nil, 200, "hello"},
		{"a part of it", lines("GET /a.txt HTTP/1.1", "Host: x", "Range: bytes=1-3"), "GET", nil, 206, "ell"},
		{"HEAD of a file", lines("HEAD /a.txt HTTP/1.1", "Host: x"), "HEAD", nil, 200, ""},
		{"POST to a file", lines("POST /a.txt HTTP/1.1", "Host: x", "Content-Length: 3") + "abc", "POST", nil, 405, "*"},
		{"nothing there", lines("GET /none HTTP/1.1", "Host: x"), "GET", nil, 404, "*"},
		{"a large file", lines("GET /big.bin HTTP/1.1", "Host: x"), "GET", nil, 200, strings.Repeat("0123456789abcdef", 1<<15)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := responder(t, tt.answer)
			change, _ := folder(t)
			addr, p := start(t, u.Addr, change)
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			resp, body := c.Response(tt.method)
			if resp.StatusCode != tt.status || tt.body != "*" && body != tt.body {
				t.Fatalf("answered %d %.80q; want %d %.80q", resp.StatusCode, body, tt.status, tt.body)
			}
			if tt.answer == nil && len(u.Conns()) != 0 {
				t.Error("the responder was asked")
			}
			if !resp.Close { // the connection goes on
				c.Send(lines("GET /a.txt HTTP/1.1", "Host: x"))
				if resp, body := c.Response("GET"); resp.StatusCode != 200 || body != "hello" {
					t.Errorf("then answered %d %q", resp.StatusCode, body)
				}
			}
			wiretest.Eventually(t, "nothing is left", func() bool { return p.Stats().InFlight == 0 && p.Stats().Buffered == 0 })
		})
	}
}

// TestFastCGICutAtEveryByte: a response that the responder did not finish is never whole for the client.
func TestFastCGICutAtEveryByte(t *testing.T) {
	for _, fields := range []string{"", "Content-Length: 5\r\n"} {
		answer := func(id uint16) string {
			return record(6, id, "X-A: 1\r\n"+fields+"\r\nhel") + record(6, id, "lo") + record(6, id, "") + record(3, id, endComplete)
		}
		all := len(answer(1))
		var at atomic.Int64
		u := responder(t, func(id uint16, _ map[string]string, _ string) string { return answer(id)[:at.Load()] })
		change, _ := folder(t)
		addr, _ := start(t, u.Addr, change)
		for cut := range all - 3 { // the padding of the last record may be missing
			at.Store(int64(cut))
			c := wiretest.Dial(t, addr)
			c.Send(lines("GET /app.php HTTP/1.1", "Host: x", "Connection: close"))
			got, reset := c.Rest()
			if strings.HasPrefix(got, "HTTP/1.1 502 ") {
				continue
			}
			if !reset {
				t.Fatalf("cut at %d of %d: the client has %q and a plain end", cut, all, got)
			}
			if strings.HasSuffix(got, "0\r\n\r\n") {
				t.Fatalf("cut at %d of %d: the client has a finished body: %q", cut, all, got)
			}
		}
		c := wiretest.Dial(t, addr)
		at.Store(int64(all))
		c.Send(lines("GET /app.php HTTP/1.1", "Host: x", "Connection: close"))
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || body != "hello" {
			t.Errorf("uncut: %d %q", resp.StatusCode, body)
		}
	}
}

// TestFileAndAClientThatLeaves: the file is closed (the leak check sees it), and a slow reader gets all.
func TestFileAndAClientThatLeaves(t *testing.T) {
	change, root := folder(t)
	if err := os.Truncate(filepath.Join(root, "big.bin"), 24<<20); err != nil {
		t.Fatal(err)
	}
	u := responder(t, nil)
	addr, p := start(t, u.Addr, change)
	for i := range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, lines("GET /big.bin HTTP/1.1", "Host: x"))
		if i%2 == 0 {
			io.ReadFull(c, make([]byte, 1000*i))
		}
		c.Close()
	}
	wiretest.Eventually(t, "all are gone", func() bool { return p.Stats().InFlight == 0 })
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /big.bin HTTP/1.1", "Host: x"))
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // the kernel is full
	if err := os.Truncate(filepath.Join(root, "big.bin"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a file that became shorter was sent as if it were whole")
	}
}
