//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// hoursPage is a page whose clock, timers and network are a test's: simulate runs the client through hours
// at once. The way says what becomes of each attempt; what it does not name works as with Holdfast.
const hoursPage = `<!DOCTYPE html><meta charset="utf-8"><title>Hours</title><body>
<script src="/_push/client.js"></script>
<script>
function simulate(way, options, script) {
  var clock = Date.UTC(2030, 0, 1), begin = clock, timers = [], number = 0;
  var own = { setTimeout: setTimeout, clearTimeout: clearTimeout, setInterval: setInterval,
    clearInterval: clearInterval, WebSocket: WebSocket, EventSource: EventSource, XMLHttpRequest: XMLHttpRequest };
  var getTime = Date.prototype.getTime, random = Math.random;
  function timer(f, ms, every) {
    timers.push({ at: clock + (ms > 0x7fffffff ? 0 : ms || 0), f: f, every: every, id: ++number });
    return number;
  }
  function drop(id) { timers = timers.filter(function (t) { return t.id !== id; }); }
  var w = { log: [], states: [], refusals: [], messages: [], gaps: 0 };
  w.seconds = function () { return (clock - begin) / 1000; };
  w.after = function (s, f) { timer(f, s * 1000); };
  w.run = function (s) {
    for (var until = clock + s * 1000; ; ) {
      var next = null;
      timers.forEach(function (t) { if (t.at <= until && (!next || t.at < next.at || t.at === next.at && t.id < next.id)) next = t; });
      if (!next) break;
      clock = Math.max(clock, next.at);
      if (next.every) next.at += next.every; else drop(next.id);
      next.f();
    }
    clock = until;
  };
  w.count = function (kind, from, to) {
    return w.log.filter(function (a) { return (!kind || a.kind === kind) && a.t >= (from || 0) && a.t < (to || 1e9); }).length;
  };
  // most returns the largest number of attempts within so many seconds.
  w.most = function (span) {
    return Math.max.apply(null, w.log.map(function (a) { return w.count("", a.t, a.t + span); }));
  };
  function attempt(kind, url) {
    w.log.push({ t: w.seconds(), kind: kind, url: url });
    return w.count(kind);
  }
  function stream(kind, c) {
    var over = false;
    function say(f) { if (!over && c.onmessage) c.onmessage({ data: JSON.stringify(f) }); }
    var a = { n: attempt(kind, c.url), url: c.url, say: say,
      hello: function () { say({ type: "hello", id: "0000000000009", heartbeat: 25, replay: 0 }); },
      ping: function () { say({ type: "ping" }); },
      cut: function (code) {
        if (over) return;
        over = true;
        c.readyState = 3;
        if (kind === "websocket") c.onclose({ code: code || 1006 });
        else c.onerror({});
      },
      well: function () { a.hello(); (function beat() { w.after(25, function () { if (!over) { a.ping(); beat(); } }); })(); } };
    c.close = function () { over = true; };
    c.send = function () {};
    w.after(0.05, function () { if (!over) (way[kind] || function (a) { a.well(); })(a, w); });
  }
  window.WebSocket = function (url) { this.url = url; this.readyState = 1; stream("websocket", this); };
  window.EventSource = function (url) { this.url = url; stream("sse", this); };
  window.XMLHttpRequest = function () {
    var x = this, over = false;
    x.open = function (method, url) { x.url = url; };
    x.abort = function () { over = true; };
    x.getResponseHeader = function (name) { return x.fields[name] || null; };
    x.send = function () {
      var wait = +/wait=(\d+)/.exec(x.url)[1];
      var a = { n: attempt(wait ? "longpoll" : "question", x.url), wait: wait, url: x.url,
        answer: function (status, body, fields) {
          if (over) return;
          over = true;
          x.readyState = 4; x.status = status; x.responseText = body || ""; x.fields = fields || {};
          x.onreadystatechange();
        },
        cut: function () { a.answer(0); },
        well: function () {
          w.after(wait, function () { a.answer(200, '{"messages":[],"next":"0000000000009"}'); });
        } };
      w.after(0.05, function () { if (!over) (way.poll || function (a) { a.well(); })(a, w); });
    };
  };
  window.setTimeout = function (f, ms) { return timer(f, ms, 0); };
  window.setInterval = function (f, ms) { return timer(f, ms, ms); };
  window.clearTimeout = window.clearInterval = drop;
  Date.prototype.getTime = function () { return clock; };
  sessionStorage.clear();
  var seed = 1234567;
  Math.random = function () { return (seed = seed * 16807 % 2147483647) / 2147483647; };
  try {
    options.share = false;
    w.push = new Holdfast("public.n", options);
    w.push.on("state", function (s) { w.states.push({ t: w.seconds(), s: s }); });
    w.push.on("refused", function (r) { w.refusals.push(r); });
    w.push.on("message", function (m) { w.messages.push(m); });
    w.push.on("gap", function () { w.gaps++; });
    return script(w);
  } finally {
    w.push.close();
    for (var k in own) window[k] = own[k];
    Date.prototype.getTime = getTime;
    Math.random = random;
  }
}
</script>`

// TestClientWays takes the client through hours behind whatever stands between it and Holdfast. Each row's
// script returns what is wrong, or nothing.
func TestClientWays(t *testing.T) {
	app := startApp(t, pageApp(map[string]http.HandlerFunc{"/hours": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, hoursPage)
	}}))
	s := startServer(t, app, "")
	b := startBrowser(t)
	b.open(s.url + "/hours")
	// Ways that several rows have.
	const (
		cut2   = `websocket: function (a, w) { a.hello(); w.after(2, a.cut); }`
		cut1   = `sse: function (a, w) { a.hello(); w.after(1, a.cut); }`
		noWS   = `websocket: function (a) { a.cut(); }`
		noSSE  = `sse: function (a) { a.cut(); }`
		onlyLP = `transports: ["longpoll"]`
	)
	// page answers everything with this status and body for ten minutes.
	page := func(status int, body, fields string) string {
		return fmt.Sprintf(`%s, %s, poll: function (a, w) { if (w.seconds() < 600) a.answer(%d, %q, %s); else a.well(); }`,
			noWS, noSSE, status, body, fields)
	}
	const retried = `
		w.run(590);
		if (w.refusals.length) return "refused: " + JSON.stringify(w.refusals);
		if (w.count("", 300, 590) < 3) return "gave up: " + JSON.stringify(w.log.slice(-5));
		if (w.count("", 0, 590) > 200) return w.count() + " attempts";
		w.run(60);
		if (w.push.state !== "live") return w.push.state + " after the way was free again";`
	const final = `
		w.run(590);
		if (w.refusals.length !== 1 || w.refusals[0].error !== "no") return "refusals: " + JSON.stringify(w.refusals);
		if (w.count("", 5) > 0) return "went on: " + JSON.stringify(w.log);`
	for _, c := range []struct{ name, way, options, script string }{
		{"all is well", ``, ``, `
			w.run(3600);
			if (w.count() !== 1 || w.push.transport !== "websocket") return JSON.stringify(w.log);`},

		{"a WebSocket is cut 2 s after its hello", cut2, ``, `
			w.run(60);
			if (w.push.transport !== "sse" || w.count("websocket") !== 3) return w.push.transport + JSON.stringify(w.log);`},
		{"a WebSocket and a stream are cut soon", cut2 + "," + cut1, ``, `
			w.run(90);
			if (w.push.transport !== "longpoll" || w.count("sse") !== 3) return w.push.transport + JSON.stringify(w.log);`},
		{"a stream is cut each second", cut1, `transports: ["sse", "longpoll"]`, `
			w.run(60);
			if (w.push.transport !== "longpoll") return w.push.transport + JSON.stringify(w.log);`},
		{"all is cut soon, for a day", cut2 + "," + cut1 + `, poll: function (a, w) { if (a.wait) w.after(1, a.cut); else a.well(); }`, ``, `
			w.run(86400);
			if (w.count("", 86000) < 10) return "gave up: " + JSON.stringify(w.log.slice(-5));
			if (w.most(600) > 130) return w.most(600) + " attempts in ten minutes";`},
		{"a WebSocket that has lasted is cut, again and again",
			`websocket: function (a, w) { a.well(); w.after(3600, a.cut); }`, ``, `
			w.run(86400);
			if (w.push.transport !== "websocket" || w.count("sse") || w.count() > 25) return JSON.stringify(w.log);`},
		{"Holdfast itself ends WebSockets soon", `websocket: function (a, w) { a.hello(); w.after(2, function () { a.cut(4429); }); }`, ``, `
			w.run(600);
			if (w.count("sse") || w.count() < 10 || w.count() > 45) return w.count() + JSON.stringify(w.log.slice(0, 20));`},

		{"the way is free for a WebSocket after an hour, and the stream ends",
			`websocket: function (a, w) { if (w.seconds() < 3600) a.cut(); else a.well(); },
			sse: function (a, w) { a.well(); w.after(1000, a.cut); }`, ``, `
			w.run(20);
			if (w.push.transport !== "sse") return "first " + w.push.transport;
			w.run(14400);
			if (w.push.transport !== "websocket") return w.push.transport + JSON.stringify(w.log);
			if (w.count("websocket", 20, 3600) > 3) return "tried too often: " + JSON.stringify(w.log);`},
		{"the way is free for a WebSocket after an hour, and long polls last",
			`websocket: function (a, w) { if (w.seconds() < 3600) a.cut(); else a.well(); },` + noSSE, ``, `
			w.run(14400);
			if (w.push.transport !== "websocket") return w.push.transport;
			if (w.count("websocket", 20, 3600) > 3) return "tried too often";`},
		{"a WebSocket that is given up is tried once when its time has come", cut2, ``, `
			w.run(60);
			w.push.close(); // its page stays, so does what it knows
			w.run(700);
			w.push.open();
			w.run(60);
			if (w.push.transport !== "sse" || w.count("websocket") !== 4) return w.push.transport + JSON.stringify(w.log);`},

		{"silence after a WebSocket's hello", `websocket: function (a) { a.hello(); }`, ``, `
			w.run(60);
			if (w.push.transport !== "sse" || w.count("websocket") !== 1) return w.push.transport + JSON.stringify(w.log);
			var words = w.states.map(function (x) { return x.s.state; }).join();
			if (words !== "connecting,live,connecting,live") return words;`},
		{"silence after the hello of both", `websocket: function (a) { a.hello(); }, sse: function (a) { a.hello(); }`, ``, `
			w.run(120);
			if (w.push.transport !== "longpoll") return w.push.transport + JSON.stringify(w.log);`},
		{"silence after what came with the hello",
			`websocket: function (a) {
				a.say({ type: "hello", id: "0000000000009", heartbeat: 25, replay: 1 });
				a.say({ id: "0000000000008", channel: "public.n", data: 1 });
			}`, ``, `
			w.run(60);
			if (w.push.transport !== "sse" || w.messages.length !== 1) return w.push.transport + JSON.stringify(w.log);`},
		{"silence after a hello, as the whole network is gone",
			`websocket: function (a, w) { if (a.n === 1) a.hello(); else if (w.seconds() > 300) a.well(); },
			poll: function (a, w) { if (w.seconds() > 300) a.well(); }`, ``, `
			w.run(400);
			if (w.push.transport !== "websocket" || w.count("sse")) return w.push.transport + JSON.stringify(w.log);`},
		{"silence after an hour", `websocket: function (a, w) {
				if (a.n > 1) return a.well();
				a.hello();
				for (var i = 1; i < 144; i++) w.after(25 * i, a.ping);
			}`, ``, `
			w.run(7200);
			if (w.push.transport !== "websocket" || w.count() !== 2) return w.push.transport + JSON.stringify(w.log);`},
		{"silence before the hello", `websocket: function () {}`, ``, `
			w.run(20);
			if (w.push.transport !== "sse") return w.push.transport;`},

		{"a page with 400", page(400, "<h1>Bad Request</h1>", "{}"), ``, retried},
		{"a page with 401", page(401, "<h1>Log in to the network</h1>", "{}"), ``, retried},
		{"a page with 403", page(403, "<h1>Forbidden</h1>", "{}"), ``, retried},
		{"403 without a body", page(403, "", "{}"), ``, retried},
		{"403 with null", page(403, "null", "{}"), ``, retried},
		{"403 with JSON of somebody else", page(403, `{"message":"blocked"}`, "{}"), ``, retried},
		{"403 with an error that is no text", page(403, `{"error":{"code":403}}`, "{}"), ``, retried},
		{"a page with 407", page(407, "<h1>Proxy</h1>", "{}"), ``, retried},
		{"a page with 200, as portals have it", page(200, "<h1>Welcome</h1>", "{}"), ``, retried},
		{"200 with JSON of somebody else", page(200, `{"next":"x"}`, "{}"), ``, retried},
		{"no answer that is HTTP", page(0, "", "{}"), ``, retried},
		{"Holdfast says 404", page(404, `{"error":"nothing under this path"}`, "{}"), ``, retried},
		{"Holdfast says 429", page(429, `{"error":"too many"}`, "{}"), ``, retried},
		{"Holdfast says 503", page(503, `{"error":"shutting down"}`, "{}"), ``, retried},
		{"a long poll gets a page with 403", page(403, "<h1>Forbidden</h1>", "{}"), onlyLP, retried},
		{"Holdfast says 400", page(400, `{"error":"no"}`, "{}"), ``, final},
		{"Holdfast says 401", page(401, `{"error":"no","hint":"yes"}`, "{}"), ``, final},
		{"Holdfast says 403", page(403, `{"error":"no"}`, "{}"), ``, final},
		{"Holdfast says 403 to a long poll", page(403, `{"error":"no"}`, "{}"), onlyLP, final},

		{"Retry-After in seconds", page(503, "", `{"Retry-After": "120"}`), onlyLP, `
			w.run(600);
			if (w.count("", 1, 120) || w.count() < 3 || w.count() > 5) return JSON.stringify(w.log);
			if (w.log[1].t % 10 < 0.2) return "all come back at once: " + w.log[1].t;`},
		{"Retry-After as a date", page(503, "", `{"Retry-After": "Tue, 01 Jan 2030 00:05:00 GMT"}`), onlyLP, `
			w.run(400);
			if (w.count("", 1, 300) || w.count("", 300) < 1) return JSON.stringify(w.log);`},
		{"Retry-After of a year", page(503, "", `{"Retry-After": "31536000"}`), onlyLP, `
			w.run(3500);
			if (w.count() !== 1) return "at once: " + w.count();
			w.run(200);
			if (w.count() < 2) return "gave up";`},
		{"Retry-After that is no time", page(503, "", `{"Retry-After": "soon"}`), onlyLP, retried},

		{"a cache answers long polls at once", `poll: function (a) { a.answer(200, '{"messages":[],"next":"0000000000009"}'); }`, onlyLP, `
			w.run(3600);
			if (w.count("longpoll", 3000) < 10 || w.most(600) > 130) return w.most(600) + " in ten minutes";`},
		{"nothing for a day", page(0, "", "{}") + `, poll: function (a) { a.cut(); }`, ``, `
			w.run(86400);
			if (w.count("", 86000) < 10) return "gave up";
			if (w.most(600) > 150) return w.most(600) + " attempts in ten minutes";`},

		{"live without a starting point", ``, ``, `
			w.run(1);
			var s = w.states[w.states.length - 1].s;
			if (s.state !== "live" || s.resumed !== false) return JSON.stringify(s);
			w.run(100); // then it has one of its own
			w.push.close();
			w.push.open();
			w.run(1);
			s = w.states[w.states.length - 1].s;
			if (s.state !== "live" || s.resumed !== true || w.log[1].url.indexOf("last_id=0000000000009") < 0) return JSON.stringify(w.log);`},
		{"live from a starting point", ``, `lastId: "0000000000005"`, `
			w.run(1);
			var s = w.states[w.states.length - 1].s;
			if (s.state !== "live" || s.resumed !== true || w.log[0].url.indexOf("last_id=0000000000005") < 0) return JSON.stringify(w.log);`},
		{"long polls from a starting point", ``, `lastId: "0000000000005", transports: ["longpoll"]`, `
			w.run(1);
			var s = w.states[w.states.length - 1].s;
			if (s.state !== "live" || s.resumed !== true) return JSON.stringify(w.log);`},
		{"a header that is not there is no starting point", ``, `lastId: null`, `
			w.run(1);
			if (w.push.state !== "live" || w.states[w.states.length - 1].s.resumed) return JSON.stringify(w.states);`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			var wrong string
			b.eval(fmt.Sprintf("return simulate({%s}, {%s}, function (w) {%s\n}) || ''", c.way, c.options, c.script), &wrong)
			if wrong != "" {
				t.Error(wrong)
			}
		})
	}
}
