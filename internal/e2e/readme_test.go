//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeBlock is a piece of code in the README: indented by four spaces, or fenced with a language.
type readmeBlock struct{ language, code string }

func readmeBlocks(t *testing.T) (blocks []readmeBlock) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	fence := ""
	flush := func(language string) {
		if len(code) > 0 {
			blocks = append(blocks, readmeBlock{language, strings.TrimSpace(strings.Join(code, "\n"))})
		}
		code = nil
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		language, isFence := strings.CutPrefix(line, "```")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case isFence && fence == "":
			flush("")
			fence = language
		case isFence:
			flush(fence)
			fence = ""
		case fence != "":
			code = append(code, line)
		case isIndented:
			code = append(code, indented)
		case line == "" && len(code) > 0:
			code = append(code, line)
		default:
			flush("")
		}
	}
	flush("")
	return blocks
}

// TestReadme runs what the README shows, as it stands there but for the ports. A block that is not known
// here fails.
func TestReadme(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the app") }))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), shippedConfig(t, app))
	ports := strings.NewReplacer("127.0.0.1:8080", h.addr, "127.0.0.1:9090", strings.TrimPrefix(h.hooks, "http://"), "127.0.0.1:8081", strings.TrimPrefix(app, "http://"))
	const channel = "public.news"
	received := func(t *testing.T, publish func()) {
		t.Helper()
		c := holdSSE(t, newVisitor(t, h.url), channel)
		publish()
		if got := c.receive(t); got != "hello" {
			t.Errorf("received %q, want hello", got)
		}
	}
	publishes := 0
	for _, b := range readmeBlocks(t) {
		name, _, _ := strings.Cut(b.code, "\n")
		t.Run(name, func(t *testing.T) {
			switch {
			case b.language == "php":
				php := program(t, "php", "php-cli")
				received(t, func() {
					out, err := exec.Command(php, "-r", ports.Replace(b.code)).CombinedOutput()
					if err != nil || len(out) > 0 {
						t.Fatalf("php: %v\n%s", err, out)
					}
				})
			case b.language == "java":
				dir := t.TempDir()
				writeFile(t, filepath.Join(dir, "index.jsp"), `<%@ page import="java.net.*, java.net.http.*" %><% `+ports.Replace(b.code)+` %>done`)
				tomcat := startTomcat(t, map[string]string{"": dir})
				received(t, func() { newVisitor(t, "http://"+tomcat).get("/").wantText(t, "done") })
			case b.language == "yaml":
				file := filepath.Join(t.TempDir(), "config.yaml")
				writeFile(t, file, b.code)
				out, err := exec.Command(executable, "check", "-config", file).CombinedOutput()
				if err != nil || !strings.HasPrefix(string(out), "ok: ") {
					t.Errorf("check: %v\n%s", err, out)
				}
			case b.code == "go run . demo", b.code == "make test":
				// TestDemo runs the one, and the other runs this.
			case strings.HasPrefix(b.code, "go run . run -config config.yaml\n"):
				_, curl, _ := strings.Cut(b.code, "\n")
				p := start(t, "curl", exec.Command("sh", "-c", "exec "+ports.Replace(curl)))
				h.waitSubscribers(t, channel, 1)
				h.publish(t, channel, "over the wire")
				p.waitFor(t, regexp.MustCompile(`(?m)^data: over the wire$`))
				p.stop(t)
			case strings.HasPrefix(b.code, "curl -d 'hello' "):
				received(t, func() {
					out, err := exec.Command("sh", "-c", ports.Replace(b.code)+" -sS").CombinedOutput()
					if err != nil || !regexp.MustCompile(`^\{"id":"[^"]+","subscribers":1\}\s*$`).Match(out) {
						t.Fatalf("curl: %v\n%s", err, out)
					}
				})
				publishes++
			case strings.HasPrefix(b.code, "holdfast [run]"):
				checkCommands(t, b.code)
			default:
				t.Errorf("not known to this test:\n%s", b.code)
			}
		})
	}
	if publishes != 1 {
		t.Errorf("%d curl lines publish, want 1", publishes)
	}
}

// shippedConfig is the shipped config.yaml with other addresses.
func shippedConfig(t *testing.T, app string) func(listen, hooks string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return func(listen, hooks string) string {
		return strings.NewReplacer("http://127.0.0.1:8081", app, "listen: 127.0.0.1:8080", "listen: "+listen, "listen: 127.0.0.1:9090", "listen: "+hooks).Replace(string(data))
	}
}

// checkCommands compares the list with what the program says of itself.
func checkCommands(t *testing.T, list string) {
	t.Helper()
	out, _ := exec.Command(executable, "help").CombinedOutput()
	for in := bufio.NewScanner(strings.NewReader(list)); in.Scan(); {
		fields := strings.Fields(in.Text())
		command := strings.Trim(fields[1], "[]")
		if !regexp.MustCompile(`(?m)^\s+(holdfast )?\[?` + command + `\b`).Match(out) {
			t.Errorf("the program does not know %q:\n%s", command, out)
		}
	}
}
