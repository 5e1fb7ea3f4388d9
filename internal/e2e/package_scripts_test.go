//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packageScript runs a script of deploy/package below a folder, where the programs it calls are ones that write what they
// were called with to the file calls.
type packageScript struct{ root string }

func newPackageScript(t *testing.T) *packageScript {
	t.Helper()
	s := &packageScript{root: t.TempDir()}
	for _, name := range []string{"getent", "groupadd", "useradd", "chgrp", "systemctl", "holdfast"} {
		s.answer(t, name, "")
	}
	s.answer(t, "stat", "echo root")
	if err := os.MkdirAll(filepath.Join(s.root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.root, "etc/holdfast/config.yaml"), "listen: :8080\n")
	return s
}

// answer has a program do something more.
func (s *packageScript) answer(t *testing.T, name, script string) {
	t.Helper()
	file, token := filepath.Join(s.root, "usr/bin", name), ""
	if name == "holdfast" {
		token = "${HOLDFAST_TOKEN:+with the token $HOLDFAST_TOKEN}"
	}
	writeFile(t, file, fmt.Sprintf("#!/bin/sh\necho %s \"$*\" %s >>%s/calls\n%s\n", name, token, s.root, script))
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
}

// run returns what the script says, and what it has called, with paths as outside of the folder.
func (s *packageScript) run(t *testing.T, name string, args ...string) (said string, calls []string, err error) {
	t.Helper()
	text := string(readFile(t, filepath.Join(repository, "deploy/package", name+".sh")))
	for _, path := range []string{"/etc/", "/run/", "/usr/bin/"} {
		text = strings.ReplaceAll(text, path, s.root+path)
	}
	file := filepath.Join(s.root, name)
	writeFile(t, file, text)
	os.Remove(filepath.Join(s.root, "calls"))
	cmd := exec.Command("/bin/sh", append([]string{file}, args...)...)
	cmd.Env, cmd.Dir = []string{"PATH=" + filepath.Join(s.root, "usr/bin") + ":/usr/bin:/bin", "HOLDFAST_TOKEN=of-the-shell"}, s.root
	out, err := cmd.CombinedOutput()
	data, _ := os.ReadFile(filepath.Join(s.root, "calls"))
	for line := range strings.Lines(strings.ReplaceAll(string(data), s.root, "")) {
		calls = append(calls, strings.TrimSpace(line))
	}
	return strings.ReplaceAll(string(out), s.root, ""), calls, err
}

const (
	takeOverCall = "holdfast takeover -config /etc/holdfast/config.yaml"
	stopCall     = "systemctl disable --now holdfast.service"
)

// TestPackageScripts: each order of an installation, an upgrade and a removal, of Debian and of RPM. A file for systemd is
// not run by the shell, and what fails is said and does not fail the package, unless nothing would work.
func TestPackageScripts(t *testing.T) {
	const inactive, removed = `[ "$1" != is-active ]`, `[ "$1" != is-active ] && [ "$1" != is-enabled ]`
	for name, tt := range map[string]struct {
		script  string
		args    string
		answers map[string]string
		want    string // is called
		never   string
		says    string
		silent  bool
		fails   bool
	}{
		"deb new":                 {script: "postinstall", args: "configure", never: takeOverCall, says: "systemctl enable --now holdfast"},
		"rpm new":                 {script: "postinstall", args: "1", never: takeOverCall, says: "systemctl enable --now holdfast"},
		"deb upgrade":             {script: "postinstall", args: "configure 1.0.0", want: takeOverCall, silent: true},
		"rpm upgrade":             {script: "postinstall", args: "2", want: takeOverCall, silent: true},
		"upgrade, stopped":        {script: "postinstall", args: "configure 1.0.0", answers: map[string]string{"systemctl": inactive}, never: takeOverCall, silent: true},
		"deb again after removal": {script: "postinstall", args: "configure 1.0.0", answers: map[string]string{"systemctl": removed}, never: takeOverCall, says: "systemctl enable --now holdfast"},
		"deb upgrade given up":    {script: "postinstall", args: "abort-upgrade 1.0.1", never: takeOverCall, silent: true},
		"take-over fails":         {script: "postinstall", args: "2", answers: map[string]string{"holdfast": "echo why >&2; exit 1"}, want: takeOverCall, says: "why\nholdfast: the old version still runs"},
		"systemd fails":           {script: "postinstall", args: "configure", answers: map[string]string{"systemctl": "exit 1"}, says: "systemctl daemon-reload"},
		"no user":                 {script: "postinstall", args: "1", answers: map[string]string{"getent": `[ "$1" = group ]`, "useradd": "exit 9"}, says: "the user holdfast can't be created", fails: true},
		"no group":                {script: "postinstall", args: "1", answers: map[string]string{"getent": "exit 2", "groupadd": "exit 9"}, says: "the group holdfast can't be created", fails: true},
		"group":                   {script: "postinstall", args: "2", want: "chgrp holdfast /etc/holdfast/config.yaml", silent: true},
		"group of its own":        {script: "postinstall", args: "2", answers: map[string]string{"stat": "echo admins"}, never: "chgrp holdfast /etc/holdfast/config.yaml", silent: true},
		"group fails":             {script: "postinstall", args: "2", answers: map[string]string{"chgrp": "exit 1"}, want: takeOverCall, says: "/etc/holdfast/config.yaml"},
		"no configuration":        {script: "postinstall", args: "2", want: takeOverCall, silent: true},
		"deb remove":              {script: "preremove", args: "remove", want: stopCall, silent: true},
		"rpm remove":              {script: "preremove", args: "0", want: stopCall, silent: true},
		"deb old before upgrade":  {script: "preremove", args: "upgrade 1.0.1", never: stopCall, silent: true},
		"rpm old after upgrade":   {script: "preremove", args: "1", never: stopCall, silent: true},
		"stop fails":              {script: "preremove", args: "0", answers: map[string]string{"systemctl": "exit 1"}, want: stopCall, says: "could not be stopped"},
		"removed":                 {script: "postremove", args: "remove", want: "systemctl daemon-reload", silent: true},
		"removed, systemd fails":  {script: "postremove", args: "0", answers: map[string]string{"systemctl": "exit 1"}, says: "systemctl daemon-reload"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPackageScript(t)
			// systemd reads this file; a shell would run it.
			writeFile(t, filepath.Join(s.root, "etc/default/holdfast"),
				"# a comment\nOTHER=two words\nHOLDFAST_TOKEN=a b$(touch "+s.root+"/ran)\n; systemd's\nexit 3\n")
			for program, script := range tt.answers {
				s.answer(t, program, script)
			}
			if name == "no configuration" {
				if err := os.Remove(filepath.Join(s.root, "etc/holdfast/config.yaml")); err != nil {
					t.Fatal(err)
				}
			}
			said, calls, err := s.run(t, tt.script, strings.Fields(tt.args)...)
			if (err != nil) != tt.fails {
				t.Errorf("it ends with %v", err)
			}
			if exists(filepath.Join(s.root, "ran")) {
				t.Error("/etc/default/holdfast is run as a program")
			}
			if tt.want != "" && !slices.Contains(calls, tt.want) {
				t.Errorf("%q is not called", tt.want)
			}
			if tt.never != "" && slices.Contains(calls, tt.never) {
				t.Errorf("%q is called", tt.never)
			}
			if !strings.Contains(said, tt.says) || tt.silent && said != "" {
				t.Errorf("want it to say %q", tt.says)
			}
			if t.Failed() {
				t.Logf("it says %q and calls %q", said, calls)
			}
		})
	}
}
