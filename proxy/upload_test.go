package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// likePHP is a FastCGI responder that runs the script with whatever part of a body has come when the connection ends,
// as php-fpm does. Each run sends the body to runs.
func likePHP(t *testing.T, runs chan<- string, before func()) *wiretest.Upstream {
	return wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		var stdin bytes.Buffer
		for first := true; ; first = false {
			var h [8]byte
			if _, err := io.ReadFull(c.Reader, h[:]); err != nil {
				if !first {
					runs <- stdin.String()
				}
				return
			}
			n := int(binary.BigEndian.Uint16(h[4:]))
			data := make([]byte, n+int(h[6]))
			got, err := io.ReadFull(c.Reader, data)
			if h[1] == 5 {
				stdin.Write(data[:min(n, got)])
			}
			if first {
				before()
			}
			if err != nil || h[1] == 5 && n == 0 {
				runs <- stdin.String()
				io.WriteString(c, whole(binary.BigEndian.Uint16(h[2:]), "Content-Type: text/plain\r\n\r\nran"))
				return
			}
		}
	})
}

// TestCutUploadDoesNotRunAScript cuts uploads for FastCGI of all sizes and framings: the script runs with the whole or
// not at all.
func TestCutUploadDoesNotRunAScript(t *testing.T) {
	big := strings.Repeat("x", 200_000)
	for name, sent := range map[string]string{
		"small":            lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 11") + "hello",
		"small, HTTP/1.0":  lines("POST /app.php HTTP/1.0", "Host: x", "Content-Length: 11") + "hello",
		"large":            lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 200000") + big[:100_006],
		"large by a byte":  lines("POST /app.php HTTP/1.1", "Host: x", "Content-Length: 200000") + big[:199_999],
		"chunks":           lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "186a0\r\n" + big[:100_000] + "\r\n",
		"chunks, no last":  lines("POST /app.php HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "186a0\r\n" + big[:100_000] + "\r\n0\r\n",
		"upgrade":          lines("POST /app.php HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: x", "Content-Length: 200000") + big[:100_006],
		"upgrade, chunked": lines("POST /app.php HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: x", "Transfer-Encoding: chunked") + "5\r\nhello\r\n",
	} {
		for _, with := range []string{"file", "no file", "no buffer"} {
			for _, reset := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, reset %v", name, with, reset), func(t *testing.T) {
					runs := make(chan string, 9)
					u := likePHP(t, runs, func() {})
					change, _ := folder(t)
					addr, p := start(t, u.Addr, change, files(t), func(o *Options) {
						switch with {
						case "no file":
							o.Folder = ""
						case "no buffer":
							o.RequestBuffer = 0
						}
					})
					c := wiretest.Dial(t, addr)
					c.Send(sent)
					wiretest.Eventually(t, "the request is seen", func() bool { return p.Stats().Requests == 1 })
					if reset {
						wiretest.TCP(c).SetLinger(0)
					}
					c.Close()
					settled(t, p)
					if n := len(u.Conns()); n > 0 {
						t.Fatalf("the responder had %d connections", n)
					}
				})
			}
		}
	}
}

// TestClientLeavesBehindItsUpload: a client that leaves after its last byte, while the upload is on its way to the app,
// leaves no part of it there.
func TestClientLeavesBehindItsUpload(t *testing.T) {
	body := string(noise(3, 16<<20))
	asked, goOn, runs := make(chan struct{}), make(chan struct{}), make(chan string, 9)
	u := likePHP(t, runs, func() {
		close(asked)
		<-goOn
	})
	change, _ := folder(t)
	addr, p := start(t, u.Addr, change, files(t))
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST /app.php HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + body)
	<-asked // a connection that is merely open may have had nothing yet, and then the script need not run
	wiretest.Reset(c)
	close(goOn)
	if got := <-runs; got != body {
		t.Fatalf("the script ran with %d bytes of %d", len(got), len(body))
	}
	settled(t, p)
	if n := p.Stats().ClientGone; n != 1 {
		t.Errorf("%d clients are counted as gone", n)
	}
}

// TestChunkedUploadIsSentWithItsLength: what was collected whole has a length, what was not comes in chunks of ours.
func TestChunkedUploadIsSentWithItsLength(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name, body string
		file       bool
		buffer     int
		want       string // ending of the head, and the body
	}{
		{"small", "005;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n", false, 1000, "Content-Length: 5\r\n\r\nhello"},
		{"empty", "0\r\n\r\n", false, 1000, "Content-Length: 0\r\n\r\n"},
		{"not collected, here at once", "5\r\nhello\r\n0\r\n\r\n", false, 0, "Content-Length: 5\r\n\r\nhello"},
		{"in a file", "186a0\r\n" + big + "\r\n0\r\n\r\n", true, 1000, "Content-Length: 100000\r\n\r\n" + big},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(echo))
			addr, p := start(t, u.Addr, files(t), func(o *Options) {
				o.RequestBuffer = tt.buffer
				if !tt.file {
					o.Folder = ""
				}
			})
			c := wiretest.Dial(t, addr)
			c.Send(lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + tt.body)
			c.Response(http.MethodPost)
			if got := u.Sent(); !strings.HasSuffix(got, tt.want) || strings.Contains(got, "Transfer-Encoding") {
				t.Errorf("the app was sent %.400q", got)
			}
			settled(t, p)
		})
	}
	t.Run("larger than the buffer", func(t *testing.T) {
		u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, got []byte) []byte {
			return ok(fmt.Sprint(r.TransferEncoding, r.Header, string(got) == big))
		}))
		addr, p := start(t, u.Addr, func(o *Options) { o.RequestBuffer = 1000 })
		c := wiretest.Dial(t, addr)
		c.Send(lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "0186a0\r\n" + big + "\r\n")
		wiretest.Eventually(t, "the app is asked", func() bool { return strings.Contains(u.Sent(), "\r\n\r\n") })
		c.Send("0\r\n\r\n")
		if resp, got := c.Response(http.MethodPost); resp.StatusCode != 200 || !strings.Contains(got, "[chunked]") || !strings.HasSuffix(got, " true") && !strings.HasSuffix(got, "]true") {
			t.Errorf("answered %d %.300q", resp.StatusCode, got)
		}
		settled(t, p)
	})
}

// TestCutUploadDoesNotReachAnHTTPApp: what Apache does with a part of an upload it cannot do, as it has none. Only
// StreamUploads sends one.
func TestCutUploadDoesNotReachAnHTTPApp(t *testing.T) {
	const length, chunked = "Content-Length: 200000", "Transfer-Encoding: chunked"
	part := strings.Repeat("x", 100_000)
	for _, tt := range []struct{ name, framing, sent string }{
		{"a byte", length, "x"},
		{"half", length, part},
		{"all but a byte", length, part + part[1:]},
		{"upgrade", length + "\r\nConnection: Upgrade\r\nUpgrade: x", part},
		{"chunks, half a chunk", chunked, "30d40\r\n" + part},
		{"chunks, at a boundary", chunked, "186a0\r\n" + part + "\r\n"},
		{"chunks, half the last", chunked, "186a0\r\n" + part + "\r\n0\r\n"},
	} {
		for _, with := range []string{"file", "small file", "no file", "no buffer", "stream"} {
			for _, reset := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, reset %v", tt.name, with, reset), func(t *testing.T) {
					u := wiretest.NewUpstream(t, wiretest.Answer(echo))
					addr, p := start(t, u.Addr, files(t), func(o *Options) {
						o.StreamUploads = with == "stream"
						switch with {
						case "small file":
							o.FileBytes = 64 << 10
						case "no file":
							o.Folder = ""
						case "no buffer", "stream":
							o.RequestBuffer, o.Folder = 0, ""
						}
					})
					c := wiretest.Dial(t, addr)
					c.Send(lines("POST / HTTP/1.1", "Host: x", tt.framing) + tt.sent)
					wiretest.Eventually(t, "the request is seen", func() bool { return p.Stats().Requests == 1 })
					if with == "stream" {
						wiretest.Eventually(t, "the app has a part", func() bool { return strings.Contains(u.Sent(), "\r\n\r\n") })
					}
					if reset {
						wiretest.TCP(c).SetLinger(0)
					}
					c.Close()
					settled(t, p)
					if n := len(u.Conns()); n > 0 != (with == "stream") {
						t.Fatalf("the app had %d connections", n)
					}
				})
			}
		}
	}
}

// TestUploadTooLargeToCollect: the client is told what keeps its upload from being collected whole.
func TestUploadTooLargeToCollect(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Options)
		status int
	}{
		{"it fits", func(*Options) {}, 200},
		{"no folder", func(o *Options) { o.Folder = "" }, 413},
		{"no folder, no buffer", func(o *Options) { o.Folder, o.RequestBuffer = "", 0 }, 413},
		{"no folder, memory is short", func(o *Options) { o.Folder, o.RequestBuffer, o.BufferTotal = "", 1<<20, 1 }, 503},
		{"larger than a file", func(o *Options) { o.FileBytes = 64 << 10 }, 413},
		{"more than all files", func(o *Options) { o.FilesTotal = 1 }, 503},
		{"streamed", func(o *Options) { o.Folder, o.StreamUploads = "", true }, 200},
	} {
		for _, framing := range []string{"Content-Length: 200000", "Transfer-Encoding: chunked"} {
			t.Run(tt.name+", "+framing, func(t *testing.T) {
				u := wiretest.NewUpstream(t, wiretest.Answer(func(_ *http.Request, body []byte) []byte { return ok(fmt.Sprint(len(body))) }))
				addr, p := start(t, u.Addr, files(t), func(o *Options) { o.StreamUploads = false }, tt.change)
				c := wiretest.Dial(t, addr)
				body := strings.Repeat("x", 200_000)
				if framing[0] == 'T' {
					body = "30d40\r\n" + body + "\r\n0\r\n\r\n"
				}
				c.Send(lines("POST / HTTP/1.1", "Host: x", framing) + body)
				resp, got := c.Response(http.MethodPost)
				if resp.StatusCode != tt.status || tt.status == 200 && got != "200000" {
					t.Errorf("answered %d %q; want %d", resp.StatusCode, got, tt.status)
				}
				if n := len(u.Conns()); (n > 0) != (tt.status == 200) || p.Stats().Refused != int64(1-n) {
					t.Errorf("the app had %d connections; %d refused", n, p.Stats().Refused)
				}
				settled(t, p)
			})
		}
	}
}

// TestEarlyResponseLeavesNoUpload: an app that answers before it has all of an upload sees a reset, not an end, and the
// next request goes to a new connection.
func TestEarlyResponseLeavesNoUpload(t *testing.T) {
	for _, early := range []string{
		"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /files/a.txt\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(early[9:12], func(t *testing.T) {
			answered, ended := make(chan struct{}), make(chan error, 1)
			u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
				if c.Index > 0 {
					wiretest.Answer(echo)(c)
					return
				}
				if _, err := http.ReadRequest(c.Reader); err == nil {
					io.WriteString(c, early)
				}
				<-answered
				_, err := io.Copy(io.Discard, c.Reader)
				ended <- err
			})
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("hello"), 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := site.New(site.Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			addr, p := start(t, u.Addr, files(t), func(o *Options) {
				o.Routes = []Route{{Match: "/files", Below: true, Files: s, Internal: true}}
			})
			c := wiretest.Dial(t, addr)
			body := noise(5, 32<<20)
			c.Send(lines("POST / HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + string(body))
			resp, got := c.Response(http.MethodPost)
			close(answered)
			if want := map[string]int{"413": 413, "200": 200}[early[9:12]]; resp.StatusCode != want || want == 200 && got != "hello" {
				t.Errorf("answered %d %q", resp.StatusCode, got)
			}
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the app's upload ended with %v; want a reset", err)
			}
			settled(t, p)
			if resp, _ := ask(t, addr); resp.StatusCode != 200 || len(u.Conns()) != 2 {
				t.Errorf("the next was answered %d on connection %d; want a new one", resp.StatusCode, len(u.Conns()))
			}
		})
	}
}
