//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// reads is what a page has for reading from another origin: each calls back with what it could read.
const reads = `
	const page = {}, target = arguments0;
	const settle = name => new Promise(done => page[name](done));
	page.websocket = done => {
		const ws = new WebSocket(target.replace("http", "ws"));
		ws.onmessage = e => { done("read " + e.data); ws.close(); };
		ws.onclose = () => done("closed");
	};
	page.v1 = done => {
		const ws = new WebSocket(target.replace("http", "ws"), "holdfast.v1");
		ws.onmessage = e => { if (e.data.includes("secret")) { done("read " + e.data); ws.close(); } };
		ws.onclose = () => done("closed");
	};
	page.eventsource = done => {
		const es = new EventSource(target, {withCredentials: true});
		es.onmessage = e => { done("read " + e.data); es.close(); };
		es.onerror = () => { if (es.readyState === 2) done("closed"); };
	};
	page.fetch = done => fetch(target, {credentials: "include"}).then(r => r.text()).then(t => done("read " + t), () => done("closed"));
	page.opaque = done => fetch(target, {credentials: "include", mode: "no-cors"}).then(r => r.text()).then(t => done("read " + t), () => done("closed"));
	page.script = done => {
		const s = document.createElement("script");
		s.onload = () => done("loaded"); // and did not run, as it is JSON
		s.onerror = () => done("closed");
		s.src = target;
		document.head.append(s);
	};
	return Promise.all(Object.keys(page).map(async name => [name, await settle(name)])).then(Object.fromEntries);`

// publishes is what a page has for sending to another origin, without being asked whether it may.
const publishes = `
	const target = arguments0, body = "forged";
	const form = (enctype, name) => new Promise(done => {
		const frame = document.createElement("iframe"), f = document.createElement("form"), input = document.createElement("input");
		frame.name = "frame" + Math.random();
		f.target = frame.name; f.method = "POST"; f.enctype = enctype; f.action = target;
		input.name = name; input.value = body;
		f.append(input);
		document.body.append(frame, f);
		frame.onload = () => done();
		f.submit();
	});
	const send = o => fetch(target, o).catch(() => 0);
	navigator.sendBeacon(target, body);
	const image = new Image();
	return Promise.all([
		form("text/plain", '{"channel":"public.x","data":"'), form("application/x-www-form-urlencoded", "x"), form("multipart/form-data", "x"),
		send({method: "POST", mode: "no-cors", body}), send({method: "POST", body}), send({method: "POST", credentials: "include", body}),
		send({method: "POST", headers: {"Content-Type": "application/json"}, body: '{"channel":"public.x","data":1}'}),
		send({method: "POST", headers: {"X-Own": "1"}, body}), send({mode: "no-cors"}), send({}), send({method: "PUT", body}),
		new Promise(done => { image.onload = image.onerror = done; image.src = target; }),
	]).then(() => 0);`

// TestForeignPages: a page of another origin, even of the same host, whose visitor is logged in to the app, reads
// nothing of what that user may hold and holds nothing in that user's name; and no page publishes.
func TestForeignPages(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/authorize" {
			http.SetCookie(w, &http.Cookie{Name: "SID", Value: "anna", Path: "/"}) // cookies know no ports
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!DOCTYPE html><title>page</title><body>")
		} else if c, err := r.Cookie("SID"); err != nil || c.Value != "anna" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	foreign, friend := newPage(t), newPage(t)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`{listen: %q, upstream: %q, hooks: {listen: %q}, push: {authorize_path: /authorize, origins: [%q]}, channels: [{match: "private.**", access: authorize}, {match: "public.**", access: public}]}`, listen, app, hooks, friend)
	})
	h.publish(t, "private.a", "secret")
	b := startBrowser(t)
	target := h.url + "/_push?channel=private.a&last=1&wait=60"
	run := func(script, target string, into any) {
		t.Helper()
		b.eval(strings.Replace(script, "arguments0", fmt.Sprintf("%q", target), 1), into)
	}

	b.open(h.url + "/") // logs in
	for _, c := range []struct {
		name, page string
		readable   []string
	}{
		{"the app's own", h.url, []string{"websocket", "v1", "eventsource", "fetch", "opaque"}},
		{"another port", foreign, nil},
		{"another name for the same port", strings.Replace(h.url, "127.0.0.1", "localhost", 1), nil},
		{"a listed origin", friend, []string{"websocket", "v1", "eventsource", "fetch"}},
	} {
		b.open(c.page + "/")
		got := map[string]string{}
		run(reads, target, &got)
		for how, what := range got {
			want := false
			for _, r := range c.readable {
				want = want || r == how
			}
			if want != strings.Contains(what, "secret") {
				t.Errorf("a page of %s reads by %s: %q", c.name, how, what)
			}
		}
		if len(got) != 6 {
			t.Errorf("a page of %s has read by %d ways: %v", c.name, len(got), got)
		}
	}
	h.waitSubscribers(t, "private.a", 0)
	// A long poll of a page that may not read it would be held for a minute.
	b.open(foreign + "/")
	b.eval(fmt.Sprintf(`return fetch(%q, {mode: "no-cors", credentials: "include"}).then(r => r.type)`, h.url+"/_push?channel=private.a&wait=60"), nil)
	h.waitSubscribers(t, "private.a", 0)

	for _, page := range []string{h.url, foreign, friend} {
		b.open(page + "/")
		for _, path := range []string{"/publish?channel=public.x", "/publish", "/disconnect", "/channels", "/metrics", "/healthz"} {
			run(publishes, h.hooks+path, nil)
		}
		var text string
		b.eval(fmt.Sprintf(`return fetch(%q).then(r => r.text()).then(t => "read " + t, () => "closed")`, h.hooks+"/metrics"), &text)
		if text != "closed" {
			t.Errorf("a page reads the metrics: %.100q", text)
		}
	}
	// A name of somebody else that points here makes their page one of the same origin (DNS rebinding).
	b.open(strings.Replace(h.hooks, "127.0.0.1", "rebound.test", 1) + "/channels")
	b.waitFor("the refusal", "document.body.textContent.includes('host not allowed')")
	run(publishes, strings.Replace(h.hooks, "127.0.0.1", "rebound.test", 1)+"/publish?channel=public.x", nil)

	var channel struct {
		Messages int `json:"messages"`
	}
	h.publish(t, "public.x", "mine")
	if err := json.Unmarshal([]byte(newVisitor(t, h.hooks).get("/channels/public.x").body), &channel); err != nil || channel.Messages != 1 {
		t.Errorf("the channel has %d messages, want one: the app's; %v", channel.Messages, err)
	}
	newVisitor(t, h.hooks).get("/metrics").wantText(t, "holdfast_messages_published_total 2\n")
}

// newPage serves a page of an origin of its own.
func newPage(t *testing.T) string {
	return startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><title>page</title><body>")
	}))
}
