//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// startApache runs an Apache of its own with mod_php, which serves root, and returns its address.
// What it writes, sessions and uploads among them, it writes below dir.
func startApache(t *testing.T, dir, root, directives string, env ...string) string {
	t.Helper()
	apache := program(t, "/usr/sbin/apache2", "apache2")
	php := program(t, "/usr/lib/apache2/modules/libphp*.so", "libapache2-mod-php")

	addr, user := freeAddr(t), ""
	if os.Getuid() == 0 { // then Apache insists on another user for its workers
		user = "User www-data\nGroup www-data"
	}
	for _, name := range []string{"run", "sessions", "tmp"} {
		mkdirForApache(t, filepath.Join(dir, name))
	}
	conf := filepath.Join(dir, "apache.conf")
	writeFile(t, conf, fmt.Sprintf(`
ServerRoot %[1]q
ServerName localhost
Listen %[2]s
DefaultRuntimeDir run
PidFile run/apache.pid
ErrorLog /dev/stderr
%[3]s

LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule php_module %[4]s
StartServers 2
MaxRequestWorkers 16

TypesConfig /dev/null
AddType text/css .css
AddType application/javascript .js
<FilesMatch "\.php$">
	SetHandler application/x-httpd-php
</FilesMatch>
php_admin_value session.save_path %[1]s/sessions
php_admin_value upload_tmp_dir %[1]s/tmp
php_admin_value sys_temp_dir %[1]s/tmp

DocumentRoot %[5]q
DirectoryIndex index.php
<Directory />
	Options FollowSymLinks
	AllowOverride None
	Require all granted
</Directory>
%[6]s
`, dir, addr, user, php, root, directives))

	cmd := exec.Command(apache, "-f", conf, "-DFOREGROUND")
	cmd.Env = append(os.Environ(), env...)
	start(t, "apache", cmd).waitListening(t, addr)
	return addr
}

// mkdirForApache makes a folder that the workers of Apache may write to.
func mkdirForApache(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
}

// TestPHPExample puts Holdfast in front of examples/php.
func TestPHPExample(t *testing.T) {
	listen, hooks := freeAddr(t), freeAddr(t)
	dir := publicTempDir(t)
	// The workers may not be let into the folder of the repository.
	root := filepath.Join(dir, "app")
	if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/php"))); err != nil {
		t.Fatal(err)
	}
	apache := startApache(t, dir, root, "", "HOLDFAST_HOOKS=http://"+hooks)
	h := startHoldfastAt(t, listen, hooks, exampleConfig(t, "examples/php/holdfast.yaml", apache))
	testExample(t, h, ".php")
}
