//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// portsOf replaces the addresses that pages show by those of h and its app.
func portsOf(h *holdfast, app string) *strings.Replacer {
	return strings.NewReplacer("127.0.0.1:8080", h.addr, "127.0.0.1:9090", strings.TrimPrefix(h.hooks, "http://"),
		"127.0.0.1:8081", strings.TrimPrefix(app, "http://"))
}

// TestGettingStarted runs the page's configuration, subscribes and publishes with its commands.
func TestGettingStarted(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the app") }))
	blocks := pageBlocks(t, "docs/getting-started.md")
	find := func(prefix string) string {
		for _, b := range blocks {
			if strings.HasPrefix(b.code, prefix) {
				return b.code
			}
		}
		t.Fatalf("no block begins with %q", prefix)
		return ""
	}
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return strings.NewReplacer("127.0.0.1:8080", listen, "127.0.0.1:9090", hooks, "http://127.0.0.1:8081", app).Replace(find("listen: "))
	})
	ports := portsOf(h, app)
	newVisitor(t, h.url).get("/").wantText(t, "the app")
	p := start(t, "curl", exec.Command("sh", "-c", "exec "+ports.Replace(find("curl -N "))))
	h.waitSubscribers(t, "public.news", 1)
	out, err := exec.Command("sh", "-c", ports.Replace(find("curl -d "))+" -sS").CombinedOutput()
	if err != nil || !regexp.MustCompile(`^\{"id":"[^"]+","subscribers":1\}\s*$`).Match(out) {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	p.waitFor(t, regexp.MustCompile(`(?m)^data: hello$`))
	p.stop(t)
}

// TestTutorialPublish runs the functions that the tutorials publish with, in PHP and in Java. Each says so when
// Holdfast refuses.
func TestTutorialPublish(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the app") }))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), shippedConfig(t, app))
	ports := portsOf(h, app)
	block := func(t *testing.T, page, language string) string {
		for _, b := range pageBlocks(t, page) {
			if b.language == language {
				return ports.Replace(b.code)
			}
		}
		t.Fatalf("%s has no block in %s", page, language)
		return ""
	}
	received := func(t *testing.T, publish func()) {
		t.Helper()
		c := holdSSE(t, newVisitor(t, h.url), "public.news")
		publish()
		if got := c.receive(t); got != "hello" {
			t.Errorf("received %q, want hello", got)
		}
	}
	t.Run("php", func(t *testing.T) {
		php := program(t, "php", "php-cli")
		function := block(t, "docs/tutorials/php.md", "php")
		received(t, func() {
			out, err := exec.Command(php, "-r", function+"\nvar_dump(push('public.news', 'hello'));").CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "bool(true)" {
				t.Fatalf("php: %v\n%s", err, out)
			}
		})
		out, err := exec.Command(php, "-d", "log_errors=1", "-d", "error_log=", "-r", function+"\nvar_dump(push('no.rule', 'x'));").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "bool(false)") || !strings.Contains(string(out), "push to no.rule: HTTP/1.1 400") {
			t.Errorf("php without a rule: %v\n%s", err, out)
		}
	})
	t.Run("java", func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "index.jsp"), `<%@ page import="java.io.*, java.net.*, java.net.http.*, java.nio.charset.*, java.time.*" %><%! `+
			block(t, "docs/tutorials/tomcat.md", "java")+` %><% try { push(request.getParameter("channel"), "hello"); out.print("done"); }
			catch (IOException e) { out.print(e.getMessage()); } %>`)
		tomcat := startTomcat(t, map[string]string{"": dir})
		received(t, func() { newVisitor(t, "http://"+tomcat).get("/?channel=public.news").wantText(t, "done") })
		newVisitor(t, "http://"+tomcat).get("/?channel=no.rule").wantText(t, "push to no.rule: ", "no rule for this channel")
	})
}

// TestCommandsPage compares the list of commands with what the program says of itself.
func TestCommandsPage(t *testing.T) {
	out, err := exec.Command(executable, "help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	list := pageBlocks(t, "docs/reference/cli.md")[0].code
	for line := range strings.Lines(list) {
		command := strings.Trim(strings.Fields(line)[1], "[]")
		if !regexp.MustCompile(`(?m)^\s+(holdfast )?\[?` + command + `\b`).Match(out) {
			t.Errorf("the program does not know %q:\n%s", command, out)
		}
	}
}
