//go:build e2e && linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// checkers check blocks for other programs by those programs. What needs root or systemd is only checked, not run.
var checkers = map[string]func(t *testing.T, r *pageReader, code string){
	"nginx":      checkNginx,
	"haproxy":    checkHAProxy,
	"apache":     checkApache,
	"ini":        checkUnit,
	"logrotate":  checkLogrotate,
	"xml":        checkTomcatXML,
	"sysctl":     checkSysctl,
	"powershell": checkPowerShell,
}

// checkPowerShell: each statement is one of a command of Windows PowerShell, or an assignment, and its quotes have an end.
// There is no PowerShell here to run it.
func checkPowerShell(t *testing.T, _ *pageReader, code string) {
	known := regexp.MustCompile(`^(\$\w+ = |(New-Item|Copy-Item|New-Service|New-EventLog|Start-Service|sc\.exe|icacls|\.\\holdfast\.exe|& "[^"]+") )`)
	for line := range strings.Lines(strings.ReplaceAll(code, "`\n", "")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		plain := regexp.MustCompile("`.").ReplaceAllString(line, "")
		if !known.MatchString(line) || strings.Count(plain, `"`)%2 != 0 || strings.Count(plain, "'")%2 != 0 {
			t.Errorf("%s: no command that is known here, or a quote without an end", line)
		}
	}
}

// checkShell parses commands that only root may run.
func checkShell(t *testing.T, code string) {
	t.Helper()
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(code)
	run(t, cmd)
}

// newCertificate returns a file with a key and a certificate for 127.0.0.1.
func newCertificate(t *testing.T, dir string) (pem string) {
	t.Helper()
	key, cert, pem := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "both.pem")
	run(t, exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert))
	var all []byte
	for _, file := range []string{cert, key} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	writeFile(t, pem, string(all))
	return pem
}

// checkNginx starts an nginx with the block in its server.
func checkNginx(t *testing.T, r *pageReader, code string) { startNginxWith(t, r.local(t, code)) }

func checkHAProxy(t *testing.T, r *pageReader, code string) {
	haproxy := program(t, "/usr/sbin/haproxy", "haproxy")
	pem := newCertificate(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	code = regexp.MustCompile(`crt \S+`).ReplaceAllString(r.addresses.Replace(code), "crt "+pem)
	writeFile(t, file, "defaults\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"+code+"\n")
	out := run(t, exec.Command(haproxy, "-c", "-f", file))
	if strings.Contains(out, "WARNING") {
		t.Errorf("haproxy warns: %s", out)
	}
}

// checkApache has Apache read the block with the modules that it names.
func checkApache(t *testing.T, r *pageReader, code string) {
	apache := program(t, "/usr/sbin/apache2", "apache2")
	dir := t.TempDir()
	pem := newCertificate(t, dir)
	var conf strings.Builder
	for _, module := range []string{"mpm_prefork", "authz_core", "mime", "dir", "alias", "headers", "rewrite", "proxy", "proxy_http", "proxy_wstunnel",
		"remoteip", "setenvif", "socache_shmcb", "ssl", "cgi", "env", "dav", "dav_fs"} {
		conf.WriteString("LoadModule " + module + "_module /usr/lib/apache2/modules/mod_" + module + ".so\n")
	}
	conf.WriteString("ServerRoot " + dir + "\nServerName localhost\nErrorLog /dev/stderr\nPidFile " + dir + "/pid\nDefaultRuntimeDir " + dir +
		"\nTypesConfig /dev/null\nSSLCertificateFile " + pem + "\n")
	if !strings.Contains(code, "Listen ") {
		conf.WriteString("Listen " + freeAddr(t) + "\n")
	}
	file := filepath.Join(dir, "apache.conf")
	writeFile(t, file, conf.String()+r.local(t, code)+"\n")
	run(t, exec.Command(apache, "-t", "-f", file))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// checkUnit has systemd verify a unit whose binary is the one under test.
func checkUnit(t *testing.T, _ *pageReader, code string) {
	verify := program(t, "systemd-analyze", "systemd")
	file := filepath.Join(t.TempDir(), "holdfast.service")
	code = regexp.MustCompile(`(?m)^(Exec\w+=)/usr/local/bin/holdfast`).ReplaceAllString(code, "${1}"+executable)
	writeFile(t, file, code+"\n")
	if out, _ := exec.Command(verify, "verify", file).CombinedOutput(); strings.Contains(string(out), "holdfast.service") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
}

func checkLogrotate(t *testing.T, r *pageReader, code string) {
	logrotate := program(t, "/usr/sbin/logrotate", "logrotate")
	dir := t.TempDir()
	file := filepath.Join(dir, "holdfast")
	code = r.local(t, code)
	log := regexp.MustCompile(`/\S+`).FindString(code)
	folder := filepath.Dir(log)
	writeFile(t, log, "a line\n")
	if err := os.Chmod(folder, 0o755); err != nil { // others must not write there
		t.Fatal(err)
	}
	writeFile(t, file, code+"\n")
	run(t, exec.Command(logrotate, "-d", "-s", filepath.Join(dir, "state"), file))
}

// checkSysctl: each key is one of this kernel, with a number.
func checkSysctl(t *testing.T, _ *pageReader, code string) {
	for line := range strings.Lines(code) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || !regexp.MustCompile(`^[\d ]+$`).MatchString(value) || !exists("/proc/sys/"+strings.ReplaceAll(name, ".", "/")) {
			t.Errorf("%q is not a setting", line)
		}
	}
}

// checkTomcatXML starts a Tomcat whose server.xml has the elements of the block: a Connector, and what is in Host.
func checkTomcatXML(t *testing.T, r *pageReader, code string) {
	connector := regexp.MustCompile(`(?s)<Connector .*?/>`).FindString(code)
	host := regexp.MustCompile(`(?s)<Host [^>]*>(.*)</Host>`).FindStringSubmatch(code)
	if connector == "" || host == nil {
		t.Fatal("no Connector, or no Host")
	}
	addr := freeAddr(t)
	startTomcatAt(t, addr, strings.Replace(connector, `port="8081"`, `port="`+portOf(t, addr)+`"`, 1), "<tomcat-users/>", host[1])
}
