package proxy

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// accelWorld is an app that sends requests elsewhere as X-Say tells it to, a folder of files that only it hands
// out, a folder that anybody may read, and another app.
func accelWorld(t *testing.T) (addr string, app, other *wiretest.Upstream) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": "0123456789", "program.php": "<?php secret", ".hidden": "no", "big.bin": strings.Repeat("x", 300<<10), "ö ü.pdf": "pdf", "\xc7\xd1\xb1\xdb.hwp": "hwp", "caf\xe9.pdf": "latin", "\x83\x5c\x95\x5c.txt": "sjis", "\xc0\xaf.jpg": "jpg", "100%.txt": "percent", "sub/index.html": "index",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	open := func(o site.Options) *site.Site {
		o.Root = root
		s, err := site.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	app = wiretest.NewUpstream(t, wiretest.Answer(tell))
	other = wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		text := fmt.Sprintf("%s %s %s %q", r.Method, r.RequestURI, r.Header.Get("Cookie"), body)
		if r.URL.Path == "/round" {
			return []byte("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /within/round\r\nContent-Length: 0\r\n\r\n")
		}
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: other/other\r\nX-Other: 1\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}))
	addr, _ = start(t, app.Addr, func(o *Options) {
		o.Routes = []Route{
			{Match: "/files", Internal: true, Below: true, Files: open(site.Options{Plain: true})},
			{Match: "/within", Internal: true, Prefix: "/", Upstreams: []Upstream{{Network: "tcp", Address: other.Addr, Host: other.Addr}}},
			{Match: "/assets", Below: true, Files: open(site.Options{NoScripts: []string{"/"}})},
		}
	})
	return addr, app, other
}

func TestAccelRedirect(t *testing.T) {
	addr, _, other := accelWorld(t)
	for _, tt := range []struct {
		name   string
		sent   []string
		status int
		body   string
		fields string // Name: value|…
	}{
		{"a file", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/a.txt|Content-Type: x/y|Content-Disposition: attachment; filename=b|Set-Cookie: a=b|X-Secret: 1|Cache-Control: private|ETag: wrong"},
			200, "0123456789", "Content-Type: x/y|Content-Disposition: attachment; filename=b|Set-Cookie: a=b|Cache-Control: private|X-Secret: |X-Accel-Redirect: "},
		{"its own type", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/a.txt"}, 200, "0123456789", "Content-Type: text/plain"},
		{"a part", []string{"GET /get HTTP/1.1", "Host: h", "Range: bytes=2-4", "X-Say: X-Accel-Redirect: /files/a.txt"}, 206, "234", "Content-Range: bytes 2-4/10"},
		{"a part for POST", []string{"POST /get HTTP/1.1", "Host: h", "Content-Length: 0", "X-Say: X-Accel-Redirect: /files/a.txt"}, 200, "0123456789", ""},
		{"HEAD", []string{"HEAD /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/a.txt"}, 200, "", "Content-Length: 10"},
		{"a large one", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/big.bin"}, 200, strings.Repeat("x", 300<<10), ""},
		{"a program", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/program.php"}, 200, "<?php secret", ""},
		{"a name as it is", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/ö ü.pdf"}, 200, "pdf", ""},
		{"a name that is encoded", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/%C3%B6%20%C3%BC.pdf"}, 200, "pdf", ""},
		{"a name in EUC-KR", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/%C7%D1%B1%DB.hwp"}, 200, "hwp", ""},
		{"a name in EUC-KR as it is", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/\xc7\xd1\xb1\xdb.hwp"}, 200, "hwp", ""},
		{"a name in EUC-KR that is an overlong slash", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/\xc0\xaf.jpg"}, 200, "jpg", ""},
		{"a name in Latin-1", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/caf%e9.pdf"}, 200, "latin", ""},
		{"a name in Shift_JIS", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/\x83\\\x95\\.txt"}, 200, "sjis", ""},
		{"a percent sign that escapes nothing", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/100%.txt"}, 200, "percent", ""},
		{"the route itself by dots", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/.."}, 502, "502", ""},
		{"the main app by dots", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /within/%2e%2e/x"}, 502, "502", ""},
		{"the main app by overlong dots", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /within/\xc0\xae\xc0\xae/x"}, 502, "502", ""},
		{"files in Latin-1 for anybody", []string{"GET /assets/caf%E9.pdf HTTP/1.1", "Host: h"}, 200, "latin", ""},
		{"none", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/none"}, 404, "404", ""},
		{"a hidden one", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/.hidden"}, 404, "404", ""},
		{"out of the folder", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/../../etc/passwd"}, 502, "502", ""},
		{"out of the folder, encoded", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /files/..%2f..%2fetc/passwd"}, 502, "502", ""},
		{"not a path", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: http://elsewhere/"}, 502, "502", ""},
		{"another app", []string{"GET /get HTTP/1.1", "Host: h", "Cookie: c=d", "X-Say: X-Accel-Redirect: /within/x?y=z|Content-Type: x/y"}, 200, `GET /x?y=z c=d ""`, "Content-Type: x/y|X-Other: 1"},
		{"another app for POST", []string{"POST /get HTTP/1.1", "Host: h", "Content-Length: 3", "Content-Type: a/b", "X-Say: X-Accel-Redirect: /within/x", "", "abc"}, 200, `GET /x  ""`, ""},
		{"in circles", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /within/round"}, 502, "502", ""},
		{"the main app", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /assets/a.txt"}, 200, "0123456789", ""},
		{"not from a client", []string{"GET /files/a.txt HTTP/1.1", "Host: h"}, 404, "404", ""},
		{"not from a client, encoded", []string{"GET /%66iles/a.txt HTTP/1.1", "Host: h"}, 400, "400", ""},
		{"not from a client, by another way", []string{"GET /assets/..;/files/a.txt HTTP/1.1", "Host: h"}, 400, "400", ""},
		{"files for anybody", []string{"GET /assets/sub/ HTTP/1.1", "Host: h"}, 200, "index", ""},
		{"a folder's path without its slash", []string{"GET /assets/sub?x=y HTTP/1.1", "Host: h"}, 301, "301", "Location: /assets/sub/?x=y"},
		{"the route's own path", []string{"GET /assets HTTP/1.1", "Host: h"}, 301, "301", "Location: /assets/"},
		{"another app's own path", []string{"GET /get HTTP/1.1", "Host: h", "X-Say: X-Accel-Redirect: /within"}, 200, `GET /  ""`, ""},
		{"but no programs", []string{"GET /assets/program.php HTTP/1.1", "Host: h"}, 404, "404", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := wiretest.Dial(t, addr)
			for range 2 { // the connection goes on
				sent := lines(tt.sent...)
				if n := len(tt.sent); tt.sent[n-1] == "abc" {
					sent = strings.TrimSuffix(sent, "\r\n\r\n")
				}
				c.Send(sent)
				method, _, _ := strings.Cut(tt.sent[0], " ")
				resp, body := c.Response(method)
				if tt.status >= 300 && strings.Contains(body, tt.body) {
					body = tt.body
				}
				if resp.StatusCode != tt.status || body != tt.body {
					t.Fatalf("%d %.80q; want %d %.80q", resp.StatusCode, body, tt.status, tt.body)
				}
				for f := range strings.SplitSeq(tt.fields, "|") {
					name, want, _ := strings.Cut(f, ": ")
					if got := strings.Join(resp.Header.Values(name), "|"); got != want {
						t.Errorf("%s: %q; want %q", name, got, want)
					}
				}
				if resp.Close {
					return
				}
			}
		})
	}
	if strings.Contains(other.Sent(), "X-Accel") && !strings.Contains(other.Sent(), "X-Say") {
		t.Errorf("the other app was sent %q", other.Sent())
	}
}

// TestAccelLeavesTheApp: what the app was still sending is nobody's answer, and an upload that the app has not waited
// for does not become the next request.
func TestAccelLeavesTheApp(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := site.New(site.Options{Root: root, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		b := make([]byte, 64<<10)
		if n, _ := c.Read(b); n > 0 {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /files/a\r\nContent-Length: 1000\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
		}
		c.Read(b)
	})
	addr, _ := start(t, u.Addr, func(o *Options) { o.Routes = []Route{{Match: "/files", Internal: true, Below: true, Files: s}} })
	c := wiretest.Dial(t, addr)
	for range 3 {
		c.Send(lines("GET /x HTTP/1.1", "Host: h"))
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "file" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	c.Send(lines("POST /x HTTP/1.1", "Host: h", "Content-Length: 100000") + "GET /y HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp, body := c.Response(http.MethodPost); resp.StatusCode != 200 || body != "file" || !resp.Close {
		t.Errorf("%d %q, close %v; want the file and the connection closed", resp.StatusCode, body, resp.Close)
	}
	wiretest.EndSide(c)
	if rest, _ := c.Rest(); rest != "" {
		t.Errorf("then %q", rest)
	}
}

// TestRoutesOfScripts: a php-fpm and an HTTP app side by side, and a script that hands out a file.
func TestRoutesOfScripts(t *testing.T) {
	fpm := responder(t, func(id uint16, p map[string]string, _ string) string {
		return whole(id, "Content-Type: text/plain\r\n"+p["HTTP_X_ADD"]+"\r\n\r\n"+p["SCRIPT_FILENAME"]+p["REQUEST_URI"])
	})
	main := named(t, "main")
	change, root := folder(t)
	var scripts Options
	change(&scripts)
	addr, p := start(t, main.Addr, func(o *Options) {
		o.Routes = []Route{
			{Match: "/app.php", Site: scripts.Site, Upstreams: []Upstream{{Network: "tcp", Address: fpm.Addr, Host: "localhost"}}},
			{Match: "/hidden", Below: true, Files: scripts.Site, Internal: true},
		}
	})
	c := wiretest.Dial(t, addr)
	for _, tt := range []struct{ path, add, body string }{
		{"/", "", "main"}, {"/app.php/x?y", "", root + "/app.php/app.php/x?y"}, {"/a.txt", "", "main"},
		{"/app.php", "X-Accel-Redirect: /hidden/a.txt", "hello"}, {"/", "", "main"},
	} {
		c.Send(lines("GET "+tt.path+" HTTP/1.1", "Host: h", "X-Add: "+cmp.Or(tt.add, "X-None: 1")))
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != tt.body {
			t.Errorf("%s %s: %d %q; want %q", tt.path, tt.add, resp.StatusCode, body, tt.body)
		}
	}
	wiretest.Eventually(t, "nothing is left", func() bool { return p.Stats().InFlight == 0 && p.Stats().Buffered == 0 })
}

// A client whose body nobody reads on, as the app has sent its request elsewhere, may send it all the same: a reset could
// take the response from it.
func TestAccelRedirectBeforeTheBody(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	folder, err := site.New(site.Options{Root: root, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	app := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		if _, err := http.ReadRequest(c.Reader); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /files/a.txt\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
		}
	})
	addr, _ := start(t, app.Addr, func(o *Options) { o.Routes = []Route{{Match: "/files", Internal: true, Below: true, Files: folder}} })
	c := wiretest.Dial(t, addr)
	c.Send("POST /get HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234")
	resp, body := c.Response("POST")
	if resp.StatusCode != 200 || body != "0123456789" || !resp.Close {
		t.Fatalf("status %d, %q, close %v", resp.StatusCode, body, resp.Close)
	}
	if rest, reset := c.Rest(); rest != "" || reset {
		t.Fatalf("then %q, reset %v", rest, reset)
	}
	for range 2 { // a first one would be answered with a reset, and the second fail
		c.Send("5")
	}
}
