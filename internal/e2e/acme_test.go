//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// buildPebble builds the CA of the tests, and its DNS server, once, beside the program under test. They have a module of
// their own.
var buildPebble = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Dir(executable)
	for _, name := range []string{"pebble", "pebble-challtestsrv"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/letsencrypt/pebble/v2/cmd/"+name)
		cmd.Dir = "pebble"
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w:\n%s", err, out)
		}
	}
	return dir, nil
})

// pebble is a CA whose names all lead to this machine.
type pebble struct {
	*process
	directory string
	ca        string // file that its own server is verified by
	roots     string // URL of its root
	client    http.Client
}

// startPebble runs a CA that connects to a port for HTTP-01, and to another one for TLS-ALPN-01. Its certificates are valid
// for so many seconds.
func startPebble(t *testing.T, httpAddr, tlsAddr string, valid int) *pebble {
	t.Helper()
	bin, err := buildPebble()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &pebble{ca: filepath.Join(dir, "server.pem")}
	run(t, exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", filepath.Join(dir, "server.key"), "-out", p.ca))
	port := func(addr string) int {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return a.Port
	}
	api, management, dns := freeAddr(t), freeAddr(t), freeAddr(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": management, "certificate": p.ca, "privateKey": filepath.Join(dir, "server.key"),
		"httpPort": port(httpAddr), "tlsPort": port(tlsAddr), "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "short", "validityPeriod": valid}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	writeFile(t, file, string(config))
	names := start(t, "pebble-challtestsrv", exec.Command(filepath.Join(bin, "pebble-challtestsrv"), "-dnsserver", dns, "-defaultIPv6", "",
		"-management", freeAddr(t), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""))
	names.waitListening(t, dns)
	cmd := exec.Command(filepath.Join(bin, "pebble"), "-config", file, "-dnsserver", dns)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p.process = start(t, "pebble", cmd)
	p.waitListening(t, api)
	p.waitListening(t, management)
	p.directory, p.roots = "https://"+api+"/dir", "https://"+management+"/roots/0"
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(readFile(t, p.ca))
	p.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	return p
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// root returns the pool of the CA's root.
func (p *pebble) root(t *testing.T) *x509.CertPool {
	t.Helper()
	resp, err := p.client.Get(p.roots)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(b) {
		t.Fatalf("the root is %q, %v", b, err)
	}
	return pool
}

// serial connects for a name and returns the serial number of a certificate that roots verify.
func serial(addr, name string, roots *x509.CertPool) (string, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// TestACME: a certificate is issued by either challenge although every plain request is redirected, and none for a name
// that the configuration has not; it is renewed while connections go on, and read again after a restart.
func TestACME(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the app") }))
	t.Cleanup(app.Close)
	for _, tt := range []struct {
		challenge, listen string
		valid             int // seconds
	}{
		{"http-01", "['%[1]s', {address: '%[2]s', redirect_https: true}, {address: '%[3]s', tls: true}]", 80},
		{"tls-alpn-01", "['unix:%[4]s', {address: '%[3]s', tls: true}]", 90 * 24 * 3600},
	} {
		t.Run(tt.challenge, func(t *testing.T) {
			t.Parallel()
			plain, redirect, secure, dir := freeAddr(t), freeAddr(t), freeAddr(t), t.TempDir()
			ca := startPebble(t, redirect, secure, tt.valid)
			hooks, folder := freeAddr(t), filepath.Join(dir, "acme")
			file := filepath.Join(dir, "config.yaml")
			writeFile(t, file, fmt.Sprintf("upstream: %s\nhooks: {listen: %s}\nlisten: %s\ntls:\n  acme: {names: [a.holdfast.test, b.holdfast.test], "+
				"accept_terms: true, email: admin@holdfast.test, folder: %s, directory: '%s', ca_file: %s}\n",
				app.URL, hooks, fmt.Sprintf(tt.listen, plain, redirect, secure, filepath.Join(dir, "socket")), folder, ca.directory, ca.ca))
			h := startHoldfastCommand(t, exec.Command(executable, "-config", file), secure, hooks)
			roots := ca.root(t)
			first := map[string]string{}
			for _, name := range []string{"a.holdfast.test", "b.holdfast.test"} {
				h.waitUntil(t, func() (err error) {
					first[name], err = serial(secure, name, roots)
					return err
				})
			}
			if first["a.holdfast.test"] == first["b.holdfast.test"] {
				t.Error("both names have one certificate")
			}
			if _, err := serial(secure, "c.holdfast.test", roots); err == nil {
				t.Error("there is a certificate for a name that the configuration has not")
			}
			if by := strings.Contains(ca.log.String(), "validate w/ HTTP"); by != (tt.challenge == "http-01") {
				t.Errorf("the challenge was by HTTP: %v", by)
			}
			checkFolder(t, folder)
			client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "a.holdfast.test"}}}
			defer client.CloseIdleConnections()
			get := func() {
				t.Helper()
				resp, err := client.Get("https://" + secure + "/")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "the app" {
					t.Errorf("%q, %v", b, err)
				}
			}
			get()
			if tt.valid < 3600 {
				deadline := time.Now().Add(2 * patience)
				for renewed := first["a.holdfast.test"]; renewed == first["a.holdfast.test"]; {
					if time.Now().After(deadline) {
						t.Fatal("the certificate is not renewed")
					}
					time.Sleep(500 * time.Millisecond)
					if got, err := serial(secure, "a.holdfast.test", roots); err == nil {
						renewed = got
					}
				}
				get()
				return
			}
			h.checkEnd(t)
			ca.stop(t) // so that the certificate can only be the one in the folder
			startHoldfastCommand(t, exec.Command(executable, "-config", file), secure, hooks)
			if got, err := serial(secure, "a.holdfast.test", roots); err != nil || got != first["a.holdfast.test"] {
				t.Errorf("after a restart: %s, %v", got, err)
			}
		})
	}
}

// checkFolder: nobody else can read the keys.
func checkFolder(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
		if !d.IsDir() {
			files++
			if !bytes.Contains(readFile(t, name), []byte("PRIVATE KEY")) {
				t.Errorf("%s has no key", name)
			}
		}
		return nil
	})
	if err != nil || files != 3 {
		t.Errorf("%d files, %v; want the key of the account and two certificates", files, err)
	}
}
