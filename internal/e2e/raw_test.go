//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// rawApp is a real app that writes a line "METHOD TARGET" for every request that it saw.
type rawApp struct {
	config string // of Holdfast, but for the listeners
	log    string
}

// rawApps starts each of the real apps, with a page that takes every path, /admin/secret.txt, and a log.
var rawApps = map[string]func(t *testing.T, dir, root string) rawApp{
	"apache": func(t *testing.T, dir, root string) rawApp {
		log := filepath.Join(dir, "access.log")
		addr := startApache(t, dir, root, fmt.Sprintf("CustomLog %s \"%%r\"\nFallbackResource /index.php\n", log))
		return rawApp{"upstream: http://" + addr, log}
	},
	"php-fpm": func(t *testing.T, dir, root string) rawApp {
		log := filepath.Join(dir, "access.log")
		writeFile(t, log, "")
		if err := os.Chmod(log, 0o666); err != nil {
			t.Fatal(err)
		}
		socket := startFPM(t, dir, nil, "RAW_LOG="+log)
		return rawApp{fmt.Sprintf("upstream: fastcgi+unix:%s\nsite: {root: %s, try_files: [/index.php]}", socket, root), log}
	},
	"tomcat": func(t *testing.T, dir, root string) rawApp {
		log := filepath.Join(dir, "access.log")
		return rawApp{"upstream: http://" + startTomcat(t, map[string]string{"": root}, "RAW_LOG="+log), log}
	},
}

// TestRawRequests sends what smugglers send to real apps: of what is refused they see nothing, also not of what comes
// behind it, and what is passed is one request with the path that was sent.
func TestRawRequests(t *testing.T) {
	for name, startRaw := range rawApps {
		t.Run(name, func(t *testing.T) {
			dir := publicTempDir(t)
			root := filepath.Join(dir, "app")
			for file, text := range map[string]string{
				"admin/secret.txt": "the SECRET\n",
				"index.php":        `<?php $log = getenv('RAW_LOG'); $n = strlen(file_get_contents('php://input')); if ($log) file_put_contents($log, $_SERVER['REQUEST_METHOD'].' '.$_SERVER['REQUEST_URI']." \n", FILE_APPEND | LOCK_EX); $out = $_SERVER['REQUEST_URI'].' '.$n; header('Content-Length: '.strlen($out)); echo $out;`,
				"index.jsp": `<%@ page import="java.io.*" %><% String uri = (String) request.getAttribute("jakarta.servlet.error.request_uri"); uri = request.getRequestURI();
					long n = 0; for (InputStream in = request.getInputStream(); in.read() >= 0;) n++;
					String q = request.getQueryString();
					synchronized (application) { try (FileWriter w = new FileWriter(System.getenv("RAW_LOG"), true)) { w.write(request.getMethod() + " " + uri + (q == null ? "" : "?" + q) + " \n"); } }
					out.print(uri + " " + n); %>`,
				"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"><servlet><servlet-name>all</servlet-name><jsp-file>/index.jsp</jsp-file></servlet><servlet-mapping><servlet-name>all</servlet-name><url-pattern>/*</url-pattern></servlet-mapping><servlet><servlet-name>secret</servlet-name><jsp-file>/secret.jsp</jsp-file></servlet><servlet-mapping><servlet-name>secret</servlet-name><url-pattern>/admin/*</url-pattern></servlet-mapping></web-app>`,
				"secret.jsp":      "the SECRET\n",
			} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(root, file), text)
			}
			app := startRaw(t, dir, root)
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\n%s\nhooks: {listen: %s}\n", listen, app.config, hooks)
			})
			testRefused(t, h, app)
			testPassed(t, h, app)
			guarded := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\n%s\nhooks: {listen: %s}\nroutes: [{match: /admin, redirect: 'https://refused.test'}]\n", listen, app.config, hooks)
			})
			testGuarded(t, h, guarded)
		})
	}
}

// saw returns what the app has seen since the last call.
func (a rawApp) saw(t *testing.T, from *int) []string {
	t.Helper()
	b, err := os.ReadFile(a.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	lines = lines[:len(lines)-1] // whole ones
	fresh := lines[*from:]
	*from = len(lines)
	return fresh
}

// awaitSaw is saw once the app has written n lines: some write when the answer has been sent.
func (a rawApp) awaitSaw(t *testing.T, from *int, n int) (list []string) {
	t.Helper()
	for by := time.Now().Add(patience); len(list) < n && time.Now().Before(by); time.Sleep(time.Millisecond) {
		list = append(list, a.saw(t, from)...)
	}
	return list
}

// sendRaw sends bytes and returns the answers, of which the last is that to the probe that is sent behind them where the
// connection is still open.
func sendRaw(t *testing.T, h *holdfast, sent, probe string) (answers []string, statuses []int) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, sent+probe) //nolint:errcheck // it may be refused before the end
	r := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers, statuses
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		answers, statuses = append(answers, string(body)), append(statuses, resp.StatusCode)
		if resp.Close || len(answers) > 3 {
			return answers, statuses
		}
	}
}

func testRefused(t *testing.T, h *holdfast, app rawApp) {
	seen := 0
	app.saw(t, &seen)
	for _, r := range wiretest.RefusedRequests() {
		_, statuses := sendRaw(t, h, r.Sent, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
		if len(statuses) != 1 || statuses[0] != r.Status {
			t.Errorf("%s: answered %v; want %d and nothing else", r.Name, statuses, r.Status)
		}
	}
	a := newVisitor(t, h.url).get("/after")
	a.want(t, http.StatusOK)
	if saw := app.awaitSaw(t, &seen, 1); len(saw) != 1 || !strings.HasPrefix(saw[0], "GET /after ") {
		t.Errorf("the app saw %q; want the request after all that was refused", saw)
	}
}

func testPassed(t *testing.T, h *holdfast, app rawApp) {
	seen := 0
	app.saw(t, &seen)
	for _, r := range wiretest.PassedRequests() {
		answers, statuses := sendRaw(t, h, r.Sent, "GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		byApp := r.Choosy && fmt.Sprint(statuses) == "[400 200]"
		if !byApp && fmt.Sprint(statuses) != "[200 200]" || !strings.HasPrefix(answers[1], "/probe ") {
			t.Errorf("%s: answered %v %q; want two answers", r.Name, statuses, answers)
		}
		method, _, _ := strings.Cut(strings.TrimLeft(r.Sent, "\r\n"), " ")
		path, _, _ := strings.Cut(r.Path, "?")
		saw := app.awaitSaw(t, &seen, 1)
		if len(saw) == 0 || !strings.HasPrefix(saw[len(saw)-1], "GET /probe ") {
			saw = append(saw, app.awaitSaw(t, &seen, 1)...)
		}
		if byApp && len(saw) == 1 { // the app's log leaves out what it refuses
			saw = append([]string{method + " " + path}, saw...)
		}
		if len(saw) != 2 || !strings.HasPrefix(saw[0], method+" "+path) || !strings.HasPrefix(saw[1], "GET /probe ") {
			t.Errorf("%s: the app saw %q; want %s %s and the probe", r.Name, saw, method, r.Path)
		}
	}
}

// testGuarded: a rule for /admin keeps everybody from it, however it is spelt. Without the rule some spellings do get
// there, or the test would show nothing.
func testGuarded(t *testing.T, open, guarded *holdfast) {
	reached := 0
	for _, path := range wiretest.AdminPaths() {
		sent := "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		if answers, _ := sendRaw(t, open, sent, ""); strings.Contains(strings.Join(answers, ""), "SECRET") {
			reached++
		}
		answers, statuses := sendRaw(t, guarded, sent, "")
		if strings.Contains(strings.Join(answers, ""), "SECRET") {
			t.Errorf("%s gets to what /admin guards", path)
		}
		if len(statuses) != 1 {
			t.Errorf("%s: answered %v; want one answer", path, statuses)
		}
	}
	t.Logf("%d of %d spellings reach the app's /admin where no rule is", reached, len(wiretest.AdminPaths()))
	if reached < 3 {
		t.Errorf("only %d spellings reach /admin without the rule", reached)
	}
}
