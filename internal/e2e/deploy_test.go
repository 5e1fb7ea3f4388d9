//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLaunchd reads the property list of macOS as another reader does: what it runs is a command of the program, and no key
// is misspelt.
func TestLaunchd(t *testing.T) {
	const script = `import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))`
	out := run(t, exec.Command(program(t, "python3", "python3"), "-c", script, filepath.Join(repository, "deploy", "launchd", "holdfast.plist")))
	var p struct {
		Label                                  string
		ProgramArguments                       []string
		UserName                               string
		WorkingDirectory                       string
		StandardErrorPath                      string
		RunAtLoad                              bool
		KeepAlive                              struct{ SuccessfulExit *bool }
		ExitTimeOut                            int
		ProcessType                            string
		Umask                                  int
		SoftResourceLimits, HardResourceLimits struct{ NumberOfFiles int }
	}
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	if p.Label != "holdfast" || !p.RunAtLoad || p.KeepAlive.SuccessfulExit == nil || *p.KeepAlive.SuccessfulExit || p.Umask != 0o027 {
		t.Errorf("%s", out)
	}
	if p.ExitTimeOut <= 10 { // timeouts.drain
		t.Errorf("launchd kills after %d s", p.ExitTimeOut)
	}
	if p.SoftResourceLimits.NumberOfFiles < 20_000 || p.SoftResourceLimits.NumberOfFiles > p.HardResourceLimits.NumberOfFiles {
		t.Errorf("%d files of %d", p.SoftResourceLimits.NumberOfFiles, p.HardResourceLimits.NumberOfFiles)
	}
	// Each path is one that the page makes.
	page, err := os.ReadFile(filepath.Join(repository, "docs", "operate", "macos.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{p.ProgramArguments[0], p.ProgramArguments[3], p.WorkingDirectory, filepath.Dir(p.StandardErrorPath)} {
		if !strings.Contains(string(page), path) {
			t.Errorf("docs/operate/macos.md does not make %s", path)
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, "listen: nowhere")
	args := slices.Clone(p.ProgramArguments[1:])
	args[2] = file
	// The program takes these arguments: it is the file that is wrong.
	if out, err := exec.Command(executable, args...).CombinedOutput(); err == nil || !strings.Contains(string(out), file+":1") {
		t.Errorf("%q: %v\n%s", args, err, out)
	}
}

// TestManifests has the readers of Compose and Kubernetes read the files for containers, and checks that they notice a
// mistake.
func TestManifests(t *testing.T) {
	checker := filepath.Join(t.TempDir(), "manifests")
	build := exec.Command("go", "build", "-o", checker, ".")
	build.Dir = "manifests"
	run(t, build)
	for _, m := range []struct {
		system, file string
		mistakes     [][2]string // each a text, and another that makes the file wrong
	}{
		{"compose", "compose.yaml", [][2]string{
			{"read_only: true", "readonly: true"}, {"depends_on: [app]", "depends_on: [ap]"}, {"source: holdfast,", "source: other,"},
			{"stop_grace_period: 30s", "stop_grace_period: half a minute"},
		}},
		{"kubernetes", "kubernetes/sidecar.yaml", [][2]string{
			{"readOnlyRootFilesystem:", "readOnlyRootFileSystem:"}, {"matchLabels: {app: app}", "matchLabels: {app: other}"},
			{"{name: config, mountPath", "{name: conf, mountPath"}, {"tcpSocket: {port: http}", "tcpSocket: {port: web}"},
			{"secretKeyRef: {name: holdfast, key: token}", "secretKeyRef: {name: holdfast, key: tokens}"},
			{"targetPort: http", "targetPort: web"}, {"replicas: 1", "replicas: one"}, {"terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 30"},
		}},
	} {
		t.Run(m.system, func(t *testing.T) {
			check := func(text string) (string, error) {
				file := filepath.Join(t.TempDir(), "file.yaml")
				writeFile(t, file, text)
				cmd := exec.Command(checker, m.system, file)
				cmd.Env = append(os.Environ(), "HOLDFAST_TOKEN=0123456789abcdef")
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			text := string(readFile(t, filepath.Join(repository, "deploy", m.file)))
			if out, err := check(text); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for _, mistake := range m.mistakes {
				if !strings.Contains(text, mistake[0]) {
					t.Errorf("%s has no %q", m.file, mistake[0])
				} else if _, err := check(strings.Replace(text, mistake[0], mistake[1], 1)); err == nil {
					t.Errorf("%q is not noticed", mistake[1])
				}
			}
		})
	}
}
