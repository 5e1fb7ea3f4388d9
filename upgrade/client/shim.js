// Holdfast's shim: answers a page's polls inside the browser. docs/reference/browser-shim.md is the manual.
//
// Holdfast adds it to pages (rules of inject) as their first script:
//
//   <script src="/_push/shim.js" data-polls='{"/status.php":["id"],"/feed":null}'></script>
//
// data-polls has the paths that are polls, each with the names of the query parameters that its answer depends on; null:
// all but "_", which jQuery adds so that nothing is cached. GET only. A poll goes out as ever until an answer has the
// field Push-Channel (`parcel.42; fresh=60`). Then the shim subscribes to that channel, and when it is connected fetches
// the answer once more, and again after each message or gap of the channel. Polls get the newest answer, by the page's own
// XMLHttpRequest or fetch. With `hold=25` a poll whose answer the page has already waits so many seconds for a change.
//
// An answer stands for at most `fresh` seconds, and never past a write of the page's session that the shim sees, a lost
// connection or a changed cookie. Whatever the shim does not know goes out as it came, as does everything in a browser
// that lacks one of the things below. The language is ES5, and Holdfast serves the file without comments and indentation.
(function () {
  "use strict";

  var w = window;
  var doc = document;
  var script = doc.currentScript;
  if (!script) return;
  script.parentNode.removeChild(script); // document.scripts is the page's
  var X = XMLHttpRequest.prototype;
  if (!w.fetch || !w.WeakMap || !w.TextDecoder || !w.EventSource || !w.AbortController || X.open.holdfast || w.origin !== location.origin) return;

  var FRESH = 300; // seconds for which an answer stands at most if its field does not say
  var SPREAD = 50; // ms over which browsers that are told of a change ask again
  var LARGE = 1 << 18; // bytes of an answer that is not kept
  var POLLS = 50; // different ones of a page, after which it forgets them
  var CHANNELS = 32; // of the connection
  var UNUSED = 120000; // ms without a poll after which a channel gives its place away
  var REFUSED = 60000; // ms for which a channel that was refused is not asked for again
  var REPLY = 500; // ms for the word of the page that holds the connection

  var rules = {};
  try {
    rules = JSON.parse(script.getAttribute("data-polls")) || {};
  } catch (e) {}
  var home = script.src.replace(/\/shim\.js.*/, "");
  var fetch = w.fetch;
  var own = {}; // methods of XMLHttpRequest

  function now() {
    return new Date().getTime();
  }

  // ---- polls

  var polls = {}; // by what their answer depends on
  var count = 0; // of polls
  var clock = 0; // counts what may make an answer old
  var all = 0; // on the clock: answers that were asked for before are old
  var changed = {}; // the same for a channel
  var writes = 0; // on their way
  var cookies = doc.cookie;

  // outdate makes all answers old, and asks anew for those that are waited for.
  function outdate() {
    all = ++clock;
    for (var key in polls) if (polls[key].waits.length) renew(polls[key], 0);
  }

  // resolve returns what is below the page's own origin, otherwise nothing.
  function resolve(url) {
    try {
      url = new URL(url, doc.baseURI);
      if (url.origin === location.origin && !url.username) return url;
    } catch (e) {}
  }

  // find returns the poll that a GET is, if it is one.
  function find(url, fields) {
    var u = resolve(url);
    if (!u) return;
    var names;
    for (var path in rules) {
      if (u.pathname.slice(0, path.length) === path && /^([\/;]|$)/.test(u.pathname.slice(path.length))) {
        names = rules[path];
        break;
      }
    }
    if (names === undefined) return;
    var query = u.search.slice(1).split("&").filter(function (pair) {
      var name = pair.split("=")[0];
      return names ? names.indexOf(name) >= 0 : name !== "_";
    });
    var lines = fields.map(function (f) {
      return f[0].toLowerCase() + ":" + f[1];
    });
    var key = u.pathname + "?" + query.join("&") + "\n" + lines.sort().join("\n");
    if (!polls[key] && count++ > POLLS) {
      for (var other in polls) release(polls[other]);
      polls = {};
      count = 0;
    }
    var p = (polls[key] = polls[key] || { waits: [], channels: [] });
    p.url = u.href;
    p.fields = fields;
    return p;
  }

  // learn reads the Push-Channel of a poll's answer.
  function learn(p, value) {
    p.channels = [];
    p.fresh = FRESH;
    p.hold = 0;
    if (!value) return;
    value.split(",").forEach(function (element) {
      var parts = element.split(";");
      p.channels.push(parts[0].trim());
      for (var i = 1; i < parts.length; i++) {
        var pair = parts[i].trim().split("=");
        if (/^(fresh|hold)$/.test(pair[0])) p[pair[0]] = +pair[1] || 0;
      }
    });
    want(p.channels);
  }

  // since returns when the newest thing happened that a poll's answer must not be older than.
  function since(p) {
    return p.channels.reduce(function (t, c) {
      return Math.max(t, changed[c] || 0);
    }, all);
  }

  // covered reports whether every change of a poll's answer is heard of.
  function covered(p) {
    return p.channels.length && !writes && p.channels.every(function (c) {
      return live[c];
    });
  }

  // ask calls done, later, with the answer of a poll, or without one: then the request has to go out.
  function ask(p, done) {
    sure(p.channels, function (yes) {
      if (!yes || !covered(p)) return done();
      p.wanted = true;
      var a = p.answer;
      var old = !a || a.clock < since(p) || now() - a.time >= p.fresh * 1000;
      if (!old && !(p.hold && p.given === a)) return give(p, a, done);
      done.since = since(p);
      p.waits.push(done);
      if (old) return renew(p, 0);
      setTimeout(function () {
        var i = p.waits.indexOf(done);
        if (i >= 0 && !p.busy) p.waits.splice(i, 1), give(p, covered(p) && p.answer, done);
      }, p.hold * 1000);
    });
  }

  function give(p, a, done) {
    p.given = a;
    done(a);
  }

  // release lets go out what waits for an answer that nobody has asked for.
  function release(p) {
    if (!p.busy) p.waits.splice(0).forEach(function (done) {
      done();
    });
  }

  // renew asks for the answer of a poll after a while, once for all that wait.
  function renew(p, wait) {
    if (p.busy) return;
    p.busy = true;
    setTimeout(function () {
      var t = clock;
      p.wanted = false;
      // The page's polls wait here, not this one.
      var fields = p.hold ? p.fields.concat([["Prefer", "wait=0"]]) : p.fields;
      fetch.call(w, p.url, { headers: fields, credentials: "same-origin", cache: "no-cache" }).then(function (r) {
        return r.arrayBuffer().then(function (body) {
          var a = { clock: t, time: now(), status: r.status, statusText: r.statusText, url: r.url, redirected: r.redirected, body: body, fields: [] };
          r.headers.forEach(function (value, name) {
            a.fields.push([name, value]);
          });
          learn(p, r.headers.get("Push-Channel"));
          renewed(p, a, t);
        });
      }).then(null, function () {
        renewed(p, null, Infinity);
      });
    }, wait);
  }

  // renewed ends it. What has come to wait after a change that the answer does not have waits for the next one.
  function renewed(p, a, t) {
    var waits = p.waits;
    p.busy = false;
    p.answer = a && (a.status === 200 || a.status === 204) && a.body.byteLength <= LARGE ? a : null;
    p.waits = waits.filter(function (done) {
      return done.since > t;
    });
    waits.forEach(function (done) {
      if (done.since <= t) give(p, a, done);
    });
    if (p.waits.length) covered(p) ? renew(p, 0) : release(p);
  }

  // change is told of a message or gap of a channel. What nobody has asked for since it was fetched last is not fetched.
  function change(channel, spread) {
    changed[channel] = ++clock;
    for (var key in polls) {
      var p = polls[key];
      if (p.channels.indexOf(channel) >= 0 && (p.wanted || p.waits.length)) renew(p, Math.random() * (spread || SPREAD));
    }
  }

  // write notes a request that may change the app's state, and returns what notes its end.
  function write() {
    var over;
    writes++;
    touch();
    return function () {
      if (!over) writes--;
      over = true;
      touch();
    };
  }

  function touch() {
    outdate();
    post({ t: "write" });
  }

  function isWrite(method, url) {
    return !/^(GET|HEAD|OPTIONS)$/i.test(method) && resolve(url);
  }

  // ---- the connection
  //
  // With Web Locks and BroadcastChannel the page that has the lock holds one for all pages of the browser; the others ask
  // it at each poll whether it is still connected. Without them (plain HTTP) each page has its own, a WebSocket where there
  // is one: browsers open no more than six other connections to a host.

  var live = {}; // channels of which changes are heard
  var epoch = 0; // of the connection
  var wanted = []; // channels of this page; where it leads, of all
  var used = {}; // by channel: when a page has polled for it
  var refused = {}; // by channel: until when it is not asked for
  var told = 0; // when the page that leads was told what this one wants
  var link = null; // the connection, if this page holds it
  var due = 0; // when a heartbeat is overdue
  var beat = Infinity; // ms between two, with some slack
  var tries = 0;
  var timer = 0;
  var sharing = w.BroadcastChannel && navigator.locks;
  var bus = null;
  var leads = false;
  var joined = false;
  var unlock = null;
  var turn = 0; // of joining
  var replies = {};
  var name = "holdfast shim " + home;

  function post(m) {
    if (bus) bus.postMessage(m);
  }

  // want adds channels. Those that nobody has polled for lately make room for them; without room their polls go out as ever.
  function want(channels) {
    var t = now();
    var more = channels.filter(function (c) {
      used[c] = t;
      return wanted.indexOf(c) < 0 && !(refused[c] > t);
    });
    if (wanted.length + more.length > CHANNELS) wanted = wanted.filter(function (c) {
      return used[c] > t - UNUSED;
    });
    more = more.slice(0, CHANNELS - wanted.length);
    wanted = wanted.concat(more);
    if (!joined) join();
    else if (leads) more.length && again(20);
    else if (more.length || (t - told > REFUSED && !channels.every(function (c) { return live[c]; }))) {
      told = t;
      post({ t: "want", c: wanted });
    }
  }

  // refuse takes out channels that the page may not have. The others go on.
  function refuse(channels) {
    channels.forEach(function (c) {
      refused[c] = now() + REFUSED;
      delete live[c];
    });
    wanted = wanted.filter(function (c) {
      return channels.indexOf(c) < 0;
    });
    post(state());
    uncovered();
  }

  // uncovered lets go out what waits for a channel that is not heard of any more.
  function uncovered() {
    for (var key in polls) if (!covered(polls[key])) release(polls[key]);
  }

  // probe finds out which channels are refused, of a connection that was: a browser does not tell its status.
  function probe(channels) {
    isRefused(channels, function (no) {
      var bad = [];
      var left = channels.length;
      if (no && left === 1) return end(channels);
      if (no) channels.forEach(function (c) {
        isRefused([c], function (no) {
          if (no) bad.push(c);
          if (!--left) end(bad);
        });
      });
    });
    function end(bad) {
      refuse(bad);
      if (leads && bad.length && wanted.length) tries = 0, again(50);
    }
  }

  // isRefused calls done with whether channels are refused.
  function isRefused(channels, done) {
    fetch.call(w, address(channels) + "&wait=0", { credentials: "same-origin" }).then(function (r) {
      done(r.status >= 400 && r.status < 405);
    }, function () {
      done(false);
    });
  }

  function address(channels) {
    return home + "?channel=" + channels.map(encodeURIComponent).join("&channel=");
  }

  function join() {
    var mine = ++turn;
    joined = true;
    function alone() {
      sharing = false;
      leads = true;
      connect();
    }
    if (!sharing) return alone();
    bus = new BroadcastChannel(name);
    bus.onmessage = function (e) {
      hear(e.data);
    };
    post({ t: "want", c: wanted });
    navigator.locks.request(name, function () {
      if (mine === turn) return new Promise(function (done) {
        unlock = done;
        leads = true;
        post({ t: "who" });
        again(50);
      });
    }).then(null, alone);
  }

  // leave gives everything up while the browser puts the page away.
  function leave() {
    turn++;
    cut();
    down();
    joined = leads = false;
    if (unlock) unlock();
    if (bus) bus.close();
    bus = unlock = null;
  }

  function again(wait) {
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
  }

  function cut() {
    var l = link;
    link = null;
    clearTimeout(timer);
    if (l) l.close();
  }

  function connect() {
    cut();
    down();
    var channels = wanted;
    var url = address(channels);
    var l;
    if (!channels.length) return;
    try {
      l = link = !sharing && w.WebSocket
        ? new WebSocket(url.replace(/^http/, "ws"), "holdfast.v1")
        : new EventSource(url + "&protocol=holdfast.v1");
    } catch (e) {
      return lost(); // a policy of the page forbids it
    }
    l.onmessage = function (e) {
      if (l === link) frame(JSON.parse(e.data), channels);
    };
    l.onerror = l.onclose = function () {
      if (l !== link) return;
      if (!epoch) probe(channels);
      lost();
    };
  }

  function frame(f, channels) {
    if (f.type === "hello") {
      beat = f.heartbeat ? f.heartbeat * 1250 + 10000 : Infinity;
      tries = 0;
      epoch = Math.random();
      up(channels);
      post(state());
    } else if (f.type === "unsubscribed" && f.channels) refuse(f.channels);
    else if (f.type === "unsubscribed" || f.type === "error") return lost();
    else if (f.channel) {
      var spread = f.event === "changed" && f.data && f.data.subscribers;
      post({ t: "change", c: f.channel, s: spread });
      change(f.channel, spread);
    }
    due = now() + beat;
  }

  function lost() {
    cut();
    down();
    again(Math.min(300000, 1000 * Math.pow(2, ++tries)) * (0.5 + Math.random()));
  }

  function state() {
    return { t: "up", c: Object.keys(live), n: epoch };
  }

  function up(channels) {
    outdate();
    live = {};
    channels.forEach(function (c) {
      live[c] = true;
    });
  }

  function down() {
    live = {};
    epoch = 0;
    if (leads) post({ t: "down" });
    for (var key in polls) release(polls[key]);
  }

  function hear(m) {
    if (m.t === "write") outdate();
    else if (m.t === "who") post({ t: "want", c: wanted });
    else if (leads) {
      if (m.t === "want") want(m.c), post(state());
      if (m.t === "ask") m.c.forEach(function (c) {
        used[c] = now();
      });
      if (m.t === "ask" && connected()) post({ t: "yes", i: m.i, n: epoch });
    } else if (m.t === "up") {
      if (m.n !== epoch) up(m.c);
      epoch = m.n;
      live = {};
      m.c.forEach(function (c) {
        live[c] = true;
      });
      uncovered();
    } else if (m.t === "down") down();
    else if (m.t === "change") change(m.c, m.s);
    else if (m.t === "yes" && replies[m.i] && m.n === epoch) replies[m.i](true);
  }

  // connected reports whether the connection that this page holds is alive, as far as it can know.
  function connected() {
    if (link && epoch && now() > due) lost();
    return link && epoch;
  }

  // sure calls f with whether the connection is alive, whoever holds it. It is for a poll of channels.
  function sure(channels, f) {
    channels.forEach(function (c) {
      used[c] = now();
    });
    if (doc.cookie !== cookies) {
      refused = {};
      cookies = doc.cookie;
      outdate();
    }
    if (leads) return setTimeout(function () {
      f(connected());
    });
    var i = Math.random();
    function reply(yes) {
      clearTimeout(t);
      delete replies[i];
      f(yes);
    }
    var t = setTimeout(reply, REPLY);
    replies[i] = reply;
    post({ t: "ask", i: i, c: channels });
  }

  w.addEventListener("pagehide", function () {
    if (joined) leave();
  });
  w.addEventListener("pageshow", function (e) {
    if (e.persisted && wanted.length && !joined) join();
  });

  // ---- XMLHttpRequest: the object is the browser's own. Where the shim answers, the properties of the object itself hide
  // those of its prototype, until it is opened again.

  var requests = new WeakMap();
  var none = { status: 0, statusText: "", url: "", fields: [], body: new ArrayBuffer(0) };

  function define(name, f) {
    own[name] = X[name];
    X[name] = f;
    f.holdfast = true;
  }

  // local returns what the shim knows of a request that it answers.
  function local(x) {
    var s = requests.get(x);
    return s && (s.waits || s.shown) ? s : null;
  }

  define("open", function (method, url) {
    var x = this;
    own.open.apply(x, arguments);
    var s = requests.get(x) || {};
    s.over = true;
    s.waits = false;
    clearTimeout(s.timer);
    for (var name in s.shown) delete x[name];
    if (s.end) s.end();
    var odd = arguments[3] || arguments[4] || (arguments.length > 2 && !arguments[2]); // jQuery has five
    requests.set(x, { method: method, url: url, fields: [], odd: odd, mime: s.mime });
    if (s.shown) x.dispatchEvent(new Event("readystatechange")); // the browser takes it for opened already
  });

  define("setRequestHeader", function (name, value) {
    own.setRequestHeader.apply(this, arguments);
    requests.get(this).fields.push([name, value]);
  });

  define("overrideMimeType", function () {
    own.overrideMimeType.apply(this, arguments);
    var s = requests.get(this) || {};
    s.mime = true;
    requests.set(this, s);
  });

  define("send", function () {
    var x = this;
    var s = requests.get(x) || {};
    if (local(x)) throw new DOMException("The object's state must be OPENED.", "InvalidStateError");
    var p = !s.odd && !s.mime && /^get$/i.test(s.method) && /^(text|json|arraybuffer|blob)?$/.test(x.responseType) && find(s.url, s.fields);
    if (p && covered(p)) return answer(x, s, p);
    if (isWrite(s.method || "GET", s.url)) s.end = write();
    if (p || s.end) x.addEventListener("readystatechange", function f() {
      if (requests.get(x) !== s) return x.removeEventListener("readystatechange", f); // opened again
      if (p && x.readyState === 2) learn(p, x.getResponseHeader("Push-Channel"));
      if (x.readyState !== 4) return;
      x.removeEventListener("readystatechange", f);
      if (s.end) s.end();
    });
    return own.send.apply(x, arguments);
  });

  define("abort", function () {
    var s = local(this);
    if (!s) return own.abort.apply(this, arguments);
    if (s.waits) end(this, s, "abort");
    s.over = true;
    s.state = 0;
    s.answer = none;
  });

  define("getResponseHeader", function (name) {
    var s = local(this);
    return s ? field(s, name) : own.getResponseHeader.apply(this, arguments);
  });

  define("getAllResponseHeaders", function () {
    var s = local(this);
    if (!s) return own.getAllResponseHeaders.apply(this, arguments);
    return s.state < 2 ? "" : s.answer.fields.map(function (f) {
      return f.join(": ") + "\r\n";
    }).join("");
  });

  function field(s, name) {
    for (var i = 0; s.state > 1 && i < s.answer.fields.length; i++)
      if (s.answer.fields[i][0] === String(name).toLowerCase()) return s.answer.fields[i][1];
    return null;
  }

  function answer(x, s, p) {
    s.waits = true;
    s.state = 1;
    if (x.timeout) s.timer = setTimeout(function () {
      end(x, s, "timeout");
    }, x.timeout);
    x.dispatchEvent(new ProgressEvent("loadstart"));
    ask(p, function (a) {
      if (!s.waits) return;
      if (a) return end(x, s, "load", a);
      s.waits = false;
      clearTimeout(s.timer);
      x.addEventListener("loadstart", function f(e) {
        e.stopImmediatePropagation(); // it was
        x.removeEventListener("loadstart", f, true);
      }, true);
      own.send.call(x);
    });
  }

  // end shows the page an answer, or none, and fires the events, until one of them opens or aborts the request.
  function end(x, s, how, a) {
    clearTimeout(s.timer);
    s.waits = false;
    s.answer = a || none;
    s.shown = views(x, s);
    for (var name in s.shown) Object.defineProperty(x, name, { get: s.shown[name], configurable: true });
    s.state = 2;
    var n = s.answer.body.byteLength;
    var known = +field(s, "content-length") === n && n > 0;
    var size = { loaded: n, total: known ? n : 0, lengthComputable: known };
    (a ? [2, "", 3, "", "progress", 4, "", how, "loadend"] : [4, "", how, "loadend"]).forEach(function (step) {
      if (s.over) return;
      if (+step) s.state = step;
      else if (!step) x.dispatchEvent(new Event("readystatechange"));
      else x.dispatchEvent(new ProgressEvent(step, size));
    });
  }

  // views returns what a request's properties show of its answer.
  function views(x, s) {
    var type = x.responseType;
    var plain = !type || type === "text";
    var value;
    function media() {
      return field(s, "content-type") || "";
    }
    function text() {
      var charset = /charset\s*=\s*["']?([^\s;"']+)/i.exec(media());
      try {
        return new TextDecoder(charset && plain ? charset[1] : "utf-8").decode(s.answer.body);
      } catch (e) {
        return new TextDecoder().decode(s.answer.body);
      }
    }
    function refuse(other) {
      throw new DOMException("The value is only accessible if the object's 'responseType' is '' or '" + other + "' (was '" + type + "').", "InvalidStateError");
    }
    function of(name, without) {
      return function () {
        return s.state > 1 ? s.answer[name] : without;
      };
    }
    // whole makes a value of a complete answer, once.
    function whole(make) {
      if (s.state !== 4 || !s.answer.status) return null;
      if (value === undefined) value = make();
      return value;
    }
    var v = {
      readyState: function () {
        return s.state;
      },
      status: of("status", 0),
      statusText: of("statusText", ""),
      responseURL: of("url", ""),
      responseText: function () {
        if (!plain) refuse("text");
        return s.state > 2 ? text() : "";
      },
      responseXML: function () {
        if (type) refuse("document");
        return !/[\/+]xml\s*(;|$)/i.test(media()) ? null : whole(function () {
          var xml = new DOMParser().parseFromString(text(), "application/xml");
          return xml.getElementsByTagName("parsererror").length ? null : xml;
        });
      },
      response: function () {
        return plain ? v.responseText() : whole(function () {
          if (type === "blob") return new Blob([s.answer.body], { type: media().split(";")[0] });
          if (type === "arraybuffer") return s.answer.body.slice(0);
          try {
            return JSON.parse(text());
          } catch (e) {
            return null;
          }
        });
      }
    };
    return v;
  }

  // ---- fetch

  // dress gives a response what only the browser's own have.
  function dress(r, a) {
    var props = { url: a.url, type: "basic", redirected: a.redirected, clone: function () {
      return dress(Response.prototype.clone.call(r), a);
    } };
    for (var name in props) Object.defineProperty(r, name, { value: props[name], configurable: true });
    return r;
  }

  w.fetch = function (input) {
    var args = arguments;
    var init = args[1] || {};
    var fields = [];
    var r, p;
    function out() {
      return fetch.apply(w, args);
    }
    var method = init.method || (input || {}).method || "GET";
    if (isWrite(method, (input || {}).url || input)) {
      var done = write();
      return out().then(function (r) {
        done();
        return r;
      }, function (e) {
        done();
        throw e;
      });
    }
    try {
      if (/^get$/i.test(method)) r = new Request(input, init);
    } catch (e) {}
    if (r && r.credentials !== "omit" && r.mode !== "no-cors" && r.redirect === "follow" && !r.integrity && !r.signal.aborted) {
      r.headers.forEach(function (value, name) {
        fields.push([name, value]);
      });
      p = find(r.url, fields);
    }
    if (!p) return out();
    if (!covered(p)) return out().then(function (r) {
      learn(p, r.headers.get("Push-Channel"));
      return r;
    });
    return new Promise(function (resolve, reject) {
      r.signal.addEventListener("abort", function () {
        reject(r.signal.reason || new DOMException("The user aborted a request.", "AbortError"));
      });
      ask(p, function (a) {
        if (r.signal.aborted) return;
        resolve(a ? dress(new Response(a.body.byteLength ? a.body : null, { status: a.status, statusText: a.statusText, headers: a.fields }), a) : out());
      });
    });
  };
})();
