//go:build e2e && linux

package e2e

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTLSPage starts Holdfast with each configuration of the page, with files for its paths and free ports, and asks for
// a page by https, by http, and through curl. The last one gets its certificates from pebble.
func TestTLSPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the app") }))
	t.Cleanup(server.Close)
	app := server.URL
	var configs []string
	for _, b := range pageBlocks(t, "docs/how-to/tls.md") {
		if strings.HasPrefix(b.code, "listen:") {
			configs = append(configs, b.code)
		}
	}
	if len(configs) != 3 {
		t.Fatalf("the page has %d configurations", len(configs))
	}
	for i, text := range configs {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			dir, secure, plain, hooks := t.TempDir(), freeAddr(t), freeAddr(t), freeAddr(t)
			pem := newCertificate(t, dir)
			live := filepath.Join(dir, "live", "127.0.0.1")
			if err := os.MkdirAll(live, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"fullchain.pem", "privkey.pem"} {
				writeFile(t, filepath.Join(live, name), string(readFile(t, pem)))
			}
			for _, name := range []string{"app.pem", "other.pem", "app.key", "other.key"} {
				writeFile(t, filepath.Join(dir, name), string(readFile(t, pem)))
			}
			trust, host := pem, "127.0.0.1"
			acme := strings.Contains(text, "acme:")
			if acme {
				ca := startPebble(t, plain, secure, 90*24*3600)
				text = strings.Replace(text, "  acme:\n", "  acme:\n    directory: "+ca.directory+"\n    ca_file: "+ca.ca+"\n", 1)
				trust, host = filepath.Join(dir, "root.pem"), "www.example.com"
				resp, err := ca.client.Get(ca.roots)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				root, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				writeFile(t, trust, string(root))
			}
			code := strings.NewReplacer(`":443"`, `"`+secure+`"`, `":80"`, `"`+plain+`"`, "http://127.0.0.1:8081", app,
				"/etc/letsencrypt/live", filepath.Dir(live), "/etc/ssl/private/", dir+"/", "/etc/ssl/", dir+"/", "/var/lib/holdfast/acme", dir+"/acme").Replace(text)
			file := filepath.Join(dir, "config.yaml")
			writeFile(t, file, code+"\nhooks: {listen: "+hooks+"}\n")
			h := startHoldfastCommand(t, exec.Command(executable, "-config", file), secure, hooks)
			if acme {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(readFile(t, trust))
				h.waitUntil(t, func() error {
					_, err := serial(secure, host, pool)
					return err
				})
			}
			_, port, _ := net.SplitHostPort(secure)
			out := run(t, exec.Command("curl", "-sS", "-i", "--noproxy", "*", "--cacert", trust, "--resolve", host+":"+port+":127.0.0.1", "https://"+host+":"+port+"/a"))
			if !strings.Contains(out, " 200 ") || strings.Contains(out, "Strict-Transport-Security: max-age=3600") != strings.Contains(text, "hsts:") {
				t.Errorf("curl printed\n%s", out)
			}
			out = run(t, exec.Command("curl", "-sS", "-i", "--noproxy", "*", "http://"+plain+"/a"))
			if !strings.Contains(out, " 301 ") || !strings.Contains(out, "Location: https://127.0.0.1:"+port+"/a\r\n") {
				t.Errorf("curl printed\n%s", out)
			}
			if out := run(t, exec.Command(executable, "check", file)); !strings.Contains(out, "\nok: ") {
				t.Errorf("check printed\n%s", out)
			}
		})
	}
}
