package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/site"
	"holdfast/internal/wiretest"
)

// TestCacheFiles: a file below a rule is answered to its client's own conditions, also where the request would have fetched for
// others.
func TestCacheFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.css"), []byte("body {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := site.New(site.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	list := []rules.Options{{Name: "all", Match: "/", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
	a := newCachedApp(t, list, func(int64, *http.Request, []byte) []byte { return ok("") }, func(o *Options) { o.Site = files })
	r, body := a.get("GET", "/a.css")
	if r.StatusCode != 200 || body != "body {}" {
		t.Fatalf("%d %q", r.StatusCode, body)
	}
	for range 2 {
		a.store.Clear() // so that it is the first request once more
		if r, _ := a.get("GET", "/a.css", "If-None-Match: "+r.Header.Get("ETag")); r.StatusCode != 304 {
			t.Errorf("got %d", r.StatusCode)
		}
		if r, _ := a.get("GET", "/a.css", "If-None-Match: x"); r.StatusCode != 200 {
			t.Errorf("got %d", r.StatusCode)
		}
	}
}

// TestCutEndsConnections: what is in progress after a drain gets 503, and what was sent behind it no response.
func TestCutEndsConnections(t *testing.T) {
	asked := make(chan struct{}, 1)
	up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		if _, err := http.ReadRequest(c.Reader); err == nil {
			asked <- struct{}{}
			c.Read(make([]byte, 1))
		}
	})
	addr, proxy := start(t, up.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /a HTTP/1.1", "Host: x") + lines("GET /b HTTP/1.1", "Host: x"))
	<-asked
	proxy.Drain()
	proxy.Cut()
	r, _ := c.Response("GET")
	if rest, _ := c.Rest(); r.StatusCode != 503 || !r.Close || rest != "" {
		t.Errorf("got %d, close %v, and then %q", r.StatusCode, r.Close, rest)
	}
}
