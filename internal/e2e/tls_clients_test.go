//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTLSClients: curl and Java's HttpClient, with both versions of TLS, in front of an app that returns what it gets.
func TestTLSClients(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // net/http reads no more once a response has begun
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(app.Close)
	dir, secure, hooks := t.TempDir(), freeAddr(t), freeAddr(t)
	pem := newCertificate(t, dir)
	file := filepath.Join(dir, "config.yaml")
	writeFile(t, file, fmt.Sprintf("upstream: %s\nhooks: {listen: %s}\nlisten: [{address: '%s', tls: true}]\n"+
		"tls: {certificates: [{cert: %[4]s, key: %[4]s}]}\nchannels: [{match: 'public.**', access: public}]\n", app.URL, hooks, secure, pem))
	h := startHoldfastCommand(t, exec.Command(executable, "-config", file), secure, hooks)
	body := strings.Repeat("x", 3_000_000)
	for _, version := range []string{"1.3", "1.2"} {
		t.Run("curl "+version, func(t *testing.T) {
			url := "https://" + secure + "/echo"
			cmd := exec.Command("curl", "-sSk", "--tlsv"+version, "--tls-max", version, "--data-binary", "@-", url, "--next", "-sSk",
				"--tlsv"+version, "--tls-max", version, "-w", "%{http_version} %{num_connects}", "-d", "second", url)
			cmd.Stdin = strings.NewReader(body)
			out, err := cmd.CombinedOutput()
			if want := body + "second1.1 0"; err != nil || string(out) != want { // the second on the same connection
				t.Errorf("%v: %d bytes, that end with %q", err, len(out), out[max(0, len(out)-200):])
			}
		})
		t.Run("Java "+version, func(t *testing.T) {
			cmd := exec.Command("java", "testdata/Client.java", "https://"+secure, "TLSv"+version)
			var errors bytes.Buffer
			cmd.Stderr = &errors
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			for b := make([]byte, 1000); err == nil; {
				var n int
				n, err = out.Read(b)
				if text.Write(b[:n]); n > 0 && strings.HasSuffix(text.String(), "held\n") {
					resp, err := http.Post(h.hooks+"/publish?channel=public.a", "text/plain", strings.NewReader("hello"))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
				}
			}
			var want strings.Builder
			for _, n := range []int{0, 1, 100_000, 3_000_000} {
				fmt.Fprintf(&want, "200 HTTP_1_1 %d TLSv%s\n", n, version)
			}
			want.WriteString("held\nmessage hello\n")
			if err := cmd.Wait(); err != nil || text.String() != want.String() {
				t.Errorf("%v: printed %q, want %q\n%s", err, text.String(), want.String(), errors.String())
			}
		})
	}
}
