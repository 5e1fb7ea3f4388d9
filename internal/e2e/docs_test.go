//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ranElsewhere has the blocks that tests of their own run, by page and first words. Those tests read them from the page.
var ranElsewhere = []struct{ page, begins, test string }{
	{"docs/reference/webhooks.md", "$body = ", "TestEventsToPHP"},
	{"docs/reference/webhooks.md", "String[] part", "TestPagesJava"},
	{"docs/concepts/channels-and-rules.md", "String channel", "TestPagesJava"},
	{"docs/concepts/channels-and-rules.md", "$channel", "TestPagesPHP"},
	{"docs/how-to/jwt.md", "$enc", "TestPagesPHP"},
	{"docs/tutorials/php.md", "function push", "TestPagesPHP"},
	{"docs/tutorials/php.md", "<?php\nsession_start", "TestPagesPHP"},
	{"docs/tutorials/php.md", "function position", "TestPagesPHP"},
	{"docs/tutorials/tomcat.md", "static final", "TestPagesJava"},
	{"docs/tutorials/tomcat.md", "static String position", "TestPagesJava"},
	{"docs/tutorials/wordpress.md", "<?php\nfunction push(", "TestAppWordPress"},
	{"docs/tutorials/wordpress.md", "push('user.7'", "TestAppWordPress"},
	{"docs/tutorials/mediawiki.md", "$wgArticlePath", "TestAppMediaWiki"},
	{"docs/tutorials/mediawiki.md", "$wgHooks", "TestAppMediaWiki"},
	{"docs/tutorials/mediawiki.md", "<?php", "TestAppMediaWiki"},
	{"docs/tutorials/django.md", "SECURE_PROXY", "TestAppDjango"},
	{"docs/tutorials/django.md", "import logging", "TestAppDjango"},
	{"docs/tutorials/django.md", "from django.contrib import admin", "TestAppDjango"},
	{"docs/tutorials/django.md", "path(", "TestAppDjango"},
	{"docs/how-to/response-headers.md", "header('Push-Channel: parcel.42');", "TestFPMPushHeaders"},
	{"docs/how-to/response-headers.md", "header('Push-Channel: parcel.42');\nheader('Push-Data", "TestFPMPushHeaders"},
	{"docs/how-to/response-headers.md", "header('Content-Type", "TestFPMPushHeaders"},
	{"docs/how-to/tomcat-manager.md", "curl -u", "TestAppTomcatManager"},
	{"docs/how-to/webdav.md", "curl -T", "TestAppWebDAV"},
	{"docs/how-to/webdav.md", "litmus", "TestAppWebDAV"},
	{"docs/tutorials/django.md", "gunicorn", "TestAppDjango"},
	{"docs/operate/upgrade.md", "push:", "TestRestart"},
	{"docs/how-to/git.md", "#!/bin/sh", "TestAppGit"},
	{"docs/how-to/tls.md", "listen:", "TestTLSPage"},
}

// TestPages runs what the pages show: it follows each page from top to bottom. A configuration starts Holdfast, a
// command is run, a page of HTML is opened in a browser; only the ports, and the folders outside of the checkout, are
// others. A comment "# prints TEXT" behind a command is what it has to print. A block that nothing here can run fails.
func TestPages(t *testing.T) {
	sources := readTests(t)
	for _, e := range ranElsewhere {
		if !strings.Contains(sources[e.test], `"`+e.page+`"`) {
			t.Errorf("%s does not read %s", e.test, e.page)
		}
		wantBlock(t, e.page, e.begins)
	}
	for _, e := range inBrowser {
		wantBlock(t, e.page, e.begins)
	}
	inTurn := sync.OnceValue(func() *browser { return startBrowser(t) }) // one for all pages
	for _, page := range pagesWithBlocks(t) {
		t.Run(page, func(t *testing.T) {
			blocks := pageBlocks(t, page)
			if len(blocks) == 0 {
				return
			}
			r := newPageReader(t, blocks)
			r.browser = func(t *testing.T) *browser {
				b := inTurn()
				return &browser{t: t, session: b.session, client: b.client}
			}
			for _, b := range blocks {
				if !t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) { r.follow(t, b) }) {
					t.Logf("%s:%d:\n%s", page, b.line, b.code)
				}
			}
			r.finish()
		})
	}
}

// wantBlock wants the page to have a block that begins with prefix: what is listed here and is gone hides nothing.
func wantBlock(t *testing.T, page, prefix string) {
	t.Helper()
	for _, b := range pageBlocks(t, page) {
		if strings.HasPrefix(b.code, prefix) {
			return
		}
	}
	t.Errorf("%s has no block that begins with %q", page, prefix)
}

// readTests returns the source of the file of each test of this package.
func readTests(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, "internal/e2e/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			if sources[string(m[1])] = string(text); strings.HasSuffix(file, "/docs_test.go") {
				sources[string(m[1])] = "" // the list itself names every page
			}
		}
	}
	return sources
}

// pageReader is somebody who follows a page in a checkout of their own.
type pageReader struct {
	t         *testing.T // of the page
	dir       string
	listen    string
	hooks     string
	app       string   // address that the page calls 127.0.0.1:8081
	ownApp    bool     // the page starts the app itself
	startsOwn bool     // a command of the page starts Holdfast
	webapps   int      // of the page's Tomcat
	tomcat    *process // that runs them
	addresses *strings.Replacer
	browser   func(t *testing.T) *browser
	h         *holdfast
	streams   []stream
}

// stream is a command that goes on, and what it has to print before the page ends.
type stream struct {
	process *process
	prints  string
}

func newPageReader(t *testing.T, blocks []pageBlock) *pageReader {
	r := &pageReader{t: t, dir: t.TempDir(), listen: freeAddr(t), hooks: freeAddr(t), app: freeAddr(t)}
	r.addresses = strings.NewReplacer("127.0.0.1:8080", r.listen, "127.0.0.1:9090", r.hooks, "127.0.0.1:8081", r.app,
		"127.0.0.1:8082", r.app, "http://app:8081", "http://"+r.app, `":80"`, r.listen, `":8080"`, r.listen, `":9090"`, r.hooks,
		"http://127.0.0.1/", "http://"+r.listen+"/", "8081 --bind 127.0.0.1", portOf(t, r.app)+" --bind 127.0.0.1")
	for _, name := range []string{"examples", "config.yaml"} {
		run(t, exec.Command("cp", "-r", filepath.Join(repository, name), r.dir))
	}
	for _, pattern := range []string{"config.yaml", "examples/*.yaml", "examples/*/*.yaml", "examples/*/*/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(r.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, file, r.addresses.Replace(string(text)))
		}
	}
	// The binary is built already, so that a page does not build it again.
	writeScript(t, filepath.Join(r.dir, "bin/go"), fmt.Sprintf("#!/bin/sh\ncase \"$1 $2\" in\n\"run .\") shift 2; exec %[1]s \"$@\";;\n\"build -o\") cp --remove-destination %[1]s \"$3\";;\n*) exit 9;;\nesac\n", executable))
	for _, link := range []string{"holdfast", "bin/holdfast"} {
		if err := os.Symlink(executable, filepath.Join(r.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	mkdirForApache(t, filepath.Join(r.dir, "tomcat/webapps/ROOT"))
	mkdirForApache(t, filepath.Join(r.dir, "tomcat/conf"))
	for _, b := range blocks {
		if b.language == "sh" {
			r.ownApp = r.ownApp || regexp.MustCompile(`(?m)^(php -S|python3 -m http|cp .*CATALINA_BASE)`).MatchString(b.code)
			r.startsOwn = r.startsOwn || startsHoldfast.MatchString(b.code)
		}
	}
	if !r.ownApp {
		serveApp(t, "tcp", r.app, http.HandlerFunc(answerAsPages))
	}
	return r
}

// answerAsPages is the app that pages take for granted. Its user is anna, who has a cookie.
func answerAsPages(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method == http.MethodPost:
		w.WriteHeader(http.StatusNoContent)
	case !strings.Contains(req.URL.Path, "authorize"):
		fmt.Fprint(w, "the app")
	case req.Header.Get("Cookie") == "":
		w.WriteHeader(http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"user":"anna"}`)
	}
}

func writeScript(t *testing.T, file, text string) {
	t.Helper()
	writeFile(t, file, text)
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
}

// follow does with a block what the reader of the page would.
func (r *pageReader) follow(t *testing.T, b pageBlock) {
	for _, e := range ranElsewhere {
		if e.page == b.page && strings.HasPrefix(b.code, e.begins) {
			return
		}
	}
	switch {
	case b.language == "yaml":
		r.configure(t, b)
	case b.language == "sh" && b.root:
		checkShell(t, b.code)
	case b.language == "sh":
		for _, command := range shellCommands(b.code) {
			r.run(t, command)
		}
	case b.language == "json":
		if !json.Valid([]byte(b.code)) {
			t.Error("not JSON")
		}
	case b.language == "diff":
		r.follow(t, b.newSide(t))
	case b.language == "php":
		r.evaluate(t, b.code)
	case b.language == "html", b.language == "js":
		r.browse(t, b)
	case b.language == "text":
		if commandLine.MatchString(b.code) {
			t.Error("a picture or an output has a command, which nobody runs")
		}
	case checkers[b.language] != nil:
		checkers[b.language](t, r, b.code)
	default:
		t.Errorf("no test runs a block in %q", b.language)
	}
}

// newSide returns what a diff makes of a piece of code.
func (b pageBlock) newSide(t *testing.T) pageBlock {
	t.Helper()
	var code []string
	for line := range strings.Lines(b.code) {
		if line == "" || !strings.Contains("+- ", line[:1]) {
			t.Fatalf("%q is no line of a diff", line)
		}
		if line[0] != '-' {
			code = append(code, line[1:])
		}
	}
	b.language, b.code = b.after, strings.TrimSpace(strings.Join(code, ""))
	return b
}

// evaluate runs PHP that publishes by the function of the tutorial.
func (r *pageReader) evaluate(t *testing.T, code string) {
	if r.h == nil {
		r.start(t, defaultRules)
	}
	push := r.addresses.Replace(pageCode(t, "docs/tutorials/php.md", "php", "function push"))
	out := run(t, exec.Command(program(t, "php", "php-cli"), "-d", "log_errors=1", "-d", "error_log=", "-r", push+"\n"+code))
	if out != "" {
		t.Errorf("the code prints %s", out)
	}
}

var (
	commandLine    = regexp.MustCompile(`(?m)^(curl|go|php|\./holdfast|systemctl|docker) `)
	startsHoldfast = regexp.MustCompile(`(?m)^(go run \.|(\./)?holdfast) (run |-config|demo)`)
	serverCommand  = regexp.MustCompile(`^(php -S|python3 -m http\.server) `)
	streamCommand  = regexp.MustCompile(`^(curl -N|holdfast tail) `)
	outside        = regexp.MustCompile(`/(etc|run|srv|usr/share|var)/[\w./-]+`)
)

// local returns text with the reader's ports, and with folders outside of the checkout inside of it.
func (r *pageReader) local(t *testing.T, text string) string {
	t.Helper()
	return outside.ReplaceAllStringFunc(r.addresses.Replace(text), func(path string) string {
		path = filepath.Join(r.dir, path)
		folder := filepath.Dir(path)
		if filepath.Ext(path) == "" && !strings.HasSuffix(path, "/history") {
			folder = path
		}
		mkdirForApache(t, folder)
		return path
	})
}

// configure starts Holdfast with a configuration, or with a part of one. If the page says the file's name, a command
// starts it; a file of the repository has to be what the page shows.
func (r *pageReader) configure(t *testing.T, b pageBlock) {
	if b.file != "" {
		if text, err := os.ReadFile(filepath.Join(repository, b.file)); err == nil && strings.TrimSpace(withoutComments(string(text))) != b.code {
			t.Errorf("%s is not what the page shows:\n%s", b.file, text)
		}
		writeFile(t, filepath.Join(r.dir, b.file), r.local(t, b.code)+"\n")
		return
	}
	config := r.local(t, b.code) + "\n"
	for _, file := range regexp.MustCompile(`/[\w./-]+\.secret`).FindAllString(config, -1) {
		writeFile(t, file, "0123456789abcdef0123456789abcdef\n")
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range regexp.MustCompile(`/[\w./-]+\.htpasswd`).FindAllString(config, -1) {
		writeFile(t, file, "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
	}
	r.start(t, config)
}

func withoutComments(yaml string) string {
	return regexp.MustCompile(`(?m)^\s*#.*\n|\s+# .*$`).ReplaceAllString(yaml, "")
}

// start starts Holdfast with a configuration, to which it adds the addresses that it lacks.
func (r *pageReader) start(t *testing.T, config string) {
	r.end(t)
	has := func(key string) bool { return regexp.MustCompile(`(?m)^` + key).MatchString(config) }
	if !has("listen:") {
		config = "listen: " + r.listen + "\n" + config
	}
	if !has("upstream:") && !has("upstreams:") {
		config = "upstream: http://" + r.app + "\n" + config
	}
	switch {
	case !has("hooks:"):
		config += "hooks: {listen: " + r.hooks + "}\n"
	case !has("hooks:\n  listen:"):
		config = strings.Replace(config, "hooks:\n", "hooks:\n  listen: "+r.hooks+"\n", 1)
	}
	file := filepath.Join(r.dir, "page.yaml")
	writeFile(t, file, config)
	r.h = startHoldfastCommand(r.t, exec.Command(executable, "-config", file), r.listen, r.hooks)
}

// end ends the Holdfast that runs.
func (r *pageReader) end(t *testing.T) {
	if r.h != nil {
		r.finishStreams(t)
		r.h.checkEnd(t)
		r.h = nil
	}
}

// finish ends what the page started.
func (r *pageReader) finish() { r.end(r.t) }

func (r *pageReader) finishStreams(t *testing.T) {
	for _, s := range r.streams {
		if s.prints != "" {
			s.process.waitFor(t, regexp.MustCompile(regexp.QuoteMeta(s.prints)))
		}
		s.process.stop(t)
	}
	r.streams = nil
}

// defaultRules let the commands of a page that shows no configuration through.
const defaultRules = `
push: {authorize_path: /authorize}
channels:
  - {match: "public.**", access: public, history: {messages: 10, age: 1m}, presence: api}
  - {match: "orders.*", access: public, history: {messages: 10, age: 1m}, presence: api}
  - {match: "private.**", access: authorize}
`

// shellCommand is a command of a page, and the text behind "# prints".
type shellCommand struct{ line, prints string }

// shellCommands returns the commands of a block, each on a line of its own without its comment.
func shellCommands(code string) (commands []shellCommand) {
	for line := range strings.Lines(strings.ReplaceAll(code, "\\\n", " ")) {
		line, comment, _ := strings.Cut(strings.TrimSpace(line), " #")
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		prints, _ := strings.CutPrefix(strings.TrimSpace(comment), "prints ")
		if prints == strings.TrimSpace(comment) {
			prints = ""
		}
		commands = append(commands, shellCommand{line, prints})
	}
	return commands
}

// run runs a command of the page. What serves or streams goes on until the page ends.
func (r *pageReader) run(t *testing.T, c shellCommand) {
	line := r.local(t, c.line)
	for _, command := range []string{"holdfast publish", "holdfast reload"} {
		line = strings.Replace(line, command, command+" -hooks http://"+r.hooks, 1)
	}
	isStart := startsHoldfast.MatchString(c.line)
	if !isStart && r.h == nil && (strings.Contains(line, r.listen) || strings.Contains(line, r.hooks) || strings.HasPrefix(line, "holdfast ")) {
		if r.startsOwn {
			t.Fatalf("%q needs Holdfast, which the page does not start before", c.line)
		}
		r.start(t, defaultRules)
	}
	switch {
	case isStart && strings.Contains(line, " demo"):
		r.end(t)
		line += " -listen " + r.listen + " -hooks " + r.hooks
		r.h = startHoldfastCommand(r.t, r.command(context.Background(), "exec "+line), r.listen, r.hooks)
	case isStart:
		r.end(t)
		r.deploy(t)
		r.h = startHoldfastCommand(r.t, r.command(context.Background(), "exec "+line), r.listen, r.hooks)
	case serverCommand.MatchString(line):
		start(r.t, strings.Fields(line)[0], r.command(context.Background(), "exec "+line)).waitListening(t, r.app)
	case streamCommand.MatchString(line):
		channel := regexp.MustCompile(`channel=([\w.]+)|tail .*?/_push ([\w.]+)`).FindStringSubmatch(line)
		if channel == nil {
			t.Fatalf("%q names no channel", line)
		}
		p := start(r.t, "stream", r.command(context.Background(), "exec "+line))
		r.streams = append(r.streams, stream{p, c.prints})
		r.h.waitSubscribers(t, channel[1]+channel[2], 1)
	default:
		r.runToEnd(t, line, c.prints)
	}
}

// deploy starts the Tomcat of the page with the webapps that its commands have copied, if they have.
func (r *pageReader) deploy(t *testing.T) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(r.dir, "tomcat/webapps/*/index.jsp"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == r.webapps {
		return
	}
	r.webapps = len(found)
	if r.tomcat != nil {
		r.tomcat.stop(t)
	}
	var contexts strings.Builder
	for _, page := range found {
		folder := filepath.Dir(page)
		fmt.Fprintf(&contexts, `<Context path=%q docBase=%q />`, strings.TrimSuffix("/"+filepath.Base(folder), "/ROOT"), folder)
	}
	users, err := os.ReadFile(filepath.Join(r.dir, "tomcat/conf/tomcat-users.xml"))
	if err != nil {
		users = []byte("<tomcat-users/>") // the page brings none
	}
	r.tomcat = startTomcatAt(r.t, r.app, tomcatConnector(r.t, r.app), string(users), contexts.String(), "HOLDFAST_HOOKS=http://"+r.hooks)
}

// runToEnd runs a command. For curl, a status of 400 or more is a failure, unless the page shows the status itself.
func (r *pageReader) runToEnd(t *testing.T, line, prints string) {
	if rest, isCurl := strings.CutPrefix(line, "curl "); isCurl {
		line = "curl -sS --fail-with-body " + rest
		if strings.HasPrefix(rest, "-i ") {
			line = "curl -sS " + rest
		}
		line = strings.ReplaceAll(line, "| curl ", "| curl -sS --fail-with-body ")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := r.command(ctx, line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	// "…" in the text stands for what differs each time.
	want := strings.ReplaceAll(regexp.QuoteMeta(prints), "…", ".*")
	if !regexp.MustCompile(want).Match(out) {
		t.Errorf("%s prints\n%s\nwant %s", line, out, prints)
	}
}

func (r *pageReader) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = r.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(strings.ToLower(v), "http_proxy=") }),
		"PATH="+filepath.Join(r.dir, "bin")+":"+os.Getenv("PATH"), "HOLDFAST_HOOKS=http://"+r.hooks, "CATALINA_BASE="+filepath.Join(r.dir, "tomcat"),
		"TOKEN="+signToken(r.t, "0123456789abcdef0123456789abcdef", map[string]any{"sub": "anna", "channels": []string{"orders.42"}, "exp": time.Now().Add(time.Hour).Unix()}))
	return cmd
}

// inBrowser has what a block of HTML or JavaScript takes from the page around it, and what is true once it works.
var inBrowser = []struct{ page, begins, before, works string }{
	{"docs/reference/browser-client.md", `push.on("state", function (s) { if`, `var push = Holdfast("public.news"); function refresh() { show("fetched"); }`, `shown.includes("fetched")`},
	{"docs/reference/browser-client.md", "<meta", `Holdfast("public.news").on("message", function (m) { show(m.data); });`, `shown.includes("hello")`},
	{"docs/reference/browser-client.md", `fetch("/parcel/42")`, `window.fetch = function () { return Promise.resolve(new Response("{}")); };`, `shown.includes("hello")`},
	{"docs/reference/browser-client.md", "push.on(", `var light = {}, push = Holdfast("public.news");`, `light.className === "live"`},
	{"docs/reference/browser-client.md", "push.refetch", `var push = Holdfast("public.news");`, `/DOCTYPE/.test(shown.join())`},
	{"docs/tutorials/mediawiki.md", "new EventSource", `var mw = {notify: show};`, `shown.includes("Changed: hello")`},
	{"docs/migrate/polling.md", "<meta", `Holdfast("public.news").on("message", function (m) { show(m.data); });`, `shown.includes("hello")`},
	{"docs/migrate/polling.md", "var push", `window.fetch = function () { return Promise.resolve({json: function () { return "fetched"; }}); };`, `shown.includes("fetched") && shown.includes("hello")`},
}

// browse opens a page with the block in a browser, and publishes until it has shown the message.
func (r *pageReader) browse(t *testing.T, b pageBlock) {
	if r.h == nil {
		r.start(t, defaultRules)
	}
	code, before, works := b.code, "", `shown.includes("hello") || document.body.innerText.includes("hello")`
	for _, e := range inBrowser {
		if e.page == b.page && strings.HasPrefix(b.code, e.begins) {
			before, works = e.before, e.works
			break
		}
	}
	if b.language == "html" && before != "" {
		code += `<script src="/_push/client.js"></script><script>` + before + "</script>"
	}
	if b.language == "js" {
		code = `<script src="/_push/client.js"></script><script>` + before + "\n" + code + "</script>"
	}
	body := `<!DOCTYPE html><title>page</title><body><script>var shown = []; function show(x) { shown.push(x); }</script>` + code
	server := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	}))
	// The block's page is of the app, so a Holdfast of the same rules stands in front of it.
	channel := regexp.MustCompile(`(?:channel=|Holdfast\(")([\w.]+)`).FindStringSubmatch(body)
	if channel == nil {
		t.Fatal("the block subscribes to no channel")
	}
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\nchannels: [{match: '**', access: public}]\n", listen, server, hooks)
	})
	br := r.browser(t)
	br.open(h.url + "/")
	h.waitSubscribers(t, channel[1], 1)
	newVisitor(t, h.hooks).post("/publish?channel="+url.QueryEscape(channel[1]), nil)
	h.publish(t, channel[1], "hello")
	br.waitFor("the block works", works)
}
