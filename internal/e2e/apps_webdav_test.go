//go:build e2e && linux

package e2e

import (
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestAppWebDAV runs litmus, which tests WebDAV servers, against Apache's mod_dav: it finds no more fault
// behind Holdfast than behind nginx.
func TestAppWebDAV(t *testing.T) {
	program(t, "litmus", "litmus")
	dir := publicTempDir(t)
	mkdirForApache(t, filepath.Join(dir, "app", "dav"))
	page := newAppPage(t, "docs/how-to/webdav.md")
	addr := startApache(t, dir, filepath.Join(dir, "app"), strings.Replace(page.code(t, "apache", "LoadModule"), "/var/lock/apache2", filepath.Join(dir, "run"), 1))

	reports := make(map[string]litmusReport) // by the proxy
	behindBoth(t, page, addr, func(t *testing.T, url string) {
		reports[path.Base(t.Name())] = litmus(t, strings.Replace(page.code(t, "sh", "litmus"), "http://127.0.0.1:8080", url, 1))
	}, func(t *testing.T, h *holdfast) {
		c := holdSSE(t, newVisitor(t, h.url), "public.files")
		cmd := exec.Command("sh", "-ec", strings.ReplaceAll(page.code(t, "sh", "curl -T"), "127.0.0.1:8080", h.addr))
		cmd.Dir = t.TempDir()
		writeFile(t, filepath.Join(cmd.Dir, "report.pdf"), "a report")
		run(t, cmd)
		if got := c.receive(t); got != "report.pdf" {
			t.Errorf("received %q", got)
		}
		newVisitor(t, h.url).get("/dav/report.pdf").wantText(t, "a report")
	})
	nginx, holdfast := reports["nginx"], reports["holdfast"]
	if nginx.passed < 100 {
		t.Errorf("%d tests passed behind nginx, want at least 100", nginx.passed)
	}
	if holdfast.passed < nginx.passed {
		t.Errorf("%d tests passed behind Holdfast, %d behind nginx", holdfast.passed, nginx.passed)
	}
	for _, fault := range holdfast.faults {
		if !slices.Contains(nginx.faults, fault) {
			t.Errorf("behind Holdfast only: %s", fault)
		}
	}
}

// litmusReport is how many tests passed, and the lines about those that failed or warned.
type litmusReport struct {
	passed int
	faults []string
}

var litmusSummary = regexp.MustCompile(`of \d+ tests run: (\d+) passed`)

func litmus(t *testing.T, command string) (report litmusReport) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir = t.TempDir()             // for its logs
	output, _ := cmd.CombinedOutput() // its exit status is that of the last suite
	for line := range strings.Lines(string(output)) {
		if m := litmusSummary.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			report.passed += n
		}
		if strings.Contains(line, "FAIL") || strings.Contains(line, "WARNING") {
			report.faults = append(report.faults, line[strings.LastIndex(line, "\r")+1:])
		}
	}
	t.Logf("%d tests passed; faults: %q", report.passed, report.faults)
	return report
}
