package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// secureApp is an app with https, whose certificate is in file.
func secureApp(t *testing.T, file string) *httptest.Server {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/auth") {
			w.WriteHeader(204)
			return
		}
		_, _ = io.WriteString(w, "secure")
	}))
	app.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	app.Config.ErrorLog = log.New(io.Discard, "", 0)
	app.StartTLS()
	t.Cleanup(app.Close)
	return app
}

// TestReloadVerifiesUpstream: when upstream_tls says so, requests to the app and authorization requests are refused to an app
// that can't prove its name, also by the same URL as before.
func TestReloadVerifiesUpstream(t *testing.T) {
	dir := t.TempDir()
	own, other := filepath.Join(dir, "own.pem"), filepath.Join(dir, "other.pem")
	writeCert(t, own, "app.test")
	writeCert(t, other, "app.test")
	app := secureApp(t, own)
	text := "upstream: '" + app.URL + "'\npush: {authorize_path: /auth}\nchannels: [{match: a, access: authorize}]\nupstream_tls: {server_name: app.test, "
	x := serveReloaded(t, text+"verify: false}")
	both := func(what, page, push string) {
		t.Helper()
		if got := x.get("/"); !strings.HasPrefix(got, page) {
			t.Errorf("%s: a page: %s", what, got)
		}
		if got := x.get("/_push?channel=a&wait=0"); !strings.HasPrefix(got, push) {
			t.Errorf("%s: an authorization: %s", what, got)
		}
	}
	both("not verified", "200 secure", "200")
	x.must(text + "ca_file: " + other + "}")
	both("of another CA", "502", "503")
	x.must(text + "ca_file: " + own + "}")
	both("of its CA", "200 secure", "200")
}

// TestReloadForgetsUpstreams: files of upstreams that are gone are not looked at any more, nor are those of a configuration
// that was refused.
func TestReloadForgetsUpstreams(t *testing.T) {
	dir := t.TempDir()
	file := func(i int) string {
		name := filepath.Join(dir, fmt.Sprint(i, ".pem"))
		writeCert(t, name, "app.test")
		return name
	}
	text := "upstream: https://127.0.0.1:%d\nupstream_tls: {cert: %s, key: %[2]s}\nlog: {access_log: %[3]s}"
	access := filepath.Join(dir, "access")
	first := file(0)
	x := serveReloaded(t, fmt.Sprintf(text, 1, first, access))
	for i := range 5 {
		x.must(fmt.Sprintf(text, 2+i, file(1+i), access))
		if _, err := x.with(fmt.Sprintf(text, 100+i, file(100+i), filepath.Join(dir, "none", "access"))); err == nil {
			t.Error("an access log in no directory is in use")
		}
	}
	stats := secureOf(x.Server).files.Stats()
	if len(stats.Certificates) != 1 || stats.Certificates[0].Cert != filepath.Join(dir, "5.pem") {
		t.Errorf("the files in use are %v", stats.Certificates)
	}
	if n := len(secureOf(x.Server).made); n != 1 {
		t.Errorf("%d upstreams", n)
	}
}

// TestReloadFirstSecureUpstream: the first upstream with https may come by a reload, and its files are looked at from then on.
func TestReloadFirstSecureUpstream(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.pem")
	writeCert(t, file, "app.test")
	app := secureApp(t, file)
	secure := "upstream: '" + app.URL + "'\nupstream_tls: {server_name: app.test, ca_file: " + file + "}\ntimeouts: {connect: %s}"
	x := serveReloaded(t, "upstream: "+newApp(t))
	x.must(fmt.Sprintf(secure, "4s")) // with another limit, as no connection has had it yet
	if got := x.get("/"); got != "200 secure" {
		t.Error(got)
	}
	if _, err := x.with(fmt.Sprintf(secure, "5s")); err == nil || !strings.Contains(err.Error(), "needs a take-over (holdfast takeover) or a restart: timeouts.connect") {
		t.Errorf("another limit: %v", err)
	}
	x.must("upstream: " + newApp(t) + "\ntimeouts: {connect: 4s}")
	if got := x.get("/"); got != "200 the app" {
		t.Error(got)
	}
}
