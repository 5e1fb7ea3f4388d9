//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFileLimit: clients that only wait do not take every descriptor. With 256 of them and 400 clients,
// one that is in is served, and the app can publish.
func TestFileLimit(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the app") }))
	listen, hooks := freeAddr(t), freeAddr(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\nchannels: [{match: \"public.**\", access: public}]\n", listen, app, hooks))
	h := startHoldfastCommand(t, exec.Command("sh", "-c", "ulimit -n 256; exec "+executable+" -config "+file), listen, hooks)
	held := holdSSE(t, newVisitor(t, h.url), "public.a")
	v := newVisitor(t, h.url)
	v.get("/").wantText(t, "the app") // its connection is kept
	for range 400 {
		if c, err := net.Dial("tcp", listen); err == nil {
			t.Cleanup(func() { c.Close() })
		}
	}
	v.get("/").wantText(t, "the app")
	h.publish(t, "public.a", "still")
	if got := held.receive(t); got != "still" {
		t.Errorf("received %q", got)
	}
}
