package proxy

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// TestScriptPaths sends a request and compares what the script is given: SCRIPT_NAME, PATH_INFO and REQUEST_URI.
func TestScriptPaths(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "app.php", "a.txt", "upload/evil.php", ".htaccess", "\xc7\xd1.txt"} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("file"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.New(site.Options{Root: root, TryFiles: []string{"/index.php"}, NoScripts: []string{"/upload"}})
	if err != nil {
		t.Fatal(err)
	}
	fpm := responder(t, func(id uint16, p map[string]string, _ string) string {
		return whole(id, "Content-Type: text/plain\r\n\r\n"+p["SCRIPT_NAME"]+"|"+p["PATH_INFO"]+"|"+p["REQUEST_URI"])
	})
	addr, _ := start(t, fpm.Addr, func(o *Options) {
		o.Site = s
		o.Routes = []Route{{Match: "/other", Upstreams: []Upstream{{Network: "tcp", Address: fpm.Addr}}}} // paths are compared
	})
	for _, tt := range []struct {
		target string
		status int
		body   string
	}{
		{"/wiki/Washington_D.C.", 200, "/index.php||/wiki/Washington_D.C."},
		{"/wiki/.NET_Framework", 200, "/index.php||/wiki/.NET_Framework"},
		{"/search/what.?q=.", 200, "/index.php||/search/what.?q=."},
		{"/search/a%20", 200, "/index.php||/search/a%20"},
		{"/wiki/AC%2FDC", 200, "/index.php||/wiki/AC%2FDC"},
		{"/wp-json/wp/v2/plugins/akismet%2Fakismet", 200, "/index.php||/wp-json/wp/v2/plugins/akismet%2Fakismet"},
		{"/wiki/Caf%E9", 200, "/index.php||/wiki/Caf%E9"},
		{"/%C0%CC%BF%EB", 200, "/index.php||/%C0%CC%BF%EB"},
		{"/%C0%20propos", 200, "/index.php||/%C0%20propos"},
		{"/app.php/App%5CModel", 200, `/app.php|/App\Model|/app.php/App%5CModel`},
		{"/app.php/%C7%D1%B1%DB", 200, "/app.php|/\xc7\xd1\xb1\xdb|/app.php/%C7%D1%B1%DB"},
		{"/app.php/AC%2FDC?x=%2F", 200, "/app.php|/AC/DC|/app.php/AC%2FDC?x=%2F"},
		{"/app.php/a%20b/.c.", 200, "/app.php|/a b/.c.|/app.php/a%20b/.c."},
		{"/%C7%D1.txt", 200, "file"},
		{"/a.txt", 200, "file"},
		{"/.htaccess", 404, ""},
		{"/upload/evil.php", 404, ""},
		{"/upload%2Fevil.php", 200, "/index.php||/upload%2Fevil.php"},
		{"/app.php/x%2F..%2F..%2Fupload/evil.php", 400, ""},
		{"/app.php/x%0a", 400, ""},
		{"/wiki/pasted%0D%0A?x=%0A", 400, ""}, // there are routes
		{"/%C0%AE%C0%AE/x", 400, ""},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+tt.target+" HTTP/1.1", "Host: h"))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != tt.status || tt.status == 200 && body != tt.body {
			t.Errorf("%s: %d %q; want %d %q", tt.target, resp.StatusCode, body, tt.status, tt.body)
		}
	}
}

// TestPastedLineEnd: a link with its line end is the front controller's, and never a file's or another script's.
func TestPastedLineEnd(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "app.php", "upload/evil.php", "a.txt", "b\n.txt"} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("file"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.New(site.Options{Root: root, TryFiles: []string{"/index.php"}, NoScripts: []string{"/upload"}})
	if err != nil {
		t.Fatal(err)
	}
	fpm := responder(t, func(id uint16, p map[string]string, _ string) string {
		return whole(id, "Content-Type: text/plain\r\n\r\n"+p["SCRIPT_NAME"]+"|"+p["PATH_INFO"]+"|"+p["REQUEST_URI"])
	})
	addr, _ := start(t, fpm.Addr, func(o *Options) { o.Site = s })
	for target, want := range map[string]string{
		"/page%0D%0A?x=%0A": "200 /index.php||/page%0D%0A?x=%0A", "/a%09b": "200 /index.php||/a%09b", "/app.php%0a": "200 /index.php||/app.php%0a",
		"/upload/evil.php%0a": "200 /index.php||/upload/evil.php%0a", "/upload/a.txt%0a.php": "200 /index.php||/upload/a.txt%0a.php",
		"/a.txt%0a": "200 /index.php||/a.txt%0a", "/b%0a.txt": "200 /index.php||/b%0a.txt",
		"/page%00": "400", "/app.php/x%0a": "400", "/..%0a/../..": "400",
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+target+" HTTP/1.1", "Host: h"))
		resp, body := c.Response(http.MethodGet)
		if got := strconv.Itoa(resp.StatusCode); got != want && got+" "+body != want {
			t.Errorf("%s: %s %s; want %s", target, got, body, want)
		}
	}
}
