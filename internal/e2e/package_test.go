//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"
)

// makePackages builds the packages of a version for this machine.
func makePackages(t *testing.T, version string) (deb, rpm string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(repository, ".ci", "package.sh"), dir)
	cmd.Env = append(os.Environ(), "ARCHES="+runtime.GOARCH, "VERSION="+version,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*") // whoever owns the checkout
	run(t, cmd)
	for pattern, file := range map[string]*string{"*.deb": &deb, "*.rpm": &rpm} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		*file = found[0]
	}
	return deb, rpm
}

// TestPackage installs the Debian package below a folder, starts what it has, upgrades it and removes it.
func TestPackage(t *testing.T) {
	deb, rpm := makePackages(t, "1.0.0")
	root := t.TempDir()
	in := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(in("var/lib/dpkg/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, in("var/lib/dpkg/status"), "")
	dpkg := func(args ...string) {
		t.Helper()
		run(t, exec.Command("dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-not-root"}, args...)...))
	}
	dpkg("-i", deb)
	t.Run("files", func(t *testing.T) { checkPackageFiles(t, root, rpm) })
	t.Run("unit", func(t *testing.T) { checkPackageUnit(t, root) })
	t.Run("completion", func(t *testing.T) {
		script := fmt.Sprintf("source %s; COMP_WORDS=(holdfast publish -t); COMP_CWORD=2; _holdfast; echo ${COMPREPLY[@]}",
			in("usr/share/bash-completion/completions/holdfast"))
		if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil || string(out) != "-token\n" {
			t.Errorf("%q, %v", out, err)
		}
	})

	again, _ := makePackages(t, "1.0.1")
	upgradeUnderLoad(t, in, func() { dpkg("-i", again) })

	dpkg("-r", "holdfast")
	if exists(in("usr/bin/holdfast")) || !exists(in("etc/holdfast/config.yaml")) {
		t.Error("removing leaves the program, or takes the configuration")
	}
	dpkg("-P", "holdfast")
	if exists(in("etc/holdfast/config.yaml")) {
		t.Error("purging leaves the configuration")
	}
}

// upgradeUnderLoad: an upgrade keeps the configuration, and the new version takes over from the running one by the command of
// the package's script (TestPackageScripts). No client notices.
func upgradeUnderLoad(t *testing.T, in func(path string) string, upgrade func()) {
	listen, hooks := freeAddr(t), freeAddr(t)
	config := fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %q}\n"+
		"channels: [{match: \"public.**\", access: public, history: {messages: 2000, age: 1h}}]\n", listen, startApp(t, http.HandlerFunc(audienceApp)), hooks)
	file := in("etc/holdfast/config.yaml")
	writeFile(t, file, config)
	h := start(t, "holdfast", exec.Command(in("usr/bin/holdfast"), "run", "-config", file))
	pid := h.cmd.Process.Pid
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGTERM) })
	h.waitListening(t, listen)
	x := &audience{listen: listen, hooks: hooks, stopc: make(chan struct{}), fail: t.Errorf}
	x.subscribe(t, 100)
	tunnel := x.begin(t, 4, 20)

	upgrade()
	if data, err := os.ReadFile(file); err != nil || string(data) != config {
		t.Errorf("the upgrade has left %q, %v of the configuration", data, err)
	}
	out, err := exec.Command(in("usr/bin/holdfast"), "takeover", "-config", file).CombinedOutput()
	m := regexp.MustCompile(`^taken over: process (\d+), 1\.0\.1 commit `).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("%s, %v", out, err)
	}
	pid, _ = strconv.Atoi(m[1])
	x.end(t, tunnel)
	t.Log(x.figures())
}

// checkPackageFiles: the configuration is valid and not for everybody, the manual names each command, the version is that
// of the commit, and both formats have the same files.
func checkPackageFiles(t *testing.T, root, rpm string) {
	config := filepath.Join(root, "etc/holdfast/config.yaml")
	program := filepath.Join(root, "usr/bin/holdfast")
	out, err := exec.Command(program, "check", config).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok:") {
		t.Errorf("check: %s, %v", out, err)
	}
	if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the configuration has mode %v, %v", info.Mode(), err)
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), " commit ") {
		t.Errorf("--version: %s, %v", out, err)
	}
	manual, err := exec.Command("zcat", filepath.Join(root, "usr/share/man/man1/holdfast.1.gz")).CombinedOutput()
	for _, name := range []string{"run", "takeover", "check", "demo", "publish", "tail", "version"} {
		if !strings.Contains(string(manual), "\n.SS "+name) {
			t.Errorf("the manual has no section on %s: %v", name, err)
		}
	}
	out, err = exec.Command("rpm", "-qpl", rpm).Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(out))
	if len(listed) < 10 {
		t.Errorf("the rpm has %d files", len(listed))
	}
	for _, name := range []string{"/etc/holdfast", "/usr/share/zsh/site-functions/_holdfast"} { // the first, to go with the rest
		if !slices.Contains(listed, name) {
			t.Errorf("the rpm has no %s", name)
		}
	}
	for _, name := range listed {
		name = strings.Replace(name, "/zsh/site-functions/", "/zsh/vendor-completions/", 1) // where zsh looks, there and here
		if !exists(filepath.Join(root, name)) {
			t.Errorf("%s is in the rpm only", name)
		}
	}
}

// checkPackageUnit: systemd finds nothing wrong with the unit, and its own judgement of the exposure is "OK".
func checkPackageUnit(t *testing.T, root string) {
	analyze := program(t, "systemd-analyze", "systemd")
	data, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/holdfast.service"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "holdfast.service")
	writeFile(t, file, strings.ReplaceAll(string(data), "=/usr/bin/holdfast", "="+filepath.Join(root, "usr/bin/holdfast")))
	if out, _ := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); strings.Contains(string(out), "holdfast.service") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=30", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestDeployedConfigurations: what the files for containers configure is valid, and each is for clients and probes of other
// machines.
func TestDeployedConfigurations(t *testing.T) {
	for file, path := range map[string][]string{
		"compose.yaml":            {"configs", "holdfast", "content"},
		"kubernetes/sidecar.yaml": {"stringData", "config.yaml"},
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(repository, "deploy", file))
			if err != nil {
				t.Fatal(err)
			}
			d := yaml.NewDecoder(bytes.NewReader(data))
			var text string
			for n := 0; ; n++ {
				var document map[string]any
				if err := d.Decode(&document); err != nil {
					if n == 0 || err != io.EOF {
						t.Fatal(err)
					}
					break
				}
				var at any = document
				for _, key := range path {
					m, _ := at.(map[string]any)
					at = m[key]
				}
				if s, ok := at.(string); ok {
					text = s
				}
			}
			text = regexp.MustCompile(`\$\{\w+:\?[^}]*\}`).ReplaceAllString(text, "0123456789abcdef")
			config := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, config, text)
			out, err := exec.Command(executable, "check", config).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "ok:") || !strings.Contains(text, `listen: ":8080"`) || !strings.Contains(text, `listen: ":9090"`) {
				t.Errorf("%s%v; the configuration is\n%s", out, err, text)
			}
		})
	}
}
