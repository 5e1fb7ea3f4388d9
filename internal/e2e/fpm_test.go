//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startFPM runs a php-fpm of its own with three children and returns its socket. What it writes, it
// writes below dir.
func startFPM(t *testing.T, dir string, settings map[string]string, env ...string) string {
	t.Helper()
	return startFPMWith(t, dir, "pm.max_children = 3\n", settings, env...)
}

// startFPMWith is startFPM with these lines for its pool.
func startFPMWith(t *testing.T, dir, pool string, settings map[string]string, env ...string) string {
	t.Helper()
	fpm := program(t, "/usr/sbin/php-fpm*", "php-fpm")
	for _, name := range []string{"sessions", "tmp"} {
		mkdirForApache(t, filepath.Join(dir, name))
	}
	socket := filepath.Join(dir, "php.sock")
	user := ""
	if os.Getuid() == 0 {
		user = "user = www-data\ngroup = www-data\nlisten.mode = 0666\n"
	}
	conf := fmt.Sprintf(`[global]
error_log = /dev/stderr
daemonize = no
[app]
%[2]slisten = %[3]s
pm = static
%[4]sping.path = /ping
clear_env = no
php_admin_value[session.save_path] = %[1]s/sessions
php_admin_value[upload_tmp_dir] = %[1]s/tmp
php_admin_value[sys_temp_dir] = %[1]s/tmp
`, dir, user, socket, pool)
	for name, value := range settings {
		conf += fmt.Sprintf("php_admin_value[%s] = %s\n", name, value)
	}
	file := filepath.Join(dir, "fpm.conf")
	writeFile(t, file, conf)
	cmd := exec.Command(fpm, "-F", "-y", file)
	cmd.Env = append(os.Environ(), env...)
	start(t, "php-fpm", cmd).waitUntil(t, func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
	return socket
}

// TestPHPExampleOnFPM puts Holdfast in front of examples/php without Apache: the hold asks the app by
// FastCGI too.
func TestPHPExampleOnFPM(t *testing.T) {
	page := newAppPage(t, "docs/tutorials/php.md")
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/php"))); err != nil {
		t.Fatal(err)
	}
	socket := startFPM(t, dir, nil, "HOLDFAST_HOOKS=http://"+page.hooks)
	page.config = 1 // behind that of examples/php
	page.settings = []string{"/run/php/php-fpm.sock", socket, "/var/www/news", root}
	testExample(t, page.start(t), ".php")
}

// TestFPMHealthCheck: php-fpm is asked by FastCGI, for its own ping or for a script, and counts as up once it answers well.
func TestFPMHealthCheck(t *testing.T) {
	for _, path := range []string{"/ping", "/health.php"} {
		dir := publicTempDir(t)
		root := filepath.Join(dir, "app")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
			return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s}\nhooks: {listen: %s}\n"+
				"upstream_pool: {health_check_path: %s, health_check_interval: 100ms}\n", listen, filepath.Join(dir, "php.sock"), root, hooks, path)
		})
		up := func() int { return h.metric(t, `holdfast_upstream_up{upstream="[^"]*"}`) }
		eventually(t, "nobody answers", func() bool { return up() == 0 })
		startFPM(t, dir, nil)
		if path == "/health.php" {
			writeFile(t, filepath.Join(root, "health.php"), "<?php echo 'well';")
		}
		eventually(t, path+" is answered", func() bool { return up() == 1 })
	}
}

// TestFPMPaths: what resolves to a file or a script outside of what is meant to be seen is not found,
// in any spelling.
func TestFPMPaths(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	for name, text := range map[string]string{
		"index.php":       "<?php echo 'index ', $_SERVER['PATH_INFO'] ?? '', '|', $_SERVER['REMOTE_ADDR'], '|', $_SERVER['HTTP_X_FORWARDED_FOR'] ?? '';",
		"admin/panel.php": "<?php echo 'panel';",
		"upload/x.jpg":    "<?php echo 'run';",
		"upload/evil.php": "<?php echo 'run';",
		".env":            "SECRET=1",
		"lib/db.php.bak":  "<?php $password = 'SECRET';",
		"plain.txt":       "plain",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name), text)
	}
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s, no_scripts: [/upload]}\nhooks: {listen: %s}\n", listen, socket, root, hooks)
	})
	v := newVisitor(t, h.url)
	for path, want := range map[string]string{
		"/":                  "index |127.0.0.1|127.0.0.1",
		"/index.php/a/b?c=d": "index /a/b|127.0.0.1|127.0.0.1",
		"/admin/panel.php":   "panel",
		"/plain.txt":         "plain",
	} {
		a := v.get(path)
		a.want(t, http.StatusOK)
		if a.body != want {
			t.Errorf("%s: %q, want %q", path, a.body, want)
		}
	}
	for _, path := range []string{
		"/upload/x.jpg/y.php", "/upload/x.jpg%00.php", "/upload/evil.php", "/upload/evil.php/x", "/.env", "/%2eenv", "/lib/db.php.bak",
		"/..%2f..%2fetc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/admin%2fpanel.php", "/admin%5cpanel.php",
		"/admin;x/panel.php", "/plain.txt/", "/plain.txt%0a", "/index.php%0a", "/none.php", "/%c0%ae%c0%ae/etc/passwd", "/Plain.txt",
	} {
		a := v.do(http.MethodGet, path, nil, nil)
		if a.StatusCode < 400 || a.StatusCode >= 500 || strings.Contains(a.body, "SECRET") || strings.Contains(a.body, "run") || strings.Contains(a.body, "root:") {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
	}
}
