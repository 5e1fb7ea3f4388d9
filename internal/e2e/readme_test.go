//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageBlock is a piece of code in a page: indented by four spaces, or fenced with a language.
type pageBlock struct{ language, code string }

// pageBlocks returns the pieces of code of a page of the repository.
func pageBlocks(t *testing.T, page string) (blocks []pageBlock) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	fence := ""
	flush := func(language string) {
		if len(code) > 0 {
			blocks = append(blocks, pageBlock{language, strings.TrimSpace(strings.Join(code, "\n"))})
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
	publishes := 0
	for _, b := range pageBlocks(t, "README.md") {
		name, _, _ := strings.Cut(b.code, "\n")
		t.Run(name, func(t *testing.T) {
			switch {
			case b.code == "go run . demo":
				// TestDemo runs it.
			case b.language == "text":
				// A picture.
			case strings.HasPrefix(b.code, "go run . run -config config.yaml\n"):
				lines := strings.Split(ports.Replace(b.code), "\n")
				if len(lines) != 3 {
					t.Fatalf("%d lines, want run, subscribe and publish", len(lines))
				}
				p := start(t, "curl", exec.Command("sh", "-c", "exec "+lines[1]))
				h.waitSubscribers(t, channel, 1)
				out, err := exec.Command("sh", "-c", lines[2]+" -sS").CombinedOutput()
				if err != nil || !regexp.MustCompile(`^\{"id":"[^"]+","subscribers":1\}\s*$`).Match(out) {
					t.Fatalf("curl: %v\n%s", err, out)
				}
				p.waitFor(t, regexp.MustCompile(`(?m)^data: hello$`))
				p.stop(t)
				publishes++
			default:
				t.Errorf("not known to this test:\n%s", b.code)
			}
		})
	}
	if publishes != 1 {
		t.Errorf("%d blocks publish, want 1", publishes)
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
