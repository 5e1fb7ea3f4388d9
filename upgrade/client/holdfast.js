// Holdfast's browser client: one held connection that comes back by itself. docs/reference/browser-client.md is the manual.
//
// The language is ES5, so that a page from 2012 can load it. What the browser has not, the client does
// without: WebSocket, then EventSource, then XMLHttpRequest; Web Locks and BroadcastChannel to share the
// connection between tabs, or one connection for each.
//
// Holdfast serves this file without its comments and indentation.
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make(root);
  else root.Holdfast = make(root);
})(typeof self !== "undefined" ? self : this, function (root) {
  "use strict";

  var FIRST = "0000000000001"; // before every id
  var PING = '{"type":"ping"}';
  var TICK = 2000; // ms between two looks at the clock
  var SLEPT = 15000; // ms: a clock that jumped this far has slept. Hidden pages tick once a minute
  var HELLO = 6000; // ms for the first frame; a proxy that buffers never lets it through
  var REPLY = 5000; // ms for an answer to a ping, of Holdfast or of the tab that leads
  var WAIT = 25; // s that a long poll asks for; proxies often cut at 60
  var SLACK = 10000; // ms that a heartbeat may be late
  var STEADY = 10000; // ms after which a connection counts as good, and its end as the first failure
  var SHORT = 3; // connections in a row that were not good, after which the next transport is tried
  var MEMORY = 600000; // ms for which a tab remembers which transport got through, and then tries the first one again
  var CROWDED = 4429; // close code: a newer connection of the user has taken this one's place
  var PATIENCE = 3600000; // ms: the longest Retry-After that is believed

  var doc = root.document;
  // The script's own address tells push.path.
  var home = (function () {
    var all = doc ? doc.getElementsByTagName("script") : [];
    // Where the browser does not say which script runs, it is the last one so far.
    var script = doc && "currentScript" in doc ? doc.currentScript : all[all.length - 1];
    var found = script && /^(.*)\/client\.js(\?|$)/.exec(script.src);
    // A module has no element of its own, but an error in it names its file.
    found = found || /(\w+:\/\/[^\s()@]+)\/client\.js[?:]/.exec(new Error().stack);
    return found ? found[1] : "/_push";
  })();

  function now() {
    return new Date().getTime();
  }

  // The newest id when the app rendered the page, if the page says so.
  function rendered() {
    var all = doc ? doc.getElementsByTagName("meta") : [];
    for (var i = 0; i < all.length; i++) if (all[i].name === "holdfast-last-id") return all[i].content;
  }

  function Holdfast(channels, options) {
    if (!(this instanceof Holdfast)) return new Holdfast(channels, options);
    var self = this;
    var o = options || {};
    var names = [].concat(channels).sort();
    var url = o.url || home;
    var transports = o.transports || ["websocket", "sse", "longpoll"];
    var most = o.maxDelay || 30000;
    var key = "holdfast " + url + " " + names.join(" ") + " " + (typeof o.share === "string" ? o.share : "");
    var sharing = o.share !== false && root.BroadcastChannel && root.navigator.locks && root.AbortController;
    var listeners = {};

    // Where the page stands: the newest id it was handed, or up to which it is owed nothing. Ids of
    // Holdfast sort as text. Empty: nowhere yet.
    var last = (o.lastId === undefined ? rendered() : o.lastId) || "";

    var on = false; // between open and close, while the page is not put away
    var refusal = null; // what Holdfast said; until open() nothing is tried
    var at = 0; // index in transports
    var proven = -1; // the transport that was live last
    var misses = []; // by index in transports: how often in a row it failed, or was not good, after it had been live
    var fell = 0; // when a better transport was given up
    var back = MEMORY; // ms until that is tried again; doubles each time
    var recalled = -1; // the transport that this tab's earlier page has found
    var tries = 0; // failures in a row
    var retry = 0; // timer of the next try
    var link = null; // the connection, if it is this tab's to hold
    var due = 0; // when a heartbeat is overdue; 0: none is expected
    var ticked = 0;
    var ticker = 0;
    var away = false; // put away by the browser, perhaps to come back
    var shown = {}; // the last state event

    // ---- what the page sees

    self.state = "connecting";
    self.transport = "";
    self.shared = false; // another tab holds the connection

    self.on = function (type, listener) {
      (listeners[type] = listeners[type] || []).push(listener);
      return self;
    };

    self.off = function (type, listener) {
      var list = listeners[type] || [];
      for (var i = list.length; i--; ) if (list[i] === listener) list.splice(i, 1);
      return self;
    };

    // refetch hands the response of a URL to done, and again after each notification that something has changed. The
    // requests of all pages are spread over so many milliseconds for each subscriber.
    self.refetch = function (url, done, spread) {
      var many = 1; // subscribers
      var timer = 0;
      var xhr = null;
      var again = false; // something has changed since xhr was sent
      var missed = false; // something has changed, and the connection was closed before the request

      function soon(least) {
        again = !!xhr;
        if (!again && !timer) timer = setTimeout(request, (least || 0) + Math.random() * many * (spread || 1));
      }

      function request() {
        timer = 0;
        if ((missed = !on)) return;
        xhr = new XMLHttpRequest();
        xhr.open("GET", url, true);
        xhr.onreadystatechange = function () {
          var x = xhr;
          if (x.readyState !== 4) return;
          xhr = null;
          if (!x.status || x.status > 428) return soon(1000 + Math.random() * most);
          if (again) soon();
          done.call(self, x);
        };
        xhr.send();
      }

      if (self.state === "live") soon();
      return self
        .on("message", function (m) {
          if (m.event !== "changed") return;
          many = (m.data && m.data.subscribers) || many;
          soon();
        })
        .on("gap", function () {
          soon();
        })
        .on("state", function (s) {
          if (s.state === "live" && (missed || !s.resumed)) soon();
        });
    };

    // open begins, or begins again after close() or a refusal.
    self.open = function () {
      tries = 0;
      if (!on || refusal) start();
      else if (!link && !self.shared) begin();
      return self;
    };

    self.close = function () {
      stop();
      show("offline", "closed");
    };

    function emit(type, value) {
      var list = (listeners[type] || []).slice();
      for (var i = 0; i < list.length; i++) {
        try {
          list[i].call(self, value);
        } catch (e) {
          report(e);
        }
      }
    }

    // report lets a listener's error reach the console without stopping the messages behind it.
    function report(e) {
      setTimeout(function () {
        throw e;
      });
    }

    function show(state, reason, retryIn) {
      var transport = state === "live" ? link.transport : "";
      var resumed = state === "live" && link.resumed;
      mirror({ state: state, transport: transport, reason: reason || "", retryIn: retryIn || 0, shared: false, resumed: resumed });
      tell();
    }

    function mirror(info) {
      var was = shown;
      shown = info;
      self.state = info.state;
      self.transport = info.transport;
      self.shared = info.shared;
      for (var k in info) if (info[k] !== was[k]) return emit("state", info);
    }

    // ---- messages

    // accept takes what came over this tab's own connection or catch-up: gaps, messages by growing id, and
    // the id up to which nothing is owed then.
    function accept(list, gaps, next, reset) {
      var batch = { t: "batch", after: last, list: list, gaps: gaps, next: next, reset: reset };
      if (leading) post(batch); // first, as a listener may leave the page
      hand(batch);
    }

    function hand(b) {
      var i;
      if (b.reset) last = FIRST;
      for (i = 0; i < b.gaps.length; i++) emit("gap", { channel: b.gaps[i] });
      for (i = 0; i < b.list.length; i++) {
        if (!on) return; // closed by a listener
        if (b.list[i].id > last) {
          last = b.list[i].id;
          emit("message", b.list[i]);
        }
      }
      if (b.next > last) last = b.next;
    }

    // ---- one connection: try, be live, end

    function address(extra) {
      var q = url + (url.indexOf("?") < 0 ? "?" : "&");
      for (var i = 0; i < names.length; i++) q += "channel=" + encodeURIComponent(names[i]) + "&";
      if (last) q += "last_id=" + encodeURIComponent(last) + "&";
      return q + extra;
    }

    function begin() {
      if (mayReturn()) {
        at = 0;
        back *= 2;
      }
      var transport = transports[at];
      cut();
      if (root.navigator.onLine !== false) show("connecting");
      if (!on) return;
      link = { transport: transport, since: now(), live: false, owed: 0, heard: 0, resumed: !!last };
      due = now() + HELLO;
      try {
        if (transport === "websocket") webSocket(link);
        else if (transport === "sse") eventSource(link);
        else longPoll(link, 0);
      } catch (e) {
        fail(link); // the browser has no such thing, or may not
      }
    }

    function webSocket(l) {
      var a = doc.createElement("a");
      a.href = address("");
      var ws = new WebSocket(a.href.replace(/^http/, "ws"), "holdfast.v1");
      ws.onmessage = function (e) {
        frame(l, e.data);
      };
      ws.onclose = function (e) {
        l.told = e.code >= 4000; // by Holdfast: no fault of the way
        fail(l, 0, null, e.code === CROWDED ? STEADY : 0);
      };
      l.end = function () {
        ws.close();
      };
      l.ask = function () {
        if (ws.readyState === 1) ws.send(PING);
      };
    }

    function eventSource(l) {
      var es = new EventSource(address("protocol=holdfast.v1"), { withCredentials: true });
      es.onmessage = function (e) {
        frame(l, e.data);
      };
      es.onerror = function () {
        fail(l);
      };
      l.end = function () {
        es.close();
      };
    }

    function frame(l, text) {
      if (l !== link) return;
      var f;
      try {
        f = JSON.parse(text);
      } catch (e) {
        return fail(l);
      }
      if (f.type === "hello") {
        l.silence = f.heartbeat ? f.heartbeat * 1250 + SLACK : 0;
        l.hello = f.id;
        l.owed = f.replay;
        if (f.id < last) accept([], [], "", true); // the server's clock was put back
      }
      else if (!l.hello) l.heard = now(); // neither the hello nor what was sent along with it
      due = l.silence ? now() + l.silence : 0;
      if (f.type === "gap") {
        l.owed--;
        accept([], [f.channel], "");
      }
      if (f.data !== undefined) {
        l.owed--;
        accept([f], [], "");
      }
      if (l !== link) return;
      // What was missed comes before the hello's id counts.
      if (l.hello && l.owed < 1) {
        accept([], [], l.hello);
        l.hello = "";
      }
      if (!l.live && l === link && f.type === "hello") live(l);
    }

    function longPoll(l, wait) {
      var since = now();
      due = since + wait * 1000 + SLACK;
      l.end = poll(wait, function (status, answer, later) {
        if (l !== link) return;
        if (status !== 200) return fail(l, status, answer, later);
        // Instead of waiting somebody has answered from a cache, or goes down.
        var early = wait && !answer.messages.length && now() - since < 1000;
        taken(answer);
        if (l !== link) return;
        if (early) return fail(l);
        if (l.instead) return instead();
        live(l);
        if (l !== link) return;
        if (mayReturn()) begin();
        else longPoll(l, WAIT);
      });
    }

    function taken(answer) {
      if (answer.next !== last || answer.gap) accept(answer.messages, answer.gap || [], answer.next, answer.next < last);
    }

    // poll makes one long poll and returns what ends it. done has status 0 if there was no good answer.
    function poll(wait, done) {
      var xhr = new XMLHttpRequest();
      xhr.open("GET", address("wait=" + wait), true);
      xhr.withCredentials = true;
      xhr.onreadystatechange = function () {
        if (xhr.readyState !== 4) return;
        var status = xhr.status;
        var answer = {};
        try {
          answer = JSON.parse(xhr.responseText) || {};
        } catch (e) {}
        if (status === 200 && !(answer.next && answer.messages)) status = 0; // a page of somebody else
        done(status, answer, pause(xhr.getResponseHeader("Retry-After")));
      };
      xhr.send();
      return function () {
        xhr.onreadystatechange = null;
        xhr.abort();
      };
    }

    // pause reads Retry-After, which is seconds or a date, and returns milliseconds.
    function pause(value) {
      var ms = value ? (isNaN(value) ? Date.parse(value) - now() : value * 1000) : 0;
      return Math.min(Math.max(ms || 0, 0), PATIENCE);
    }

    function live(l) {
      l.live = true;
      if (recalled !== at) remember();
      proven = at;
      show("live");
    }

    // fail is told of the end of a connection, whatever it is.
    function fail(l, status, answer, least) {
      if (l !== link) return;
      var lived = l.live;
      // What ended in silence has lived until it was heard last.
      if (lived && (l.silent ? l.heard : now()) - l.since > STEADY) tries = misses[at] = 0;
      else if (lived && !l.told) missed();
      if (final(status, answer)) return refuse({ status: status, error: answer.error });
      cut();
      // Nothing came after the hello: the way may hold back what follows. If Holdfast answers, it is so.
      var mute = lived && l.silent && !l.heard;
      if (lived && misses[at] >= SHORT) descend();
      else if (mute) {
        lived = false;
        show("connecting");
        if (!on) return;
      }
      if (lived || l.transport === "longpoll") return later(least);
      // A browser tells a page no more than that a WebSocket or an event stream did not come about. A
      // long poll that does not wait asks the same question and gets the status: refused, not there, or
      // there, so that it must be the way that does not let this transport through.
      link = { transport: "longpoll", since: now(), live: false, instead: true, mute: mute };
      longPoll(link, 0);
    }

    // instead goes on after a transport failed while Holdfast could be reached.
    function instead() {
      if ((at === proven && !link.mute && missed() < SHORT) || !descend()) return cut(), later();
      begin();
    }

    function missed() {
      return (misses[at] = (misses[at] || 0) + 1);
    }

    // descend turns to the next transport, and reports whether there is one.
    function descend() {
      if (at >= transports.length - 1) return false;
      at++;
      fell = now();
      return true;
    }

    // mayReturn reports whether the first transport is due for another try.
    function mayReturn() {
      return at > 0 && now() - fell > back;
    }

    function later(least) {
      // Spread over the whole span, so that those who were cut together do not come back together.
      var wait = 100 + (least || 0) + Math.random() * Math.min(most, 1000 * Math.pow(2, tries));
      if (tries < 10) tries++;
      retry = setTimeout(begin, wait);
      if (root.navigator.onLine === false) show("offline", "network", wait);
      else show("waiting", "", wait);
    }

    function cut() {
      var l = link;
      link = null;
      due = 0;
      clearTimeout(retry);
      if (l && l.end) l.end();
    }

    // final tells Holdfast's own refusal from a page that somebody on the way sends instead.
    function final(status, answer) {
      return (status === 400 || status === 401 || status === 403) && typeof answer.error === "string";
    }

    function refuse(r, told) {
      refusal = r;
      if (!told) post({ t: "refused", refusal: r });
      cut();
      leave();
      mirror({ state: "offline", transport: "", reason: "refused", retryIn: 0, shared: false, resumed: false });
      emit("refused", r);
    }

    // A tab whose network lets only the last transport through need not find out on every page.
    function remember() {
      recalled = at;
      try {
        sessionStorage.setItem("holdfast " + url, transports[at] + " " + now());
      } catch (e) {}
    }

    function recall() {
      try {
        var said = sessionStorage.getItem("holdfast " + url).split(" ");
        for (var i = transports.length; i--; )
          if (transports[i] === said[0] && now() - said[1] < MEMORY) {
            at = recalled = i;
            fell = +said[1];
          }
      } catch (e) {}
    }

    // ---- time and network

    function tick() {
      var t = now();
      var jumped = t - ticked > SLEPT;
      ticked = t;
      if (jumped) wake(!doc.hidden);
      else if (due && t > due) overdue();
      else if (self.shared && !due && t - heard > 4 * REPLY && !doc.hidden) ask();
    }

    function overdue() {
      due = 0;
      if (link) {
        link.silent = true;
        fail(link);
      } else if (bus && !leading && !refusal) queue(true);
    }

    // wake is called when time may have stood still or the network may be another. Sure means that it
    // was so: then a connection that cannot be asked whether it lives is made anew.
    function wake(sure) {
      if (!on || refusal) return;
      var late = due && now() > due;
      if (bus && !leading) return late ? overdue() : ask(sure);
      if (link && late && !sure) overdue();
      else if (!link || late) {
        tries = 0;
        begin();
      } else if (link.live && link.ask) {
        link.ask();
        due = Math.min(due || Infinity, now() + REPLY);
      } else if (link.live && sure && now() - link.since > REPLY) begin();
    }

    function online() {
      at = tries = 0; // another network may let better transports through
      proven = -1;
      misses = [];
      back = MEMORY;
      wake(true);
    }

    function offline() {
      if (!on || refusal || (sharing && !leading)) return;
      cut();
      tries = 10; // a browser may be wrong about it
      later();
    }

    function visible() {
      if (!doc.hidden) wake(now() - ticked > SLEPT);
    }

    function start() {
      stop();
      on = true;
      refusal = null;
      ticked = now();
      ticker = setInterval(tick, TICK);
      recall();
      show("connecting");
      if (!on) return;
      if (sharing) join();
      else begin();
    }

    function stop() {
      on = false;
      clearInterval(ticker);
      cut();
      leave();
      if (bus) bus.close();
      bus = null;
    }

    // ---- tabs
    //
    // The tab that has the lock leads: it holds the connection and hands on what comes. The others wait
    // for the lock, which the browser gives to the next one when a tab goes. Each tab knows its own last
    // id, and each batch says after which id it comes: a tab that has missed something catches up with a
    // poll of its own, and what it has had it leaves out.

    var bus = null;
    var leading = false;
    var release = null; // gives the lock back
    var waiting = null; // AbortController of the request for the lock
    var turn = 0; // of the requests for the lock; answers to older ones count no more
    var heard = 0; // when the leader was heard last
    var endCatchUp = null;
    var queued = []; // batches that came during a catch-up

    function join() {
      try {
        bus = new BroadcastChannel(key);
      } catch (e) {
        return alone();
      }
      bus.onmessage = function (e) {
        if (on) hear(e.data);
      };
      queue(false);
      ask();
    }

    function alone() {
      sharing = false;
      begin();
    }

    // queue waits for the lock, or takes it from a leader that does not answer: a tab can be frozen, or
    // stand still behind an alert.
    function queue(steal) {
      var mine = ++turn;
      if (waiting) waiting.abort();
      waiting = steal ? null : new AbortController();
      root.navigator.locks
        .request(key, steal ? { steal: true } : { signal: waiting.signal }, function () {
          if (mine !== turn) return;
          return new Promise(function (done) {
            release = done;
            lead();
          });
        })
        .then(null, function () {
          if (mine !== turn) return;
          if (!leading) return alone();
          leading = false; // another tab took the lock
          cut();
          queue(false);
          ask();
        });
    }

    function lead() {
      waiting = null;
      leading = true;
      tries = 0;
      if (endCatchUp) endCatchUp();
      endCatchUp = null;
      queued = [];
      begin();
    }

    function leave() {
      turn++;
      leading = false;
      if (waiting) waiting.abort();
      if (release) release();
      if (endCatchUp) endCatchUp();
      waiting = release = endCatchUp = null;
      queued = [];
    }

    function post(m) {
      if (bus) bus.postMessage(m);
    }

    function tell() {
      if (leading) post({ t: "state", info: shown, next: last });
    }

    function ask(sure) {
      post({ t: "ask", sure: sure });
      if (!due) due = now() + REPLY;
    }

    function hear(m) {
      if (m.t === "ask") {
        if (!leading) return;
        tell();
        if (m.sure) wake(true);
        return;
      }
      if (leading) return; // two lead for a moment; ids keep what they say apart
      if (m.t === "refused") {
        if (!refusal) refuse(m.refusal, true);
        return;
      }
      if (refusal) {
        if (m.t === "state" && m.info.state === "live") start(); // logged in again in another tab
        return;
      }
      heard = now();
      due = 0;
      if (m.t === "state") {
        m.info.shared = true;
        if (m.info.state === "live") {
          m.info.resumed = self.state === "live" ? shown.resumed : !!last;
          last = last || m.next;
        }
        mirror(m.info);
        if (m.next > last && last) catchUp();
      } else if (endCatchUp) queued.push(m);
      else if (m.after > last && !m.reset) {
        // Before the first word of the leader's state nothing is owed.
        if (!last) return;
        queued.push(m);
        catchUp();
      } else if (last) hand(m);
    }

    function catchUp() {
      if (endCatchUp) return;
      endCatchUp = poll(0, function (status, answer) {
        var list = queued;
        endCatchUp = null;
        queued = [];
        if (status === 200) taken(answer);
        else if (final(status, answer)) return refuse({ status: status, error: answer.error }, true);
        else if (on && !leading && !refusal) {
          // The leader is told of the same trouble; this tab asks it again, and so comes back here.
          var wait = setTimeout(function () {
            endCatchUp = null;
            ask();
          }, REPLY);
          endCatchUp = function () {
            clearTimeout(wait);
          };
          return;
        }
        for (var i = 0; i < list.length; i++) if (on) hear(list[i]);
      });
    }

    if (doc && root.addEventListener) {
      root.addEventListener("online", online);
      root.addEventListener("offline", offline);
      // A page that is put away gives the connection to another tab at once, and may come back.
      root.addEventListener("pagehide", function () {
        away = on;
        if (on) stop();
      });
      root.addEventListener("pageshow", function () {
        if (away) start();
        away = false;
      });
      doc.addEventListener("visibilitychange", visible);
    }
    // After the page has put its listeners on.
    setTimeout(function () {
      if (self.state === "connecting" && !on) start();
    });
  }

  return Holdfast;
});
