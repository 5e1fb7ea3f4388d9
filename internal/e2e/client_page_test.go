//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clientPage is a page with a status light that keeps a record of all that the browser client tells it.
// It is written as a page from 2012 is. Its query has the channels, the client's options as JSON, and the
// names of what the browser is not to have.
const clientPage = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Status light</title>
<style>
body { font: 20px/1.4 "DejaVu Sans", sans-serif; margin: 40px; color: #222; background: #fff; }
#light { padding: 12px 20px; border: 1px solid #ccc; border-radius: 8px; display: inline-block; }
#dot { display: inline-block; width: 16px; height: 16px; border-radius: 8px; margin-right: 10px; background: #999; }
.connecting #dot { background: #e0a800; } .live #dot { background: #1a9c3e; }
.waiting #dot { background: #e06c00; } .offline #dot { background: #c62828; }
</style></head><body>
<p>Parcel 42</p>
<div id="light"><span id="dot"></span><span id="word">–</span></div>
<p id="detail"></p>
<script>
var query = {}, parts = location.search.slice(1).split("&");
for (var i = 0; i < parts.length; i++) {
  var pair = parts[i].split("=");
  query[pair[0]] = decodeURIComponent(pair[1] || "");
}
var without = (query.without || "").split(",");
for (i = 0; i < without.length; i++) if (without[i]) window[without[i]] = undefined;
var record = [], states = [], refusals = [], messages = [], loaded = Date.now();
// What tabs do among themselves: bus is what this page hears the others by, steals are locks taken by force.
var bus, steals = 0;
if (window.BroadcastChannel && navigator.locks) {
  var Channel = BroadcastChannel, request = navigator.locks.request;
  BroadcastChannel = function (name) { return bus = new Channel(name); };
  navigator.locks.request = function (name, options, f) {
    if (options.steal) steals++;
    return request.call(navigator.locks, name, options, f);
  };
}
</script>
<script src="/_push/client.js"></script>
<script>
var push = new Holdfast(query.channels.split(","), JSON.parse(query.options || "{}"));
push.on("message", function (m) { messages.push(m); record.push(m.data); });
push.on("gap", function (g) { record.push("gap " + g.channel); });
push.on("refused", function (r) { refusals.push(r); });
push.on("state", function (s) {
  states.push(s);
  document.getElementById("light").className = s.state;
  document.getElementById("word").innerHTML = { connecting: "Connecting…", live: "Live", waiting: "Waiting", offline: "Offline" }[s.state];
  document.getElementById("detail").innerHTML =
    (s.state === "live" ? s.transport + (s.shared ? ", held by another tab" : "") : "") +
    (s.state === "waiting" ? "next try in " + (s.retryIn / 1000).toFixed(1) + " s" : "") + s.reason;
});
</script>
</body></html>`

// pageApp is an app that has the page, and more as a test wants.
func pageApp(extra map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, clientPage)
	})
	for path, handler := range extra {
		mux.HandleFunc(path, handler)
	}
	return mux
}

// pageAt returns the address of the page.
func pageAt(base, channels string, options map[string]any, without ...string) string {
	o, err := json.Marshal(options)
	if err != nil {
		panic(err) // tests write the options
	}
	return base + "/?channels=" + channels + "&options=" + url.PathEscape(string(o)) + "&without=" + strings.Join(without, ",")
}

// server is a Holdfast at addresses that stay the same when it is ended and started again.
type server struct {
	*holdfast
	config string // file
}

// startServer runs Holdfast in front of the app with a heartbeat that a test can wait for. Unlike
// startHoldfast it lets the test end it.
func startServer(t *testing.T, app, more string) *server {
	t.Helper()
	listen, hooks := freeAddr(t), freeAddr(t)
	s := &server{
		holdfast: &holdfast{addr: listen, url: "http://" + listen, hooks: "http://" + hooks},
		config:   filepath.Join(t.TempDir(), "config.yaml"),
	}
	writeFile(t, s.config, fmt.Sprintf(`
listen: %s
upstream: %s
hooks:
  listen: %s
push:
  heartbeat: 1s
  authorize_path: /authorize
channels:
  - {match: "public.**", access: public, history: {messages: 10000}}
  - {match: "private.**", access: authorize}
%s`, listen, app, hooks, more))
	s.begin(t)
	return s
}

func (s *server) begin(t *testing.T) {
	t.Helper()
	s.process = start(t, "holdfast", exec.Command(executable, "-config", s.config))
	s.waitListening(t, s.addr)
	s.waitListening(t, strings.TrimPrefix(s.hooks, "http://"))
}

// kill ends it as a crash does.
func (s *server) kill(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.done
}

func (s *server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// held is how many connections of any kind are held.
func (s *server) held(t *testing.T) int {
	t.Helper()
	n := 0
	for _, line := range strings.Split(newVisitor(t, s.hooks).get("/metrics").body, "\n") {
		if strings.HasPrefix(line, "holdfast_connections_held{") {
			var v int
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &v); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			n += v
		}
	}
	return n
}

// tab opens another tab and makes it the one that commands go to.
func (b *browser) tab(url string) (handle string) {
	b.t.Helper()
	var window struct {
		Handle string `json:"handle"`
	}
	b.command(http.MethodPost, "/window/new", map[string]any{"type": "tab"}, &window)
	b.turnTo(window.Handle)
	b.open(url)
	return window.Handle
}

func (b *browser) currentTab() (handle string) {
	b.t.Helper()
	b.command(http.MethodGet, "/window", nil, &handle)
	return handle
}

func (b *browser) turnTo(handle string) {
	b.t.Helper()
	b.command(http.MethodPost, "/window", map[string]any{"handle": handle}, nil)
}

func (b *browser) closeTab() {
	b.t.Helper()
	b.command(http.MethodDelete, "/window", nil, nil)
}

// cdp sends a command of the DevTools protocol to the current tab.
func (b *browser) cdp(cmd string, params map[string]any) {
	b.t.Helper()
	b.command(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": cmd, "params": params}, nil)
}

// waitLive waits until the client says that it is live, by that kind unless it is empty.
func (b *browser) waitLive(kind string) {
	b.t.Helper()
	b.waitFor("live by "+kind, fmt.Sprintf("window.push && push.state === 'live' && (%q === '' || push.transport === %q)", kind, kind))
}

// waitRecord waits until the page has had this message, and wants all up to it in order: none twice, and
// none missing unless a gap was told in its place. It returns the record.
func (b *browser) waitRecord(last int) []any {
	b.t.Helper()
	b.waitFor(fmt.Sprintf("message %d", last), fmt.Sprintf("record.indexOf(%d) >= 0", last))
	var record []any
	b.eval("return record", &record)
	checkRecord(b.t, record)
	return record
}

func checkRecord(t *testing.T, record []any) {
	t.Helper()
	had, gap := 0, false
	for i, v := range record {
		n, ok := v.(float64)
		switch {
		case !ok:
			gap = true
			continue
		case int(n) <= had:
			t.Fatalf("message %v came after %d: %v", n, had, record[max(0, i-5):min(len(record), i+5)])
		case had != 0 && int(n) != had+1 && !gap:
			t.Fatalf("message %v came after %d and no gap was told: %v", n, had, record[max(0, i-5):min(len(record), i+5)])
		}
		had, gap = int(n), false
	}
}

func gapsIn(record []any) (n int) {
	for _, v := range record {
		if _, ok := v.(string); ok {
			n++
		}
	}
	return n
}

// counter publishes the numbers from 1 as JSON.
type counter struct {
	s       *server
	channel string
	n       int
}

// next publishes the next k numbers and returns the last one.
func (c *counter) next(t *testing.T, k int) int {
	t.Helper()
	for range k {
		c.n++
		a := newVisitor(t, c.s.hooks).do(http.MethodPost, "/publish", http.Header{"Content-Type": {"application/json"}},
			strings.NewReader(fmt.Sprintf(`{"channel": %q, "data": %d}`, c.channel, c.n)))
		a.want(t, http.StatusOK)
	}
	return c.n
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// readSource returns a file of the npm package.
func readSource(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "upgrade", "client", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
