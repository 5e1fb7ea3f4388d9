package server

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/config"
)

// TestHTTPSUpstream: requests, and those of Holdfast itself, go to an app that speaks https, if its certificate is the one
// that the configuration trusts. A route has settings of its own.
func TestHTTPSUpstream(t *testing.T) {
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, "from "+r.URL.Path+" by "+r.Proto)
	}))
	app.Config.ErrorLog = log.New(io.Discard, "", 0)
	app.StartTLS()
	defer app.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := "'" + app.URL + "'" // by its address, which the certificate has
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: "+upstream, "upstream_tls: {ca_file: "+ca+"}",
		"push: {authorize_path: /auth}", "channels: [{match: '**', access: authorize}]",
		"routes:", "- {match: /named, upstream: "+upstream+", upstream_tls: {ca_file: "+ca+", server_name: example.com}}",
		"- {match: /other-name, upstream: "+upstream+", upstream_tls: {ca_file: "+ca+", server_name: other.test}}",
		"- {match: /untrusted, upstream: "+upstream+"}",
		"- {match: /unverified, upstream: "+upstream+", upstream_tls: {verify: false}}",
		"- {match: /same, upstream_host: app.internal}")
	for path, want := range map[string]int{"/": 200, "/named": 200, "/other-name": 502, "/untrusted": 502, "/unverified": 200, "/same": 200, "/_push?channel=a&wait=0": 200} {
		for range 2 {
			resp, err := http.Get("http://" + s.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || err != nil || want == 200 && path != "/_push?channel=a&wait=0" && string(body) != "from "+path+" by HTTP/1.1" {
				t.Errorf("%s: status %d, want %d; %s, %v", path, resp.StatusCode, want, body, err)
			}
		}
	}
}

// TestHTTPSUpstreamFiles: a file that can't be used is an error at the start, with its key.
func TestHTTPSUpstreamFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]string{
		"upstream_tls: {ca_file: /nonexistent/ca.pem}":            "upstream_tls.ca_file: open /nonexistent/ca.pem",
		"upstream_tls: {ca_file: " + empty + "}":                  "upstream_tls.ca_file: " + empty + " has no certificate",
		"upstream_tls: {cert: " + empty + ", key: " + empty + "}": "upstream_tls.cert: " + empty + " with " + empty + ": failed to find any PEM data",
		"routes: [{match: /a, upstream: 'https://127.0.0.1:2', upstream_tls: {cert: " + empty + ", key: /nonexistent/key.pem}}]": "routes[0].upstream_tls.cert: open /nonexistent/key.pem",
	} {
		c, err := config.Parse("c.yaml", []byte("listen: 127.0.0.1:0\nupstream: https://127.0.0.1:1\nhooks: {listen: '127.0.0.1:0'}\n"+lines+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
}

// TestHTTPSUpstreamFilesChange: the app gets another certificate, and Holdfast the same as its CA, and one of its own.
func TestHTTPSUpstreamFilesChange(t *testing.T) {
	dir := t.TempDir()
	ofApp, own := filepath.Join(dir, "app.pem"), filepath.Join(dir, "own.pem")
	writeCert(t, ofApp, "app.test")
	cert, err := tls.LoadX509KeyPair(ofApp, ofApp)
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[tls.Certificate]
	current.Store(&cert)
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	app.Config.ErrorLog = log.New(io.Discard, "", 0)
	app.Config.SetKeepAlivesEnabled(false)
	app.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{*current.Load()}}, nil
	}}
	app.StartTLS()
	defer app.Close()
	serial := writeCert(t, own, "holdfast.test")
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: '"+app.URL+"'",
		fmt.Sprintf("upstream_tls: {server_name: app.test, ca_file: %s, cert: %[2]s, key: %[2]s}", ofApp, own))
	want := func(what string, status int, body string) {
		t.Helper()
		resp, err := http.Get("http://" + s.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, _ := io.ReadAll(resp.Body); resp.StatusCode != status || status == 200 && string(got) != body {
			t.Errorf("%s: status %d, %q; want %d, %q", what, resp.StatusCode, got, status, body)
		}
	}
	want("at first", 200, serial.String())
	writeCert(t, ofApp, "app.test")
	if cert, err = tls.LoadX509KeyPair(ofApp, ofApp); err != nil {
		t.Fatal(err)
	}
	renewed := cert
	current.Store(&renewed)
	want("with a CA that is too old", 502, "")
	secureOf(s).files.Reload()
	want("with the new CA", 200, serial.String())
	serial = writeCert(t, own, "holdfast.test")
	secureOf(s).files.Reload()
	want("with a new certificate of Holdfast", 200, serial.String())
	resp, err := http.Get("http://" + s.HooksAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(metrics); !strings.Contains(text, "holdfast_tls_upstream_file_loads_total 2\n") || !strings.Contains(text, "holdfast_tls_upstream_file_errors_total 0\n") ||
		!strings.Contains(text, "holdfast_tls_upstream_certificate_expiry_timestamp_seconds{certificate=\""+own+"\"}") {
		t.Errorf("the metrics are\n%s", text)
	}
}
