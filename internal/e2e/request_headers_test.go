//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sentFields are what the apps of TestRequestHeadersBesideNginx show of a request.
var sentFields = []string{"Authorization", "Cookie", "X-Tenant", "X-Remote-User", "X-Client", "X-Scheme", "X-Forwarded-Prefix", "X-Other"}

// TestRequestHeadersBesideNginx: an app behind nginx's proxy_set_header and one behind request_headers receive the same,
// and so does a script, whatever the client sends by these names.
func TestRequestHeadersBesideNginx(t *testing.T) {
	htpasswd := program(t, "/usr/bin/htpasswd", "apache2-utils")
	dir := publicTempDir(t)
	root, users := filepath.Join(dir, "app"), filepath.Join(dir, "users")
	if out, err := exec.Command(htpasswd, "-cbB", users, "anna", "secret").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(users, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "<?php\n"
	for _, name := range sentFields {
		script += fmt.Sprintf("echo '%s=', $_SERVER['HTTP_%s'] ?? '-', \"\\n\";\n", name, strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	writeFile(t, filepath.Join(root, "a.php"), script)
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range sentFields {
			value := strings.Join(r.Header[http.CanonicalHeaderKey(name)], "|")
			if value == "" {
				value = "-"
			}
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
	}))
	nginx := startNginx(t, strings.TrimPrefix(app, "http://"), fmt.Sprintf(`
		auth_basic "Back office"; auth_basic_user_file %s;
		proxy_set_header Authorization "Bearer of-the-app"; proxy_set_header Cookie ""; proxy_set_header X-Tenant shop;
		proxy_set_header X-Remote-User $remote_user; proxy_set_header X-Client $remote_addr; proxy_set_header X-Scheme $scheme;
		proxy_set_header X-Forwarded-Prefix /outside;`, users))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`listen: %s
hooks: {listen: %s}
upstream: fastcgi+unix:%s
root: %s
basic_auth: %s
basic_auth_realm: Back office
request_headers: &sent {Authorization: Bearer of-the-app, Cookie: null, X-Tenant: shop, X-Remote-User: $user, X-Client: $client, X-Scheme: $scheme, X-Forwarded-Prefix: /outside}
routes:
- {match: /http, upstream: "%s", request_headers: *sent}
- {match: /other, upstream: "%[6]s"}
`, listen, hooks, startFPM(t, dir, nil), root, users, app)
	})
	ask := func(url string) string {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{
			"Cookie": {"a=b"}, "X-Tenant": {"evil"}, "X-Remote-User": {"root"}, "x-remote-user": {"root too"}, "X_Remote_User": {"root as well"},
			"X-Client": {"6.6.6.6"}, "X-Scheme": {"https"}, "X-Forwarded-Prefix": {"/evil"}, "X-Other": {"stays"},
		}
		req.SetBasicAuth("anna", "secret")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", url, resp.Status, err)
		}
		return string(body)
	}
	want := "Authorization=Bearer of-the-app\nCookie=-\nX-Tenant=shop\nX-Remote-User=anna\nX-Client=127.0.0.1\nX-Scheme=http\nX-Forwarded-Prefix=/outside\nX-Other=stays\n"
	for _, url := range []string{nginx + "/http", h.url + "/http", h.url + "/a.php"} {
		if got := ask(url); got != want {
			t.Errorf("%s has\n%s, want\n%s", url, got, want)
		}
	}
	if got := ask(h.url + "/other"); strings.Contains(got, "of-the-app") || strings.Contains(got, "shop") {
		t.Errorf("another app has\n%s", got)
	}
}
