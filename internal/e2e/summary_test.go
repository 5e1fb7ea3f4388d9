//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSummary wants that .ci/summary.go, by which a run of all tests is judged, counts every way in
// which tests can end.
func TestSummary(t *testing.T) {
	summary := filepath.Join(t.TempDir(), "summary")
	build := exec.Command("go", "build", "-o", summary, ".ci/summary.go")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	const ok, failed = "ok    ", "FAILED"
	for name, c := range map[string]struct {
		source string // of a test file; nothing for a step that is not go test
		code   int    // of a step that is not go test
		step   string
		total  string
		green  bool
	}{
		"leaves count, their parents do not": {
			source: `func TestA(t *testing.T) { t.Run("b", func(t *testing.T) { t.Run("c", func(*testing.T) {}); t.Run("d/e", func(*testing.T) {}) }) }
func TestF(t *testing.T) {}`,
			step: ok, total: "3 passed, 0 failed, 0 skipped", green: true,
		},
		"a subtest fails": {
			source: `func TestA(t *testing.T) { t.Run("b", func(t *testing.T) { t.Fail() }); t.Run("c", func(*testing.T) {}) }`,
			step:   failed, total: "1 passed, 1 failed, 0 skipped",
		},
		"only the parent fails": {
			source: `func TestA(t *testing.T) { t.Run("b", func(*testing.T) {}); t.Fail() }`,
			step:   failed, total: "1 passed, 1 failed, 0 skipped",
		},
		"a skipped test is not green": {
			source: `func TestA(t *testing.T) { t.Skip() }; func TestB(t *testing.T) {}`,
			step:   ok, total: "1 passed, 0 failed, 1 skipped",
		},
		"a panic": {
			source: `func TestA(t *testing.T) { panic("oh") }; func TestNeverRun(t *testing.T) {}`,
			step:   failed, total: "0 passed, 1 failed, 0 skipped",
		},
		"the process ends in the middle of a test": {
			source: `func TestA(t *testing.T) {}; func TestB(t *testing.T) { os.Exit(0) }`,
			step:   failed, total: "1 passed, 1 failed, 0 skipped",
		},
		"the tests pass and TestMain fails": {
			source: `func TestA(t *testing.T) {}; func TestMain(m *testing.M) { m.Run(); os.Exit(1) }`,
			step:   failed, total: "1 passed, 1 failed, 0 skipped",
		},
		"it does not build": {
			source: `func TestA(t *testing.T) { undefined() }`,
			step:   failed, total: "0 passed, 1 failed, 0 skipped",
		},
		"no tests": {
			source: `func helper() {}`,
			step:   failed, total: "0 passed, 1 failed, 0 skipped",
		},
		"a check fails": {
			code: 2, step: failed, total: "0 passed, 1 failed, 0 skipped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			kind, code := "check", c.code
			if c.source != "" {
				kind = "test"
				writeFile(t, filepath.Join(dir, "go.mod"), "module sample\n\ngo 1.26\n")
				writeFile(t, filepath.Join(dir, "a_test.go"),
					"package sample\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Exit\nvar _ testing.TB\n\n"+c.source)
			}
			var out, errors strings.Builder
			if kind == "test" {
				test := exec.Command("go", "test", "-vet=off", "-json", ".")
				test.Dir, test.Stdout, test.Stderr = dir, &out, &errors
				test.Run() // its exit code is part of what is told to summary
				code = test.ProcessState.ExitCode()
			}
			writeFile(t, filepath.Join(dir, "step.out"), out.String())
			writeFile(t, filepath.Join(dir, "step.err"), errors.String())
			writeFile(t, filepath.Join(dir, "steps.tsv"),
				fmt.Sprintf("%s\tsample\t%d\t1\t%s\n", kind, code, filepath.Join(dir, "step")))

			cmd := exec.Command(summary, filepath.Join(dir, "steps.tsv"))
			told, err := cmd.CombinedOutput()
			if green := err == nil; green != c.green {
				t.Errorf("summary ended with %v, want green: %v", err, c.green)
			}
			lines := strings.Split(strings.TrimSuffix(string(told), "\n"), "\n")
			last := lines[len(lines)-1]
			if step := lines[max(0, len(lines)-2)]; !strings.HasPrefix(step, c.step) || last != c.total {
				t.Errorf("want %s and at last %q, got\n%s", c.step, c.total, told)
			}
		})
	}
}
