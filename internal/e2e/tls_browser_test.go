//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const securePage = `<!doctype html><title>secure</title><script>
var got = {}, path = "/_push?channel=public.a";
fetch(path).then(r => r.json()).then(r => { got.poll = r.messages[0].data; });
new EventSource(path).onmessage = e => { got.sse = e.data; };
new WebSocket(location.origin.replace("https:", "wss:") + path).onmessage = e => { got.ws = e.data; };
fetch("/upload", {method: "POST", body: "x".repeat(1 << 20)}).then(r => r.text()).then(n => { got.uploaded = n; });
</script>`

// TestTLSBrowser: Chromium with a page over https that holds a WebSocket, an event stream and a long poll, and uploads. A
// certificate that is replaced meanwhile closes none of them.
func TestTLSBrowser(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d %v %s", n, err, r.Header.Get("X-Forwarded-Proto"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, securePage)
	}))
	t.Cleanup(app.Close)
	dir, secure, hooks := t.TempDir(), freeAddr(t), freeAddr(t)
	pem := newCertificate(t, dir)
	file := filepath.Join(dir, "config.yaml")
	writeFile(t, file, fmt.Sprintf("upstream: %s\nhooks: {listen: %s}\nlisten: [{address: '%s', tls: true}]\n"+
		"tls: {certificates: [{cert: %[4]s, key: %[4]s}]}\nchannels: [{match: 'public.**', access: public}]\n", app.URL, hooks, secure, pem))
	h := startHoldfastCommand(t, exec.Command(executable, "-config", file), secure, hooks)
	b := startBrowser(t)
	b.cdp("Security.setIgnoreCertificateErrors", map[string]any{"ignore": true})
	b.open("https://" + secure + "/")
	held := func(want string) {
		t.Helper()
		h.waitUntil(t, func() error {
			resp, err := http.Get(h.hooks + "/metrics")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			for _, transport := range strings.Fields(want) {
				if line := fmt.Sprintf("holdfast_connections_held{transport=%q} 1\n", transport); err == nil && !strings.Contains(string(text), line) {
					return fmt.Errorf("no %s", line)
				}
			}
			return err
		})
	}
	held("websocket sse longpoll")
	b.waitFor("the upload", `got.uploaded === "1048576 <nil> https"`)
	newCertificate(t, dir)
	h.cmd.Process.Signal(syscall.SIGHUP)
	h.waitUntil(t, func() error {
		if n := strings.Count(h.log.String(), "certificate loaded"); n != 2 {
			return fmt.Errorf("%d certificates are loaded", n)
		}
		return nil
	})
	held("websocket sse longpoll")
	resp, err := http.Post(h.hooks+"/publish?channel=public.a", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	b.waitFor("all three", `got.sse === "hello" && got.ws === "hello" && got.poll === "hello"`)
}
