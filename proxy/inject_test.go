package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/inject"
	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

const shimTag = `<script src="/_push/shim.js"></script>`

func shimRules() *inject.Rules {
	rs := &inject.Rules{}
	rs.Add("/pages", inject.NewRule("/_push/shim.js"))
	return rs
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// TestInjection has pages of an app pass, of which those of the rule get the tag, and no other byte changes.
func TestInjection(t *testing.T) {
	page := "<!DOCTYPE html><html><head><title>x</title></head><body>" + strings.Repeat("y", 100_000) + "</body></html>"
	with := strings.Replace(page, "<head>", "<head>"+shimTag, 1)
	length := func(body, fields string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
	}
	for _, tt := range []struct {
		name, target, fields, answer string
		want                         string
	}{
		{"length", "/pages/x", "", length(page, ""), with},
		{"chunks, the tag cut", "/pages/x", "", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + page[:20] + fmt.Sprintf("\r\n%x\r\n", len(page)-20) + page[20:] + "\r\n0\r\n\r\n", with},
		{"until the end", "/pages/x", "", "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page, with},
		{"gzip", "/pages/x", "", length(zipped(page), "Content-Encoding: gzip\r\n"), with},
		{"a policy forbids it", "/pages/x", "", length(page, "Content-Security-Policy: script-src 'none'\r\n"), page},
		{"no page", "/pages/x", "", strings.Replace(length(page, ""), "text/html", "text/plain", 1), page},
		{"a script asks", "/pages/x", "X-Requested-With: XMLHttpRequest\r\n", length(page, ""), page},
		{"no rule", "/other", "", length(page, ""), page},
	} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			t.Run(tt.name+" "+version, func(t *testing.T) {
				up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
					b := make([]byte, 4096)
					c.Read(b)
					io.WriteString(c, tt.answer)
					c.Close()
				})
				addr, _ := start(t, up.Addr, func(o *Options) { o.Inject, o.ResponseBuffer = shimRules(), 1<<20 })
				c := wiretest.Dial(t, addr)
				c.Send("GET " + tt.target + " " + version + "\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n" + tt.fields + "\r\n")
				r, body := c.Response("GET")
				if r.Header.Get("Content-Encoding") == "gzip" {
					z, err := gzip.NewReader(strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					all, err := io.ReadAll(z)
					if err != nil {
						t.Fatal(err)
					}
					body = string(all)
				}
				if version == "HTTP/1.1" && tt.name == "length" && r.ContentLength != int64(len(tt.want)) {
					t.Errorf("the length is %d; want %d", r.ContentLength, len(tt.want))
				}
				if r.StatusCode != 200 || body != tt.want {
					t.Errorf("got %d, %d bytes %.80q; want %d bytes %.80q", r.StatusCode, len(body), body, len(tt.want), tt.want)
				}
			})
		}
	}
}

// TestInjectionInFiles: pages that are files get the tag too, and are validated with it.
func TestInjectionInFiles(t *testing.T) {
	dir := t.TempDir()
	page := "<!DOCTYPE html><html><head></head><body>" + strings.Repeat("y", 300_000) + "</body></html>"
	if err := os.WriteFile(filepath.Join(dir, "x.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := site.New(site.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	up := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok("") }))
	addr, _ := start(t, up.Addr, func(o *Options) {
		o.Inject = shimRules()
		o.Routes = []Route{{Match: "/pages", Below: true, Files: files}}
	})
	c := wiretest.Dial(t, addr)
	for range 2 { // the connection continues
		c.Send(lines("GET /pages/x.html HTTP/1.1", "Host: app.test"))
		r, body := c.Response("GET")
		if want := strings.Replace(page, "<head>", "<head>"+shimTag, 1); body != want {
			t.Fatalf("%d bytes %.80q; want %d", len(body), body, len(want))
		}
		etag := r.Header.Get("ETag")
		c.Send(lines("GET /pages/x.html HTTP/1.1", "Host: app.test", "If-None-Match: "+etag))
		if r, _ := c.Response("GET"); r.StatusCode != 304 || r.Header.Get("ETag") != etag || !strings.HasPrefix(etag, "W/") {
			t.Errorf("%s: %d with %s", etag, r.StatusCode, r.Header.Get("ETag"))
		}
		c.Send(lines("HEAD /pages/x.html HTTP/1.1", "Host: app.test"))
		c.Response("HEAD")
	}
}

// TestInjectionGrows: a page that grows a thousandfold comes whole, and holds up nobody: the loop's other connections have their
// turns.
func TestInjectionGrows(t *testing.T) {
	page := "<!DOCTYPE html><html><head></head><body>" + strings.Repeat(" ", 40<<20) + "</body></html>"
	z := zipped(page)
	up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		if r.URL.Path != "/pages/x" {
			return ok("other")
		}
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(z), z)
	}))
	addr, proxy := start(t, up.Addr, func(o *Options) { o.Inject, o.ResponseBuffer = shimRules(), 64<<10 })
	c := wiretest.Dial(t, addr)
	for range 2 { // the connection continues
		c.Send(lines("GET /pages/x HTTP/1.1", "Host: app.test", "Accept-Encoding: gzip"))
		for range 20 {
			other := wiretest.Dial(t, addr)
			other.Send(lines("GET /other HTTP/1.1", "Host: app.test"))
			if _, body := other.Response("GET"); body != "other" {
				t.Fatalf("%q", body)
			}
			other.Close()
		}
		_, body := c.Response("GET")
		r, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if want := strings.Replace(page, "<head>", "<head>"+shimTag, 1); err != nil || string(got) != want {
			t.Fatalf("%d bytes; want %d, %v", len(got), len(want), err)
		}
	}
	settled(t, proxy)
}

// TestInjectionAndValidators has an app with a page and a picture, and asks as clients do that have all or a part of one. What
// they put together is the page with the tag, or the picture, and nothing is said of the page that is the app's own form's.
func TestInjectionAndValidators(t *testing.T) {
	page := "<!DOCTYPE html><html><head></head><body>" + strings.Repeat("y", 5000) + "</body></html>"
	with := strings.Replace(page, "<head>", "<head>"+shimTag, 1)
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := page
		if w.Header().Set("Content-Type", "text/html"); strings.HasSuffix(r.URL.Path, ".png") {
			w.Header().Set("Content-Type", "image/png")
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", changed, strings.NewReader(body))
	}))
	t.Cleanup(app.Close)
	addr, _ := start(t, strings.TrimPrefix(app.URL, "http://"), func(o *Options) { o.Inject = shimRules() })
	c := wiretest.Dial(t, addr)
	ask := func(method, target string, fields ...string) (*http.Response, string) {
		t.Helper()
		c.Send(lines(append([]string{method + " " + target + " HTTP/1.1", "Host: app.test"}, fields...)...))
		return c.Response(method)
	}
	r, body := ask("GET", "/pages/x")
	tag, date := r.Header.Get("ETag"), r.Header.Get("Last-Modified")
	if body != with || !strings.HasPrefix(tag, `W/"v1-hfs`) || date == "" {
		t.Fatalf("%v %.80q", r.Header, body)
	}
	for _, tt := range []struct {
		name, method, target string
		fields               []string
		status               int
		etag, length, body   string
	}{
		{"the head of a page", "HEAD", "/pages/x", nil, 200, tag, "", ""},
		{"that the client has", "HEAD", "/pages/x", []string{"If-None-Match: " + tag}, 304, tag, "", ""},
		{"the head of a picture", "HEAD", "/pages/x.png", nil, 200, `"v1"`, fmt.Sprint(len(page)), ""},
		{"the head for a script", "HEAD", "/pages/x", []string{"Sec-Fetch-Dest: empty"}, 200, `"v1"`, fmt.Sprint(len(page)), ""},
		{"a page that the client has", "GET", "/pages/x", []string{"If-None-Match: " + tag}, 304, tag, "", ""},
		{"by its date", "GET", "/pages/x", []string{"If-Modified-Since: " + date}, 304, tag, "", ""},
		{"a page from before there was a rule", "GET", "/pages/x", []string{`If-None-Match: "v1"`}, 304, `"v1"`, "", ""},
		{"a picture that the client has", "GET", "/pages/x.png", []string{`If-None-Match: "v0", "v1"`}, 304, `"v1"`, "", ""},
		{"the rest of a page, by its tag", "GET", "/pages/x", []string{"Range: bytes=1000-", "If-Range: " + tag}, 200, tag, fmt.Sprint(len(with)), with},
		{"the rest of a page, by its date", "GET", "/pages/x", []string{"Range: bytes=1000-", "If-Range: " + date}, 200, tag, fmt.Sprint(len(with)), with},
		{"the rest of a picture", "GET", "/pages/x.png", []string{"Range: bytes=1000-", `If-Range: "v1"`}, 206, `"v1"`, fmt.Sprint(len(page) - 1000), page[1000:]},
		{"a part of a picture", "GET", "/pages/x.png", []string{"Range: bytes=1000-1999"}, 206, `"v1"`, "1000", page[1000:2000]},
		{"a page again", "GET", "/pages/x", nil, 200, tag, fmt.Sprint(len(with)), with},
	} {
		r, body := ask(tt.method, tt.target, tt.fields...)
		length := r.Header.Get("Content-Length")
		if r.StatusCode != tt.status || r.Header.Get("ETag") != tt.etag || tt.status != 304 && length != tt.length || body != tt.body {
			t.Errorf("%s: %d, ETag %s, length %s, %d bytes; want %d, %s, %s, %d", tt.name, r.StatusCode, r.Header.Get("ETag"), length, len(body),
				tt.status, tt.etag, tt.length, len(tt.body))
		}
	}
}
