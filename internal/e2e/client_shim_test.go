//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shimApp is an app whose pages poll. Its states change by /set, or by the test.
type shimApp struct {
	mu     sync.Mutex
	states map[string]string
	asked  map[string]int // by path and id
	hold   string         // of Push-Channel
	status int            // of the polls' answers; 0: 200
	silent bool           // there is no Push-Channel

	libraries string // in the pages
}

// shimPage polls as a page from 2012 does, every 100 ms: XMLHttpRequest, or what query.by names.
const shimPage = `<!DOCTYPE html>
<html><head>%s<title>Polls</title></head><body><p id="state"></p>
<script>
var query = {}, shown = [], polls = 0, failures = 0;
location.search.slice(1).split("&").forEach(function (p) { query[p.split("=")[0]] = p.split("=")[1]; });
function show(text) {
  polls++;
  if (shown[shown.length - 1] !== text) shown.push(text);
  document.getElementById("state").innerHTML = text;
}
function poll() {
  var url = "status?id=" + query.id + "&_=" + new Date().getTime();
  if (query.by === "fetch") {
    fetch(url).then(function (r) { return r.text(); }).then(show, function () { failures++; });
    return;
  }
  var xhr = new XMLHttpRequest();
  xhr.onreadystatechange = function () {
    if (xhr.readyState !== 4) return;
    if (xhr.status === 200) show(xhr.responseText);
    else failures++;
    if (query.by === "again") setTimeout(poll, 1);
  };
  xhr.open("GET", url);
  xhr.setRequestHeader("X-Requested-With", "XMLHttpRequest");
  xhr.send(null);
}
if (query.by === "again") poll();
else if (query.by) setInterval(poll, 100);
</script></body></html>`

const shimTag = `<script src="/_push/shim.js" data-polls='{"/status": ["id"], "/xml": null}'></script>`

func newShimApp() *shimApp { return &shimApp{states: map[string]string{}, asked: map[string]int{}} }

func (a *shimApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := r.URL.Query().Get("id")
	a.asked[r.Method+" "+r.URL.Path+" "+id]++
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, shimPage, shimTag+a.libraries)
	case "/plain", "/without":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, shimPage, a.libraries)
	case "/set":
		a.states[id] = r.URL.Query().Get("to")
		w.WriteHeader(204)
	default:
		channel := "public.state." + id
		if strings.HasPrefix(id, "secret") {
			channel = "private.state." + id
		}
		if !a.silent {
			w.Header().Set("Push-Channel", channel+a.hold)
		}
		w.Header().Set("X-Own", "a")
		w.Header().Set("Content-Type", "text/plain; charset=iso-8859-1")
		switch r.URL.Path {
		case "/xml":
			w.Header().Set("Content-Type", "application/xml")
		case "/authorize":
			w.WriteHeader(403)
			return
		}
		if a.status != 0 {
			w.WriteHeader(a.status)
		}
		fmt.Fprint(w, a.states[id])
	}
}

func (a *shimApp) set(id, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.states[id] = to
}

func (a *shimApp) with(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// count returns how often the app was asked for a state.
func (a *shimApp) count(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked["GET /status "+id]
}

// waitAbsorbed waits until the page's polls do not reach the app any more, while they go on.
func (b *browser) waitAbsorbed(t *testing.T, a *shimApp, id string) {
	t.Helper()
	eventually(t, "polls are answered in the browser", func() bool {
		n := a.count(id)
		b.eval("polls = 0; return 0", nil)
		b.waitFor("some polls", "polls >= 5")
		return a.count(id) == n
	})
}

// waitNotAbsorbed waits until they do.
func (b *browser) waitNotAbsorbed(t *testing.T, a *shimApp, id string) {
	t.Helper()
	eventually(t, "polls reach the app", func() bool {
		n := a.count(id)
		b.eval("polls = 0; return 0", nil)
		b.waitFor("some polls", "polls >= 5")
		return a.count(id) >= n+4
	})
}

// TestShim polls by each way, and changes the state: the page sees each change, and the app is asked once for it.
func TestShim(t *testing.T) {
	b := startBrowser(t)
	for _, by := range []string{"xhr", "fetch"} {
		t.Run(by, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			app := newShimApp()
			app.set("42", "Linz")
			s := startServer(t, startApp(t, app), "")
			b.tab(s.url + "/?id=42&by=" + by)
			b.waitAbsorbed(t, app, "42")
			for i, town := range []string{"Wien", "Brünn", "Prag"} {
				n := app.count("42")
				latin1 := strings.ReplaceAll(town, "ü", "\xfc")
				app.set("42", latin1)
				s.publish(t, "public.state.42", "changed")
				if by == "fetch" { // whose text() is UTF-8 whatever the charset
					town = strings.ReplaceAll(town, "ü", "\ufffd")
				}
				b.waitFor("the page shows "+town, fmt.Sprintf("shown[shown.length - 1] === %q", town))
				b.waitAbsorbed(t, app, "42")
				if got := app.count("42") - n; got != 1 {
					t.Errorf("change %d: the app was asked %d times", i, got)
				}
			}
			var failures int
			if b.eval("return failures", &failures); failures > 0 {
				t.Errorf("%d polls failed", failures)
			}
			b.open("about:blank") // before the server goes
			b.wantQuiet(t)
		})
	}
}

// shimObserve runs scenarios and leaves what a page can see of them in the variable observed.
const shimObserve = `
window.observed = null;
var lines = [];
function see(what) { lines.push(what); }
function of(x, f) { try { return f(x); } catch (e) { return e.name; } }
function body(x) {
  var r = x.response;
  if (r instanceof ArrayBuffer) return "buffer " + r.byteLength;
  if (r instanceof Blob) return "blob " + r.size + " " + r.type;
  return JSON.stringify(r);
}
function fields(x) { return of(x, function () { return x.getAllResponseHeaders().replace(/date: .*\r\n/, ""); }); }
function watch(x) {
  ["loadstart", "readystatechange", "progress", "load", "abort", "timeout", "error", "loadend"].forEach(function (type) {
    x.addEventListener(type, function (e) {
      see([type, "listener", this === x, e.target === x, e instanceof ProgressEvent, e.loaded, e.total, e.lengthComputable].join());
    });
    x["on" + type] = function (e) {
      see([type, x.readyState, x.status, x.statusText, x.responseURL, of(x, function () { return x.responseText; }), of(x, body),
        of(x, function () { return x.responseXML && x.responseXML.documentElement.nodeName; }), x.getResponseHeader("x-OWN"), x.getResponseHeader("none"), fields(x)].join());
    };
  });
}
function xhr(name, url, setUp, after) {
  return function (next) {
    see("-- " + name);
    var x = new XMLHttpRequest();
    watch(x);
    x.open("GET", url);
    x.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    if (setUp) setUp(x);
    x.addEventListener("loadend", function () { setTimeout(next); });
    x.send();
    see("sent " + x.readyState + x.status);
    if (after) after(x);
  };
}
function type(t) { return function (x) { x.responseType = t; }; }
function get(name, options, use) {
  return function (next) {
    see("-- fetch " + name);
    fetch("status?id=a", options).then(use).then(function (v) { see("ok " + v); next(); }, function (e) { see(e.name + e.message + (e instanceof DOMException)); next(); });
  };
}
var aborted = new AbortController();
aborted.abort();
var steps = [
  xhr("text", "status?id=a"),
  xhr("explicit text", "status?id=a", type("text")),
  xhr("json", "status?id=a", type("json")),
  xhr("buffer", "status?id=a", type("arraybuffer")),
  xhr("blob", "status?id=a", type("blob")),
  xhr("no json", "status?id=b", type("json")),
  xhr("xml", "xml?id=x"),
  xhr("xml as text", "xml?id=x", type("text")),
  xhr("absolute", location.origin + "/status?id=a#x"),
  xhr("aborted at once", "status?id=a", null, function (x) { x.abort(); see("aborted " + x.readyState); see(of(x, function () { x.send(); })); }),
  xhr("sent twice", "status?id=a", null, function (x) { see(of(x, function () { x.send(); })); }),
  xhr("timeout", "status?id=a", function (x) { x.timeout = 60000; }),
  xhr("credentials", "status?id=a", function (x) { x.withCredentials = true; }),
  function (next) {
    see("-- again");
    var x = new XMLHttpRequest(), n = 0;
    x.onload = function () {
      see(x.readyState + x.responseText);
      if (n++) { x.abort(); see(x.readyState + x.responseText + x.status + fields(x)); return next(); }
      x.open("GET", "status?id=b");
      see(x.readyState + x.responseText + x.status + fields(x));
      x.send();
    };
    x.open("GET", "status?id=a");
    x.send();
  },
  get("text", undefined, function (r) { return r.text().then(function (t) { return [t, r.url, r.type, r.status, r.ok, r.statusText, r.redirected, r.bodyUsed, r.headers.get("x-own")].join(); }); }),
  get("clone", {}, function (r) { var c = r.clone(); return Promise.all([r.json(), c.json(), c.url, c.type]).then(JSON.stringify).catch(String); }),
  get("aborted before", { signal: aborted.signal }, String),
  get("Request", undefined, function () { return fetch(new Request("status?id=a")).then(function (r) { return r.arrayBuffer(); }).then(function (b) { return b.byteLength; }); }),
  function (next) {
    see("-- fetch aborted after");
    var c = new AbortController();
    fetch("status?id=a", { signal: c.signal }).then(String, function (e) { return e.name + e.message; }).then(function (v) { see(v); next(); });
    c.abort();
  },
  function () { window.observed = lines.join("\n"); }
];
(function next() { steps.shift()(next); })();
return 0`

// TestShimLooksLikeTheBrowser has a page look at all that it can see of a request, without the shim and with answers of
// the shim.
func TestShimLooksLikeTheBrowser(t *testing.T) {
	app := newShimApp()
	app.set("a", `{"town": "Linz"}`)
	app.set("b", "no JSON")
	app.set("x", "<a><b/></a>")
	s := startServer(t, startApp(t, app), "")
	compareObserved(t, startBrowser(t), app, s.url, shimObserve, 100)
}

// compareObserved runs the scenarios on a page without the shim, and on one with it until no poll reaches the app, and
// wants the page to have seen the same lines, at least so many.
func compareObserved(t *testing.T, b *browser, app *shimApp, base, scenarios string, least int) {
	t.Helper()
	observe := func(path string, absorbed bool) []string {
		b.open(base + path)
		var seen string
		asked := -1
		eventually(t, "all is answered in the browser, if it is to be", func() bool {
			b.eval(scenarios, nil)
			b.waitFor("the scenarios are over", "observed")
			before := asked
			app.with(func() {
				asked = app.asked["GET /status a"] + app.asked["GET /status b"] + app.asked["GET /xml x"]
			})
			return !absorbed || asked == before
		})
		b.eval("return observed", &seen)
		return strings.Split(seen, "\n")
	}
	want, got := observe("/plain", false), observe("/", true)
	scenario := ""
	for i := range min(len(want), len(got)) {
		if strings.HasPrefix(want[i], "-- ") {
			scenario = want[i]
		}
		if want[i] != got[i] {
			t.Fatalf("%s: line %d: with the shim\n%q, without\n%q", scenario, i, got[i], want[i])
		}
	}
	if len(want) != len(got) || len(want) < least {
		t.Errorf("the page saw %d lines with the shim, %d without, want %d at least", len(got), len(want), least)
	}
	b.wantQuiet(t)
}

// shimLibraries are scenarios for jQuery and Prototype.
const shimLibraries = `
window.observed = null;
var lines = [];
function see(what) { lines.push([].slice.call(what).map(function (v) {
  if (v && v.documentElement) return v.documentElement.nodeName;
  if (v && v.getAllResponseHeaders) return [v.readyState, v.status, v.statusText, v.responseText, v.getAllResponseHeaders().replace(/date: .*\r\n/, "")].join();
  return v instanceof Error ? v.name : JSON.stringify(v);
}).join(" ")); }
function ajax(name, options, after) {
  return function (next) {
    see(["-- " + name]);
    options.beforeSend = function () { see(["beforeSend"]); };
    options.success = function (data, text, x) { see(["success", data, text, x]); };
    options.error = function (x, text, e) { see(["error", x.status, x.readyState, text, String(e)]); };
    options.complete = function (x, text) { see(["complete", x, text]); setTimeout(next); };
    var x = jQuery.ajax(options);
    see(["called", x.readyState]);
    if (after) after(x);
  };
}
function prototype(name, url, options, after) {
  return function (next) {
    see(["-- prototype " + name]); // it has other events 10 ms after it has sent a request, whatever the request's state is
    ["onSuccess", "onFailure", "on200", "onComplete"].forEach(function (on) {
      options[on] = function (r) {
        see([on, r.readyState, r.status, r.statusText, r.responseText, r.responseJSON, r.getHeader && r.getHeader("X-Own")]);
        if (on === "onComplete") setTimeout(next);
      };
    });
    options.method = "get";
    new Ajax.Request(url, options);
  };
}
var steps = [
  ajax("text", { url: "status?id=a" }),
  ajax("json", { url: "status?id=a", dataType: "json" }),
  ajax("not json", { url: "status?id=b", dataType: "json" }),
  ajax("xml", { url: "xml?id=x" }),
  ajax("xml asked for", { url: "xml?id=x", dataType: "xml" }),
  ajax("not cached", { url: "status?id=a", cache: false }),
  ajax("data", { url: "status", data: { id: "a" } }),
  ajax("timeout", { url: "status?id=a", timeout: 60000 }),
  ajax("fields", { url: "status?id=a", headers: { "X-Mine": "1" }, xhrFields: { withCredentials: true } }),
  ajax("aborted", { url: "status?id=a" }, function (x) { x.abort(); }),
  ajax("if modified", { url: "status?id=a", ifModified: true }),
  function (next) {
    see(["-- promises"]);
    jQuery.when(jQuery.get("status?id=a"), jQuery.getJSON("status?id=a")).then(function (a, b) { see(a); see(b); next(); });
  },
  function (next) {
    see(["-- load"]);
    jQuery("#state").load("status?id=b", function (text, status) { see([text, status, jQuery("#state").html()]); next(); });
  },
  prototype("text", "status?id=a", {}),
  prototype("json", "status?id=a", { evalJSON: "force" }),
  prototype("parameters", "status", { parameters: { id: "b" } }),
  function () { window.observed = lines.join("\n"); }
];
(function next() { steps.shift()(next); })();
return 0`

// TestShimUnderLibraries has jQuery and Prototype poll, with the shim and without.
func TestShimUnderLibraries(t *testing.T) {
	app := newShimApp()
	app.set("a", `{"town": "Linz"}`)
	app.set("b", "no JSON")
	app.set("x", "<a><b/></a>")
	for _, library := range []string{"prototype", "jquery"} {
		file := fmt.Sprintf("/usr/share/javascript/%[1]s/%[1]s.js", library)
		program(t, file, "libjs-"+library)
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		app.libraries += "<script>" + string(code) + "</script>"
	}
	app.libraries += "<script>jQuery.noConflict();</script>"
	s := startServer(t, startApp(t, app), "")
	compareObserved(t, startBrowser(t), app, s.url, shimLibraries, 60)
}

// TestShimWrites writes by each way: the next poll has it, though nobody publishes it.
func TestShimWrites(t *testing.T) {
	app := newShimApp()
	app.set("42", "0")
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?id=42&by=xhr")
	other := b.currentTab()
	b.waitAbsorbed(t, app, "42")
	b.tab(s.url + "/?id=42&by=fetch")
	for i, how := range []string{
		`var x = new XMLHttpRequest(); x.onreadystatechange = function () { if (x.readyState === 4) read(); }; x.open("POST", url); x.send("x");`,
		`fetch(url, { method: "POST" }).then(read);`,
		`fetch(new Request(url, { method: "DELETE" })).then(read);`,
		`var x = new XMLHttpRequest(); x.open("PUT", url, false); x.send(); read();`,
	} {
		b.waitAbsorbed(t, app, "42")
		b.eval(fmt.Sprintf(`
			window.after = "";
			var url = "/set?id=42&to=%d";
			function read() {
				var y = new XMLHttpRequest();
				y.onload = function () { after = y.responseText; };
				y.open("GET", "/status?id=42");
				y.send();
			}
			%s
			return 0`, i+1, how), nil)
		b.waitFor("the next poll is answered", "after")
		var after string
		if b.eval("return after", &after); after != fmt.Sprint(i+1) {
			t.Errorf("after %s the next poll has %q, want %d", how, after, i+1)
		}
	}
	b.turnTo(other)
	b.waitFor("the other tab has it too", "shown[shown.length - 1] === '4'")

	// Writes elsewhere, such as a count of visits, change nothing.
	b.waitAbsorbed(t, app, "42")
	elsewhere := make(chan bool, 2)
	url := "http://" + strings.TrimPrefix(startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		elsewhere <- true
	})), "http://") + "/count"
	n := app.count("42")
	b.eval(fmt.Sprintf(`
		window.counted = 0;
		fetch(%[1]q, { method: "POST", mode: "no-cors" }).then(function () { counted++; });
		var x = new XMLHttpRequest();
		x.onload = function () { counted++; };
		x.open("POST", %[1]q);
		x.send();
		polls = 0;
		return 0`, url), nil)
	b.waitFor("they are answered", "counted === 2")
	b.eval("polls = 0; return 0", nil)
	b.waitFor("some polls", "polls >= 5")
	if got := app.count("42"); got != n {
		t.Errorf("the app was asked %d times after writes elsewhere", got-n)
	}
}

// TestShimTabs has tabs with one connection between them, closes the one that has it, and cuts it.
func TestShimTabs(t *testing.T) {
	app := newShimApp()
	for _, id := range []string{"1", "2", "3"} {
		app.set(id, "a")
	}
	s := startServer(t, startApp(t, app), "")
	m := startMiddleman(t, s.addr)
	b := startBrowser(t)
	var tabs []string
	for _, id := range []string{"1", "2", "3"} {
		tabs = append(tabs, b.tab(m.url+"/?by=xhr&id="+id))
		b.waitAbsorbed(t, app, id)
	}
	wantOneHeld(t, s)
	b.turnTo(tabs[0])
	b.waitAbsorbed(t, app, "1")
	b.closeTab()
	for i, id := range []string{"2", "3"} {
		b.turnTo(tabs[i+1])
		b.waitAbsorbed(t, app, id)
		app.set(id, "b")
		s.publish(t, "public.state."+id, "x")
		b.waitFor("the tab shows the change", "shown[shown.length - 1] === 'b'")
	}
	wantOneHeld(t, s)
	// Whatever was published in between is seen, as polls go out until all is well.
	m.set(func() { m.down = true })
	m.cut()
	app.set("3", "c")
	s.publish(t, "public.state.3", "x")
	m.set(func() { m.down = false })
	b.waitFor("the tab shows the change", "shown[shown.length - 1] === 'c'")
	b.waitAbsorbed(t, app, "3")
	wantOneHeld(t, s)
}

// TestShimByConfiguration changes nothing in the app and its page: Holdfast adds the tag, absorbs the polls and names their
// channel. After a change the app is asked once, whatever the number of tabs.
func TestShimByConfiguration(t *testing.T) {
	app := newShimApp()
	app.silent = true
	app.set("42", "0")
	s := startServer(t, startApp(t, app), `
polls:
  - match: /status
    key: [query.id]
    fresh: 1h
    channel: "public.state.{query.id}"
inject:
  - match: /plain
    polls: ["/status?id"]
`)
	b := startBrowser(t)
	var tabs []string
	for range 3 {
		tabs = append(tabs, b.tab(s.url+"/plain?id=42&by=xhr"))
	}
	s.waitSubscribers(t, "public.state.42", 1)
	for i := range 5 {
		n := app.count("42")
		app.set("42", fmt.Sprint(i+1))
		s.publish(t, "public.state.42", "x")
		for _, tab := range tabs {
			b.turnTo(tab)
			b.waitFor("the tab shows the change", fmt.Sprintf("shown[shown.length - 1] === '%d'", i+1))
		}
		if got := app.count("42") - n; got != 1 {
			t.Errorf("change %d: the app was asked %d times", i, got)
		}
	}
	eventually(t, "the browser requests nothing while nothing changes", func() bool {
		var requests int
		b.eval("performance.clearResourceTimings(); polls = 0; return 0", nil)
		b.waitFor("some polls", "polls >= 10")
		b.eval("return performance.getEntriesByType('resource').length", &requests)
		return requests == 0
	})
}

// TestShimFrozenTab blocks the tab that has the connection, as an alert or an endless loop does: polls of the others go out
// until it moves again.
func TestShimFrozenTab(t *testing.T) {
	app := newShimApp()
	app.set("1", "a")
	app.set("2", "a")
	release := make(chan struct{})
	s := startServer(t, startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/block" {
			app.ServeHTTP(w, r)
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=xhr&id=1")
	b.waitAbsorbed(t, app, "1")
	leads := b.currentTab()
	shares := b.tab(s.url + "/?by=xhr&id=2")
	b.waitAbsorbed(t, app, "2")
	b.turnTo(leads)
	b.eval(`new BroadcastChannel("block").onmessage = function () {
		var x = new XMLHttpRequest();
		x.open("GET", "/block", false);
		x.send();
	}; return 0`, nil)
	b.turnTo(shares)
	b.eval(`new BroadcastChannel("block").postMessage(0); return 0`, nil)
	b.waitNotAbsorbed(t, app, "2")
	app.set("2", "b")
	s.publish(t, "public.state.2", "x")
	b.waitFor("the other tab shows the change", "shown[shown.length - 1] === 'b'")
	close(release)
	b.waitAbsorbed(t, app, "2")
	b.turnTo(leads)
	b.waitAbsorbed(t, app, "1")
	wantOneHeld(t, s)
}

// TestShimPageReturns goes to another page and back: nothing is held meanwhile, and what changed is seen.
func TestShimPageReturns(t *testing.T) {
	app := newShimApp()
	app.set("42", "a")
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=xhr&id=42")
	b.waitAbsorbed(t, app, "42")
	b.eval("window.kept = true; return 0", nil)
	b.open(s.url + "/plain")
	eventually(t, "the page that was left holds nothing", func() bool { return s.held(t) == 0 })
	app.set("42", "b")
	s.publish(t, "public.state.42", "x")
	b.command(http.MethodPost, "/back", map[string]any{}, nil)
	b.waitFor("the page shows the change", "shown[shown.length - 1] === 'b'")
	b.waitAbsorbed(t, app, "42")
	var kept bool
	b.eval("return !!window.kept", &kept)
	t.Logf("kept in the back/forward cache: %v", kept)
}

// TestShimOnPlainHTTP has tabs of an origin that is not secure: no locks there, so each holds a connection of its own, a
// WebSocket, of which a browser opens more than six.
func TestShimOnPlainHTTP(t *testing.T) {
	app := newShimApp()
	app.set("1", "a")
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	page := "http://rebound.test:" + portOf(t, s.addr) + "/?by=fetch&id=1"
	const tabs = 8
	for range tabs {
		b.tab(page)
		b.waitAbsorbed(t, app, "1")
	}
	s.waitSubscribers(t, "public.state.1", tabs)
	app.set("1", "b")
	s.publish(t, "public.state.1", "x")
	b.waitFor("the last tab shows the change", "shown[shown.length - 1] === 'b'")
}

// TestShimStepsAside has polls that the shim can't answer: each goes out as if it was not there.
func TestShimStepsAside(t *testing.T) {
	app := newShimApp()
	app.set("42", "a")
	app.set("secret", "a")
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=xhr&id=secret") // whose channel is refused
	b.waitNotAbsorbed(t, app, "secret")
	b.waitNotAbsorbed(t, app, "secret")

	b.open(s.url + "/?by=xhr&id=42")
	b.waitAbsorbed(t, app, "42")
	s.kill(t)
	b.waitFor("polls fail as they would", "failures > 3")
	s.begin(t)
	b.waitAbsorbed(t, app, "42")

	app.with(func() { app.silent = true })
	s.publish(t, "public.state.42", "x")
	b.waitNotAbsorbed(t, app, "42")
	app.with(func() { app.silent = false })
	b.waitAbsorbed(t, app, "42")

	app.with(func() { app.status = 500 })
	s.publish(t, "public.state.42", "x")
	b.eval("failures = 0; return 0", nil)
	b.waitFor("the page sees the errors", "failures > 3")
	app.with(func() { app.status = 0 })
	b.waitAbsorbed(t, app, "42")

	// Other requests to the same path.
	n := app.count("42")
	b.eval(`
		var x = new XMLHttpRequest();
		x.open("GET", "status?id=42", false);
		x.send();
		x = new XMLHttpRequest();
		x.open("GET", "status?id=42");
		x.responseType = "document";
		x.send();
		fetch("status?id=42", { credentials: "omit" });
		return 0`, nil)
	eventually(t, "they reach the app", func() bool { return app.count("42") >= n+3 })
}

// TestShimRefusedChannel: a channel that a page may not have, and more channels than a connection takes, leave the others as they
// are.
func TestShimRefusedChannel(t *testing.T) {
	app := newShimApp()
	app.set("42", "a")
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=xhr&id=42")
	b.waitAbsorbed(t, app, "42")
	every := func(id string) {
		b.eval(fmt.Sprintf(`setInterval(function () { fetch("status?id=%s&_=" + new Date().getTime()); }, 200); return 0`, id), nil)
	}
	every("secret")
	eventually(t, "polls for the refused channel go out", func() bool { return app.count("secret") > 5 })
	b.waitAbsorbed(t, app, "42")
	app.set("42", "b")
	s.publish(t, "public.state.42", "x")
	b.waitFor("the page shows the change", `shown[shown.length - 1] === "b"`)
	n := app.count("secret")
	eventually(t, "they still do", func() bool { return app.count("secret") > n+5 })

	for i := range 40 {
		app.set(fmt.Sprint("c", i), "x")
		every(fmt.Sprint("c", i))
	}
	eventually(t, "those without room go out", func() bool { return app.count("c39") > 5 })
	b.waitAbsorbed(t, app, "42")
	b.waitAbsorbed(t, app, "c0")
	app.set("42", "c")
	s.publish(t, "public.state.42", "x")
	b.waitFor("the page shows the change", `shown[shown.length - 1] === "c"`)
}

// TestShimLatency measures how long after a publish the page shows the change: within 200 ms if the app answers at once.
func TestShimLatency(t *testing.T) {
	app := newShimApp()
	app.set("42", "0")
	app.hold = "; fresh=600; hold=600"
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=again&id=42")
	b.waitFor("the first state", `shown[shown.length - 1] === "0"`)
	time.Sleep(2 * time.Second)
	b.eval(`window.seen = {}; new MutationObserver(function () {
		window.seen[document.getElementById("state").innerHTML] = new Date().getTime();
	}).observe(document.getElementById("state"), { childList: true, characterData: true, subtree: true }); return 0`, nil)
	var took []int64
	for i := 1; i <= 20; i++ {
		state := fmt.Sprint(i)
		app.set("42", state)
		at := time.Now().UnixMilli()
		s.publish(t, "public.state.42", "x")
		b.waitFor("the page shows the change", fmt.Sprintf("seen[%q]", state))
		var seen int64
		b.eval(fmt.Sprintf("return seen[%q]", state), &seen)
		took = append(took, seen-at)
	}
	slices.Sort(took)
	t.Logf("from publish to page: median %d ms, worst %d ms", took[10], took[19])
}

// TestShimHolds has a page that polls again when it was answered: with hold its poll waits for the change.
func TestShimHolds(t *testing.T) {
	app := newShimApp()
	app.set("42", "a")
	app.hold = "; fresh=600; hold=600"
	s := startServer(t, startApp(t, app), "")
	b := startBrowser(t)
	b.open(s.url + "/?by=again&id=42")
	for _, state := range []string{"b", "c", "d"} {
		eventually(t, "a poll waits", func() bool {
			var before, after int
			b.eval("return polls", &before)
			time.Sleep(300 * time.Millisecond)
			b.eval("return polls", &after)
			return before == after && after > 0
		})
		n := app.count("42")
		app.set("42", state)
		s.publish(t, "public.state.42", "x")
		b.waitFor("the page shows the change", fmt.Sprintf("shown[shown.length - 1] === %q", state))
		if got := app.count("42") - n; got != 1 {
			t.Errorf("the app was asked %d times", got)
		}
	}
}

// TestShimUnderAPolicy has a page whose policy forbids connections: its polls fail as they would, and nothing else does.
func TestShimUnderAPolicy(t *testing.T) {
	app := newShimApp()
	app.set("42", "a")
	s := startServer(t, startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "connect-src "+strings.TrimPrefix(r.URL.Query().Get("allow"), "-"))
		app.ServeHTTP(w, r)
	})), "")
	b := startBrowser(t)
	own := url.QueryEscape("http://" + s.addr + "/status")
	b.open(s.url + "/?by=xhr&id=42&allow=" + own)
	b.waitNotAbsorbed(t, app, "42")
	b.open(s.url + "/?by=xhr&id=42&allow=" + url.QueryEscape("'self'"))
	b.waitAbsorbed(t, app, "42")
}

// TestShimInjected has the tag added on the way: the page and its templates stay as they are.
func TestShimInjected(t *testing.T) {
	b := startBrowser(t)
	app := newShimApp()
	app.set("42", "Linz")
	s := startServer(t, startApp(t, app), "inject: [{match: /plain, polls: [\"/status?id\"]}]")
	b.tab(s.url + "/plain?id=42&by=xhr")
	b.waitAbsorbed(t, app, "42")
	n := app.count("42")
	app.set("42", "Wien")
	s.publish(t, "public.state.42", "changed")
	b.waitFor("the page shows the change", `shown[shown.length - 1] === "Wien"`)
	b.waitAbsorbed(t, app, "42")
	if got := app.count("42") - n; got != 1 {
		t.Errorf("the app was asked %d times", got)
	}
	b.open("about:blank") // before the server goes
	b.wantQuiet(t)
}
