//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// unit is the systemd unit of the package.
type unit map[string][]string

func readUnit(t *testing.T) unit {
	t.Helper()
	u := unit{}
	for line := range strings.Lines(string(readFile(t, filepath.Join(repository, "deploy", "systemd", "holdfast.service")))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && line[0] != '#' {
			u[key] = append(u[key], value)
		}
	}
	return u
}

func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("the unit has %d × %s", len(u[key]), key)
	}
	return u[key][0]
}

// sandbox runs the program with the rights that the unit leaves it: its directories, a user of its own, the capabilities, the
// mask and the number of files. What only systemd can do is left out, such as the filter of system calls.
type sandbox struct {
	unit   unit
	dir    string // here; /srv there
	user   int
	groups string // besides the user's own
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test has to be run by root, who may take rights away as systemd does")
	}
	s := &sandbox{unit: readUnit(t), dir: publicTempDir(t), user: 61_184} // systemd's first dynamic user
	if err := copyFile(filepath.Join(s.dir, "holdfast"), executable, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"lib": "StateDirectory", "log": "LogsDirectory", "run": "RuntimeDirectory"} {
		if s.unit.one(t, key) != "holdfast" {
			t.Errorf("%s is %s", key, s.unit[key])
		}
		mode := os.FileMode(0o755)
		if given := s.unit[key+"Mode"]; given != nil {
			if _, err := fmt.Sscanf(given[0], "%o", &mode); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(s.dir, name)
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, s.user, s.user); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// command is one of the program with arguments; /srv/config.yaml is the configuration there.
func (s *sandbox) command(t *testing.T, umask string, args ...string) *exec.Cmd {
	t.Helper()
	if s.unit.one(t, "ProtectSystem") != "strict" || s.unit.one(t, "PrivateTmp") != "yes" || s.unit.one(t, "NoNewPrivileges") != "yes" {
		t.Error("the unit protects otherwise than this test")
	}
	var capabilities []string
	for name := range strings.FieldsSeq(s.unit.one(t, "AmbientCapabilities")) {
		capabilities = append(capabilities, "+"+strings.ToLower(strings.TrimPrefix(name, "CAP_")))
	}
	caps := strings.Join(append([]string{"-all"}, capabilities...), ",")
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`set -e
mount --make-rprivate /
mount --bind %q /srv
for dir in lib log run; do mount -t tmpfs tmpfs "/$( [ $dir = run ] || echo var/ )$dir"; done
for dir in lib log run; do at=/$( [ $dir = run ] || echo var/ )$dir; mkdir $at/holdfast; mount --bind /srv/$dir $at/holdfast; mount -o remount,bind,ro $at; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /srv
mount -o remount,bind,ro /
umask %s
ulimit -n %d
cd /
exec setpriv --reuid %d --regid %d --groups %d%s --inh-caps=%s --ambient-caps=%s --bounding-set=%s --no-new-privs env -i PATH=/usr/bin:/bin /srv/holdfast "$@"
`, s.dir, umask, files.Max, s.user, s.user, s.user, s.groups, caps, caps, caps)
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, "holdfast"}, args...)...)
}

// privilegedAddr returns a loopback address with a port below 1024 where nobody listens.
func privilegedAddr(t *testing.T) string {
	t.Helper()
	for port := 1023; port > 600; port-- {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port below 1024")
	return ""
}

// TestUnitSandbox runs the program with the rights of the unit, as an operator would use them: a port below 1024, the socket
// of an app of another user, history, ACME's and the access log's directories, large bodies, logrotate, reload.
func TestUnitSandbox(t *testing.T) {
	s := newSandbox(t)
	const appUser = 33 // www-data of Debian
	socket := filepath.Join(s.dir, "app.sock")
	serveApp(t, "unix", socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes, %v", n, err)
	}))
	for _, err := range []error{os.Chown(socket, appUser, appUser), os.Chmod(socket, 0o660)} { // as php-fpm's
		if err != nil {
			t.Fatal(err)
		}
	}
	listen, hooks := privilegedAddr(t), freeAddr(t)
	config := fmt.Sprintf(`
listen: %s
upstream: http+unix:/srv/app.sock
hooks: {listen: %s}
push: {history_file: /var/lib/holdfast/history}
log: {access_log: /var/log/holdfast/access.log}
channels: [{match: "public.**", access: public, history: {messages: 10, age: 1h}}]
`, listen, hooks)
	writeFile(t, filepath.Join(s.dir, "config.yaml"), config)
	check := func() string {
		out, err := s.command(t, s.unit.one(t, "UMask"), "check", "/srv/config.yaml").CombinedOutput()
		if err != nil {
			t.Fatalf("check: %v\n%s", err, out)
		}
		return string(out)
	}
	if out := check(); !strings.Contains(out, "permission denied") {
		t.Errorf("check does not warn of a socket that is closed to it:\n%s", out)
	}
	s.groups = fmt.Sprint(",", appUser) // SupplementaryGroups=www-data, as the page says
	if out := check(); strings.Contains(out, "warning") {
		t.Errorf("check warns:\n%s", out)
	}
	h := startHoldfastCommand(t, s.command(t, s.unit.one(t, "UMask"), "run", "-config", "/srv/config.yaml"), listen, hooks)
	const large = 1 << 20
	newVisitor(t, h.url).do(http.MethodPost, "/upload", nil, strings.NewReader(strings.Repeat("x", large))).wantText(t, fmt.Sprint(large, " bytes, <nil>"))
	h.publish(t, "public.a", "a message")
	limits := string(readFile(t, fmt.Sprintf("/proc/%d/limits", h.cmd.Process.Pid)))
	if files := regexp.MustCompile(`Max open files\s+(\d{5,})`).FindString(limits); files == "" {
		t.Errorf("less than 10,000 files:\n%s", limits)
	}
	s.checkRotation(t, h)
	out, err := exec.Command(executable, "reload", "-hooks", h.hooks).CombinedOutput() // ExecReload
	if err != nil || !strings.Contains(string(out), "reloaded") {
		t.Errorf("reload: %s, %v", out, err)
	}
	h.checkEnd(t)
	for file, mode := range map[string]os.FileMode{"lib/history": 0o600, "log/access.log": 0o640} {
		if info, err := os.Stat(filepath.Join(s.dir, file)); err != nil || info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s: %v, %v; want at most %v", file, info.Mode(), err, mode)
		}
	}
	s.checkElsewhere(t, config)
	s.checkSockets(t)
}

// TestCommandsWithoutPressureFigures: where the kernel has no figures of pressure, commands print what they are for and nothing
// else.
func TestCommandsWithoutPressureFigures(t *testing.T) {
	out := run(t, exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs tmpfs /sys && exec "$0" version`, executable))
	if !strings.HasPrefix(out, "holdfast ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version prints %q", out)
	}
}

// checkRotation has logrotate rotate the access log by the file of the package, while systemctl is one that sends the signal.
func (s *sandbox) checkRotation(t *testing.T, h *holdfast) {
	bin, logs := t.TempDir(), filepath.Join(s.dir, "log")
	writeFile(t, filepath.Join(bin, "systemctl"), fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'kill --kill-who=main --signal=SIGUSR1 holdfast.service' ] && kill -USR1 %d\n", h.cmd.Process.Pid))
	if err := os.Chmod(filepath.Join(bin, "systemctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(bin, "logrotate.conf")
	text := string(readFile(t, filepath.Join(repository, "deploy", "logrotate")))
	writeFile(t, file, strings.ReplaceAll(text, "/var/log/holdfast", logs))
	access := filepath.Join(logs, "access.log")
	eventually(t, "the request is in the access log", func() bool {
		data, _ := os.ReadFile(access)
		return strings.Contains(string(data), "/upload")
	})
	rotate := exec.Command(program(t, "/usr/sbin/logrotate", "logrotate"), "-v", "-f", "-s", filepath.Join(bin, "state"), file)
	rotate.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out := run(t, rotate)
	eventually(t, "later requests are in a new file", func() bool {
		newVisitor(t, h.url).get("/after")
		data, _ := os.ReadFile(access)
		return strings.Contains(string(data), "/after") && !strings.Contains(string(data), "/upload")
	})
	rotated, err := filepath.Glob(access + ".*")
	if err != nil || !slices.Equal(rotated, []string{access + ".1"}) || strings.Contains(out, "error") {
		t.Errorf("rotated are %q, %v:\n%s", rotated, err, out)
	}
}

// checkElsewhere: a file that the unit does not let Holdfast write is an error that says what to do.
func (s *sandbox) checkElsewhere(t *testing.T, config string) {
	writeFile(t, filepath.Join(s.dir, "config.yaml"), strings.Replace(config, "/var/lib/holdfast/history", "/srv/history", 1))
	out, err := s.command(t, s.unit.one(t, "UMask"), "run", "-config", "/srv/config.yaml").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "history") || !strings.Contains(string(out), "ReadWritePaths=") {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkSockets: with the mask of the page, members of the group may use sockets below /run/holdfast; without it, nobody else.
func (s *sandbox) checkSockets(t *testing.T) {
	writeFile(t, filepath.Join(s.dir, "config.yaml"), "listen: unix:/run/holdfast/http.sock\nhooks: {listen: 'unix:/run/holdfast/api.sock'}\n")
	for umask, want := range map[string]os.FileMode{s.unit.one(t, "UMask"): 0o750, "0007": 0o770} {
		p := start(t, "holdfast", s.command(t, umask, "run", "-config", "/srv/config.yaml"))
		p.waitFor(t, regexp.MustCompile("holdfast is up"))
		for _, name := range []string{"http.sock", "api.sock"} {
			if info, err := os.Stat(filepath.Join(s.dir, "run", name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("UMask %s: %s is %v, %v; want %v", umask, name, info.Mode(), err, want)
			}
		}
		p.stop(t)
	}
}
