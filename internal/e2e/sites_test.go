//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"holdfast/internal/wiretest"
)

// TestSitesOnFPM: sites share a php-fpm and have folders of their own, or another php-fpm. A script that stands in place of a path
// is run under the names that it has outside.
func TestSitesOnFPM(t *testing.T) {
	dir := publicTempDir(t)
	script := `<?php $out = implode(' ', [basename(dirname($_SERVER['SCRIPT_FILENAME'])), $_SERVER['SCRIPT_NAME'], $_SERVER['PATH_INFO'] ?? '', basename($_SERVER['DOCUMENT_ROOT']), $_SERVER['HTTP_HOST']]); header('Content-Length: '.strlen($out)); echo $out;`
	for _, name := range []string{"one/index.php", "two/index.php", "three/index.php", "mail/index.php", "mail/sub/tool.php"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, script)
	}
	writeFile(t, filepath.Join(dir, "mail/style.css"), "css")
	other := filepath.Join(dir, "other")
	mkdirForApache(t, other)
	first, second := startFPM(t, dir, nil), startFPM(t, other, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`listen: %s
hooks: {listen: %s}
upstream: fastcgi+unix:%s
try_files: [/index.php]
upstream_pool: {health_check_path: /ping}
sites:
  - {hosts: [one.test], root: %[4]s/one}
  - hosts: [two.test]
    root: %[4]s/two
    routes: [{match: /mail, root: %[4]s/mail, alias: true}, {match: /raw, root: %[4]s/mail}, {match: /three, upstream: "fastcgi+unix:%[5]s", root: %[4]s/three}]
  - {hosts: ["*.three.test"], upstream: "fastcgi+unix:%[5]s", root: %[4]s/three}
`, listen, hooks, first, dir, second)
	})
	for _, tt := range []struct{ host, path, want string }{
		{"one.test", "/", "200 one /index.php  one one.test"}, {"One.Test", "/a/b", "200 one /index.php  one One.Test"},
		{"two.test", "/index.php/x", "200 two /index.php /x two two.test"}, {"a.three.test", "/", "200 three /index.php  three a.three.test"},
		{"two.test", "/mail/", "200 mail /mail/index.php  mail two.test"}, {"two.test", "/mail/sub/tool.php/x", "200 sub /mail/sub/tool.php /x mail two.test"},
		{"two.test", "/mail/none", "200 mail /mail/index.php  mail two.test"}, {"two.test", "/mail/style.css", "200 css"}, {"two.test", "/mail", "301 /mail/"}, {"two.test", "/mail/sub", "200 mail /mail/index.php  mail two.test"},
		{"two.test", "/raw/style.css", "200 css"}, {"two.test", "/raw/index.php", "404 "}, {"two.test", "/three/x", "200 three /index.php  three two.test"},
		{"one.test", "/mail/style.css", "200 one /index.php  one one.test"}, {"three.test", "/", "421 "}, {"localhost", "/", "421 "},
	} {
		c := wiretest.Dial(t, h.addr)
		c.Send(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", tt.path, tt.host))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != http.StatusOK {
			body = resp.Header.Get("Location")
		}
		if got := fmt.Sprintf("%d %s", resp.StatusCode, body); got != tt.want {
			t.Errorf("%s%s: %q, want %q", tt.host, tt.path, got, tt.want)
		}
	}
	h.waitFor(t, regexp.MustCompile(`status=421 .*host=three\.test`))
}
