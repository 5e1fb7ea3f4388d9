package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
