//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// nginxRecipe is the block of the documentation, which has to work as it stands there.
func nginxRecipe(t *testing.T, holdfast string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs/operate/deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(text)
	if block == nil || strings.Count(string(block[1]), "127.0.0.1:8080") != 2 {
		t.Fatal("docs/operate/deploy.md has no nginx block that names 127.0.0.1:8080 twice")
	}
	return strings.ReplaceAll(string(block[1]), "127.0.0.1:8080", holdfast)
}

// TestNginxRecipe: behind the nginx of the documentation a page may hold, and the app is told what the browser used,
// whatever the client says of itself.
func TestNginxRecipe(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, root)
	writeFile(t, filepath.Join(root, "index.php"), `<?php
foreach (['HTTP_HOST', 'SERVER_NAME', 'SERVER_PORT', 'HTTPS', 'REMOTE_ADDR', 'REMOTE_PORT', 'HTTP_X_FORWARDED_HOST',
	'HTTP_X_FORWARDED_PORT', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_FORWARDED_PREFIX', 'HTTP_X_FORWARDED_SSL', 'HTTP_X_FORWARDED_FOR'] as $name)
	echo $name, '=', $_SERVER[$name] ?? '', "\n";`)
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s}\nhooks: {listen: %s}\ntrusted_proxies: [127.0.0.1]\nchannels: [{match: 'public.**', access: public}]\n",
			listen, socket, root, hooks)
	})
	addr := strings.TrimPrefix(startNginxWith(t, nginxRecipe(t, strings.TrimPrefix(h.url, "http://"))), "http://")
	_, port, _ := strings.Cut(addr, ":")
	evil := http.Header{}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Proto", "X-Forwarded-For"} {
		evil.Set(name, "6.6.6.6")
	}
	v := newVisitor(t, "http://"+addr)
	a := v.do(http.MethodGet, "/", evil, nil)
	a.want(t, http.StatusOK)
	want := strings.ReplaceAll(`HTTP_HOST=127.0.0.1:NUMBER
SERVER_NAME=127.0.0.1
SERVER_PORT=NUMBER
HTTPS=
REMOTE_ADDR=127.0.0.1
REMOTE_PORT=
HTTP_X_FORWARDED_HOST=127.0.0.1:NUMBER
HTTP_X_FORWARDED_PORT=NUMBER
HTTP_X_FORWARDED_PROTO=http
HTTP_X_FORWARDED_PREFIX=
HTTP_X_FORWARDED_SSL=
HTTP_X_FORWARDED_FOR=127.0.0.1, 127.0.0.1
`, "NUMBER", port)
	if a.body != want {
		t.Errorf("PHP was told\n%s\nwant\n%s", a.body, want)
	}
	for origin, status := range map[string]int{"http://" + addr: http.StatusOK, "http://6.6.6.6": http.StatusForbidden} {
		header := evil.Clone()
		header.Set("Origin", origin)
		v.do(http.MethodGet, "/_push?channel=public.a&wait=0", header, nil).want(t, status)
	}
}

// TestFPMForwarding compares what PHP is told of the caller with what the client, or a trusted proxy, says.
func TestFPMForwarding(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, root)
	script := `<?php ksort($_SERVER); foreach ($_SERVER as $name => $value) if (str_starts_with($name, 'HTTP_X_FORWARDED_')) echo substr($name, 17), '=', $value, ' ';
echo $_SERVER['SERVER_NAME'], ':', $_SERVER['SERVER_PORT'], ' ', $_SERVER['HTTPS'] ?? 'off';`
	writeFile(t, filepath.Join(root, "index.php"), script)
	writeFile(t, filepath.Join(root, "send.php"), `<?php header('X-Accel-Redirect: /index.php');`)
	socket := startFPM(t, dir, nil)
	for _, tt := range []struct {
		name, more string
		fields     map[string]string
		want       string
	}{
		{"a stranger", "", map[string]string{"X-Forwarded-Port": "1", "X-Forwarded-Ssl": "on", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil", "X-Forwarded-Scheme": "https", "X-Forwarded-Proto": "https"},
			"FOR=127.0.0.1 HOST=app.test:8080 PORT=8080 PROTO=http app.test:8080 off"},
		{"a trusted proxy", "trusted_proxies: [127.0.0.1]", map[string]string{"X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "www.test", "X-Forwarded-Prefix": "/shop"},
			"FOR=127.0.0.1 HOST=www.test PORT=8443 PREFIX=/shop PROTO=https www.test:8443 on"},
		{"a terminator that says nothing", "external: {scheme: https, port: 444}", nil, "FOR=127.0.0.1 HOST=app.test:8080 PORT=8080 PROTO=https app.test:8080 on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %[3]s}\nhooks: {listen: %[4]s}\nroutes: [{match: /inside, root: %[3]s, internal: true}]\n%[5]s\n",
					listen, socket, root, hooks, tt.more)
			})
			for _, path := range []string{"/index.php", "/send.php"} {
				r, err := http.NewRequest(http.MethodGet, h.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "app.test:8080"
				for name, value := range tt.fields {
					r.Header.Set(name, value)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != tt.want || err != nil {
					t.Errorf("%s: PHP was told %q (%v); want %q", path, body, err, tt.want)
				}
			}
		})
	}
}
