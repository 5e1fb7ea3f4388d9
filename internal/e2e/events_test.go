//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestEventsToPHP: an app on php-fpm, with the check that the documentation shows, is told who comes and
// goes, through FastCGI, and nobody else can tell it.
func TestEventsToPHP(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/reference/webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	check := regexp.MustCompile("(?s)```php\n([^`]*HTTP_HOLDFAST_SIGNATURE.*?)```").FindSubmatch(text)
	if check == nil {
		t.Fatal("docs/reference/webhooks.md shows no check in PHP")
	}
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	told := filepath.Join(dir, "tmp", "told")
	writeFile(t, filepath.Join(root, "events.php"), "<?php $key = '0123456789abcdef';\n"+string(check[1])+`
foreach (json_decode($body, true)['events'] as $e) {
    file_put_contents('`+told+`', trim($e['type'].' '.($e['channel'] ?? '').($e['user'] ?? ''))."\n", FILE_APPEND | LOCK_EX);
}`)
	writeFile(t, filepath.Join(root, "authorize.php"), "<?php header('Content-Type: application/json'); echo '{\"user\":\"anna\"}';")
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstream: fastcgi+unix:%s
site: {root: %s}
hooks: {listen: %s}
push: {authorize_path: /authorize.php}
events: {url: /events.php, key: 0123456789abcdef, types: [occupied, vacated, online, offline], grace: 100ms}
channels: [{match: "room.**", access: authorize, occupancy_events: true}]
`, listen, socket, root, hooks)
	})
	v := newVisitor(t, h.url)
	await := func(want ...string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if text, err := os.ReadFile(told); err == nil {
				got = strings.TrimSpace(string(text))
			}
			if strings.Count(got, "\n") >= len(want)-1 && got != "" {
				break
			}
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("the app was told:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
	}
	ctx, leave := context.WithTimeout(t.Context(), 2*patience)
	defer leave()
	res, err := v.open(ctx, pushPath([]string{"room.1"}), http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		t.Fatal(err)
	}
	await("start", "occupied room.1", "online anna")
	a := v.do(http.MethodPost, "/events.php", http.Header{"Holdfast-Signature": {"t=1,v1=" + strings.Repeat("0", 64)}}, strings.NewReader(`{"events":[{"type":"forged"}]}`))
	a.want(t, http.StatusForbidden)
	leave()
	res.Body.Close()
	await("start", "occupied room.1", "online anna", "vacated room.1", "offline anna")
}
