//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// windows is a Windows that wine makes in a folder of the test, and the program built for it.
type windows struct {
	env        []string
	executable string
}

// startWindows makes the Windows. Its processes end with the test.
func startWindows(t *testing.T) *windows {
	t.Helper()
	dir := t.TempDir()
	w := &windows{
		env: append(os.Environ(), "HOME="+dir, "WINEPREFIX="+filepath.Join(dir, "prefix"), "WINEARCH=win64", "DISPLAY=",
			"WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe="),
		executable: filepath.Join(dir, "holdfast.exe"),
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", w.executable, ".")
	build.Dir, build.Env = repository, append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	run(t, build)
	server := program(t, "/usr/lib/wine/wineserver64", "wine64")
	t.Cleanup(func() {
		for _, arg := range []string{"-k", "-w"} { // what is left of this Windows, and only of this; then wait
			stop := exec.Command(server, arg)
			stop.Env = w.env
			out, err := wineOutput(t, stop) // -k fails if nothing is left
			if arg == "-w" && err != nil {
				t.Errorf("wineserver -w: %v\n%s", err, out)
			}
		}
	})
	if out, err := wineOutput(t, w.command(t, "wineboot", "--init")); err != nil {
		t.Fatalf("wineboot: %v\n%s", err, out)
	}
	booted := exec.Command(server, "-w") // until the services of wineboot have ended: with those, sc start fails later
	booted.Env = w.env
	if out, err := wineOutput(t, booted); err != nil {
		t.Fatalf("wineserver -w: %v\n%s", err, out)
	}
	system := filepath.Join(dir, "prefix", "drive_c", "windows", "system32")
	if library := filepath.Join(system, "bcryptprimitives.dll"); !exists(library) {
		writeFile(t, library, string(forwardingDLL(t, "bcryptprimitives.dll", "ProcessPrng", "ADVAPI32.SystemFunction036")))
	}
	idle := w.command(t, "cmd") // without a program that runs, wine ends its services
	in, err := idle.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "cmd.exe", idle)
	p.waitFor(t, regexp.MustCompile(`Windows`)) // the services are its children, and inherit its output and no other
	t.Cleanup(func() { in.Close() })
	return w
}

// command is one of the program args[0], a path here or a name there, in this Windows.
func (w *windows) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, "/usr/lib/wine/wine64", "wine64"), args...)
	cmd.Env, cmd.Dir = w.env, filepath.Dir(w.executable)
	cmd.WaitDelay = wineDelay
	return cmd
}

// wineDelay is how long Wait lets others, such as wine's services, keep the output of a program open that has ended.
const wineDelay = 5 * time.Second

// wineOutput runs a command and returns what it has written. That goes to a file: nobody who inherits a file keeps Wait from
// ending, as with a pipe. A command that hangs is killed, which is an error.
func wineOutput(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	file, err := os.CreateTemp("", "wine-output-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Wait()
	return string(readFile(t, file.Name())), err
}

// windowsPath is how a program there names a file here.
func windowsPath(path string) string { return "Z:" + strings.ReplaceAll(path, "/", `\`) }

// serve runs Holdfast with the configuration, and stops it at the end of the test as Ctrl-C does.
func (w *windows) serve(t *testing.T, config func(listen, hooks string) string) *holdfast {
	t.Helper()
	listen, hooks := freeAddr(t), freeAddr(t)
	h := &holdfast{addr: listen, url: "http://" + listen, hooks: "http://" + hooks,
		config: filepath.Join(t.TempDir(), "config.yaml")}
	writeFile(t, h.config, config(listen, hooks))
	h.process = start(t, "holdfast.exe", w.command(t, w.executable, "run", "-config", windowsPath(h.config)))
	t.Cleanup(func() { h.interrupt(t) })
	h.waitListening(t, listen)
	h.waitListening(t, hooks)
	return h
}

// interrupt has wine send the program what Ctrl-C sends, and wants it to end well.
func (h *holdfast) interrupt(t *testing.T) {
	t.Helper()
	if h.ended {
		return
	}
	h.ended = true
	h.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-h.done:
	case <-time.After(patience):
		t.Errorf("holdfast.exe runs on %v after Ctrl-C", patience)
		return
	}
	if h.cmd.ProcessState.ExitCode() != 0 || !strings.Contains(h.log.String(), "holdfast is shutting down") { // whoever has its output
		t.Errorf("holdfast.exe after Ctrl-C: %v, want exit code 0 and a shutdown", h.cmd.ProcessState)
	}
	if at := calamity.FindStringIndex(h.log.String()); at != nil {
		t.Errorf("the log of holdfast.exe has %q", h.log.String()[at[0]:at[1]])
	}
}

// TestWine runs the program that is built for Windows.
func TestWine(t *testing.T) {
	w := startWindows(t)
	app := startApp(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Errorf("the app has no body: %v", err)
		}
		fmt.Fprintf(rw, "%s %s %d %s", r.Method, r.URL, body.Len(), r.Header.Get("X-Forwarded-For"))
	}))
	config := func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\nchannels: [{match: 'public.**', access: public}]\n", listen, app, hooks)
	}
	t.Run("commands", func(t *testing.T) { testWineCommands(t, w, config) })
	t.Run("proxy", func(t *testing.T) { testWineProxy(t, w, w.serve(t, config)) })
	t.Run("push", func(t *testing.T) { testWinePush(t, w.serve(t, config)) })
	t.Run("reload", func(t *testing.T) { testWineReload(t, w, w.serve(t, config)) })
	t.Run("stop", func(t *testing.T) { testWineStop(t, w.serve(t, config)) })
	t.Run("files", func(t *testing.T) { testWineFiles(t, w) })
	t.Run("service", func(t *testing.T) { testWineService(t, w, config) })
	t.Run("tests", func(t *testing.T) { testWinePackages(t, w, "service") })
}

// testWinePackages runs the tests of packages in internal that are for Windows.
func testWinePackages(t *testing.T, w *windows, packages ...string) {
	dir := t.TempDir()
	for _, name := range packages {
		t.Run(name, func(t *testing.T) {
			file, folder := filepath.Join(dir, name+".exe"), filepath.Join(repository, "internal", name)
			build := exec.Command("go", "test", "-c", "-vet=off", "-buildvcs=false", "-o", file, ".")
			build.Dir, build.Env = folder, append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
			run(t, build)
			cmd := w.command(t, file, "-test.v")
			cmd.Dir = folder
			if out, err := wineOutput(t, cmd); err != nil || !strings.Contains(out, "--- PASS") || strings.Contains(out, "--- SKIP") {
				t.Errorf("%v; or a test was skipped, or none was run:\n%s", err, out)
			}
		})
	}
}

// testWineCommands: a configuration that is wrong ends check and run with an error that names the line.
func testWineCommands(t *testing.T, w *windows, config func(listen, hooks string) string) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	writeFile(t, good, config("127.0.0.1:8080", "127.0.0.1:9090"))
	writeFile(t, bad, "listen: 127.0.0.1:8080\nupstraem: http://127.0.0.1:1\n")
	taken := filepath.Join(dir, "taken.yaml")
	used := startApp(t, http.NotFoundHandler())
	writeFile(t, taken, config(strings.TrimPrefix(used, "http://"), "127.0.0.1:0"))
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"version":           {[]string{"version"}, 0, "holdfast "},
		"check":             {[]string{"check", windowsPath(good)}, 0, "ok: 127.0.0.1:8080"},
		"check, wrong file": {[]string{"check", windowsPath(bad)}, 1, `bad.yaml:2:1: upstraem: unknown key; did you mean "upstream"?`},
		"run, wrong file":   {[]string{"run", "-config", windowsPath(bad)}, 1, `bad.yaml:2:1: upstraem`},
		"run, no file":      {[]string{"run", "-config", windowsPath(filepath.Join(dir, "none"))}, 1, "none"},
		"run, port taken":   {[]string{"run", "-config", windowsPath(taken)}, 1, "listen"},
		"wrong flag":        {[]string{"run", "-confg"}, 2, "flag provided but not defined"},
		"reload, nobody":    {[]string{"reload", "-hooks", "http://" + freeAddr(t)}, 1, "reload: "},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := w.command(t, append([]string{w.executable}, c.args...)...)
			out, _ := wineOutput(t, cmd)
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}

// testWineProxy: requests reach the app whole, also one whose body goes through a temporary file.
func testWineProxy(t *testing.T, w *windows, h *holdfast) {
	v := newVisitor(t, h.url)
	v.get("/a?b=c").wantText(t, "GET /a?b=c 0 127.0.0.1")
	const large = 5 << 20
	a := v.do(http.MethodPost, "/upload", nil, bytes.NewReader(make([]byte, large)))
	a.want(t, http.StatusOK)
	a.wantText(t, fmt.Sprintf("POST /upload %d 127.0.0.1", large))
	temp := filepath.Join(filepath.Dir(w.executable), "prefix", "drive_c", "users", "*", "Temp")
	if found, err := filepath.Glob(temp); err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", temp, err)
	}
	eventually(t, "no temporary file is left", func() bool {
		left, err := filepath.Glob(filepath.Join(temp, "holdfast-*"))
		return err == nil && len(left) == 0
	})
}

// testWinePush: a WebSocket, an event stream and a long poll have what is published, by HTTP and by the command.
func testWinePush(t *testing.T, h *holdfast) {
	const channel = "public.news"
	clients := map[string]held{
		"websocket": holdWebSocket(t, h, channel),
		"sse":       holdSSE(t, newVisitor(t, h.url), channel),
		"long poll": holdLongPoll(t, newVisitor(t, h.url), channel),
	}
	h.waitSubscribers(t, channel, len(clients))
	for _, message := range []string{"hello", "grüße 🐢", strings.Repeat("long ", 20_000)} {
		h.publish(t, channel, message)
		for name, c := range clients {
			if got := c.receive(t); got != message {
				t.Errorf("%s received %.100q, want %.100q", name, got, message)
			}
		}
	}
}

// testWineReload: the command has Holdfast take the new rules, keeps what is held, and says what is wrong with a file.
func testWineReload(t *testing.T, w *windows, h *holdfast) {
	client := holdSSE(t, newVisitor(t, h.url), "public.news")
	h.waitSubscribers(t, "public.news", 1)
	reload := func(code int, want string) {
		t.Helper()
		cmd := w.command(t, w.executable, "reload", "-hooks", h.hooks)
		out, _ := wineOutput(t, cmd)
		if cmd.ProcessState.ExitCode() != code || !strings.Contains(out, want) {
			t.Errorf("%v, want exit code %d and %q:\n%s", cmd.ProcessState, code, want, out)
		}
	}
	data, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.config, strings.Replace(string(data), "channels: [", "channels: [{match: 'open.**', access: public}, ", 1))
	reload(0, "reloaded: channels")
	newVisitor(t, h.url).get("/_push?channel=open.a&wait=0").want(t, http.StatusOK)
	writeFile(t, h.config, "nonsense")
	reload(1, "config.yaml:1")
	h.publish(t, "public.news", "still held")
	if got := client.receive(t); got != "still held" {
		t.Errorf("received %q", got)
	}
}

// testWineStop: clients are told, a stream ends whole, and the process ends.
func testWineStop(t *testing.T, h *holdfast) {
	socket := holdWebSocket(t, h, "public.news")
	stream := holdSSE(t, newVisitor(t, h.url), "public.news")
	h.waitSubscribers(t, "public.news", 2)
	h.interrupt(t)
	if _, _, err := socket.conn.ReadMessage(); err == nil || !strings.Contains(err.Error(), "1001") {
		t.Errorf("the WebSocket ends with %v, want close code 1001", err)
	}
	stream.wantEnd(t)
}

// testWineFiles: static files, the history file over a restart, and the access log, with the paths of Windows.
func testWineFiles(t *testing.T, w *windows) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "www", "a b", "page.html"), "<p>a page</p>")
	writeFile(t, filepath.Join(dir, "secret.txt"), "the secret")
	config := func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
hooks: {listen: %s}
routes: [{match: /, root: '%s'}]
push: {history_file: '%s'}
log: {access_log: '%s'}
channels: [{match: "public.**", access: public, history: {messages: 10, age: 1h}}]
`, listen, hooks, windowsPath(filepath.Join(dir, "www")), windowsPath(filepath.Join(dir, "history")), windowsPath(filepath.Join(dir, "access.log")))
	}
	h := w.serve(t, config)
	v := newVisitor(t, h.url)
	v.get("/a%20b/page.html").wantText(t, "<p>a page</p>")
	for _, path := range []string{
		"/..%5Csecret.txt", "/a%20b/..%5C..%5Csecret.txt", "/%5C..%5Csecret.txt", "/Z:/secret.txt", "/a%20b/page.html::$DATA",
		"/C:", "/CON", "/a%20b/NUL", "/a%20b/page.html.", "/a%20b/page.html%20", "/%5C%5Clocalhost%5Cc$", "/a%20b%5Cpage.html",
	} {
		if a := v.do(http.MethodGet, path, nil, nil); a.StatusCode < 400 || a.StatusCode > 404 || strings.Contains(a.body, "secret") || strings.Contains(a.body, "a page") {
			t.Errorf("%s: %s %.100q", path, a.Status, a.body)
		}
	}
	first := h.publish(t, "public.news", "first").ID
	h.publish(t, "public.news", "second")
	h.interrupt(t)
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil || !strings.Contains(string(log), `"GET /a%20b/page.html HTTP/1.1" 200`) {
		t.Errorf("the access log has %q, %v", log, err)
	}
	h = w.serve(t, config)
	a := newVisitor(t, h.url).get("/_push?channel=public.news&wait=0&last_id=" + first)
	a.wantText(t, "second")
	if strings.Contains(a.body, "gap") {
		t.Errorf("after the restart a client resumes with %s", a.body)
	}
}

var serviceState = regexp.MustCompile(`STATE\s*: \d+\s+(\w+)`)

// testWineService: the service manager starts the program, sees that it runs, and stops it; one that can't start is seen
// to have failed.
func testWineService(t *testing.T, w *windows, config func(listen, hooks string) string) {
	sc := func(args ...string) (string, error) {
		return wineOutput(t, w.command(t, append([]string{"sc"}, args...)...))
	}
	state := func(name string) string {
		out, _ := sc("query", name)
		if m := serviceState.FindStringSubmatch(out); m != nil {
			return m[1]
		}
		return out
	}
	create := func(name, file string) {
		t.Helper()
		if out, err := sc("create", name, "binPath=", fmt.Sprintf(`"%s" run -config "%s"`, windowsPath(w.executable), windowsPath(file))); err != nil {
			t.Fatalf("sc create: %v\n%s", err, out)
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	listen, hooks := freeAddr(t), freeAddr(t)
	writeFile(t, file, config(listen, hooks))
	create("Holdfast", file)
	if out, err := sc("start", "Holdfast"); err != nil {
		t.Fatalf("sc start: %v\n%s", err, out)
	}
	eventually(t, "the service runs", func() bool { return state("Holdfast") == "RUNNING" })
	h := &holdfast{addr: listen, url: "http://" + listen, hooks: "http://" + hooks}
	newVisitor(t, h.url).get("/a").wantText(t, "GET /a 0")
	stream := holdSSE(t, newVisitor(t, h.url), "public.news")
	h.waitSubscribers(t, "public.news", 1)
	if out, err := sc("stop", "Holdfast"); err != nil {
		t.Fatalf("sc stop: %v\n%s", err, out)
	}
	stream.wantEnd(t)
	eventually(t, "the service is stopped", func() bool { return state("Holdfast") == "STOPPED" })

	writeFile(t, file, "nonsense")
	if out, err := sc("start", "Holdfast"); err == nil && state("Holdfast") == "RUNNING" {
		t.Errorf("a wrong configuration starts:\n%s", out)
	}
	eventually(t, "the service has failed", func() bool { return state("Holdfast") == "STOPPED" })
}
