//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// hostileHTML is HTML that would run if the page took text for HTML.
const hostileHTML = `<img src=x onerror="hacked=1"><script>hacked=1</script>`

// startPageLoad starts an app with Holdfast in front, and clients that keep both busy until the test ends.
func startPageLoad(t *testing.T, more string) *holdfast {
	t.Helper()
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(15 * time.Millisecond)
		}
		fmt.Fprint(w, "ok")
	}))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstreams: [{url: %s}, {url: "http://%s"}]
hooks: {listen: %s, %s}
channels:
  - {match: "orders.**", access: public, history: {messages: 50, age: 10m}}
  - {match: "news", access: public}
push: {max_connections_per_user: 5}
polls: [{match: /poll, fresh: 5s}]
upstream_pool: {fail_timeout: 1h}
`, listen, app, freeAddr(t), hooks, more)
	})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	v := newVisitor(t, h.url)
	for i := range 40 {
		holdSSE(t, v, fmt.Sprintf("orders.%d", 1000+i%12))
	}
	for i := range 25 {
		holdWebSocket(t, h, fmt.Sprintf("orders.%d", 1000+i%8), "news")
	}
	get := func(base, path string, header http.Header) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = header
		if res, err := v.http.Do(req); err == nil { // the test may be over
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	busy := func(every time.Duration, do func(i int)) {
		donec := make(chan struct{})
		t.Cleanup(func() { stop(); <-donec })
		go func() {
			defer close(donec)
			for i := 0; ctx.Err() == nil; i++ {
				do(i)
				select {
				case <-time.After(every):
				case <-ctx.Done():
				}
			}
		}()
	}
	busy(10*time.Millisecond, func(i int) { get(h.url, []string{"/", "/slow", "/poll", "/poll"}[i%4], nil) })
	busy(40*time.Millisecond, func(i int) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.hooks+fmt.Sprintf("/publish?channel=orders.%d", 1000+i%12), strings.NewReader(`{"state":"packed"}`))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+pageToken)
		if res, err := v.http.Do(req); err == nil {
			res.Body.Close()
		}
	})
	busy(1500*time.Millisecond, func(i int) {
		get(h.url, "/_push?channel=orders.1000", http.Header{"Origin": {"https://evil.example"}})
		get(h.url, "/_push?channel=secret.1", nil)
		get(h.hooks, "/publish?token="+pageSecret, http.Header{"Origin": {"https://evil.example"}})
		sendHostile(h)
	})
	return h
}

const (
	pageToken  = "f3a1c0ffee5eed0123456789abcdef00"
	pageSecret = "s3cr3t-of-a-client"
)

// sendHostile has the log get lines with HTML of a client: as a path, an origin and a reason.
func sendHostile(h *holdfast) {
	for _, raw := range []string{
		"GET /" + url.PathEscape(hostileHTML) + " HTTP/1.1\r\nHost: localhost\r\nOrigin: " + hostileHTML + "\r\n\r\n",
		"GET /nothing/" + strings.ReplaceAll(hostileHTML, " ", "/") + " HTTP/1.1\r\nHost: " + strings.ReplaceAll(hostileHTML, " ", "") + "\r\n\r\n",
	} {
		for _, addr := range []string{strings.TrimPrefix(h.hooks, "http://"), h.addr} {
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(c, raw)
				_, _ = io.Copy(io.Discard, io.LimitReader(c, 12))
				c.Close()
			}
		}
	}
}

// TestOperatorPage looks at the page under load, on a desktop and on a phone.
func TestOperatorPage(t *testing.T) {
	h := startPageLoad(t, "page: publish")
	b := startBrowser(t)
	b.resize(1280, 900, false)
	b.open(h.hooks + "/")
	b.waitFor("the page is live", "document.querySelector('.light[data-state=live]')")
	b.waitFor("it shows what is held", "Number(document.querySelector('#held').textContent) === 65")
	b.waitFor("and requests", "Number(document.querySelector('#requests').textContent) > 1")
	b.waitFor("and publishes", "Number(document.querySelector('#published').textContent) > 1")
	b.waitFor("and channels", "document.querySelectorAll('#channels tbody tr').length >= 12")
	b.waitFor("and an upstream that is down", "document.querySelector('#upstreams .mark.down') && document.querySelectorAll('#upstreams li').length === 2")
	b.waitFor("and what the cache spares the app", "parseInt(document.querySelector('#spared').textContent) > 10")
	b.waitFor("and a refusal with its key", "[...document.querySelectorAll('#refusals code')].some((c) => c.textContent === 'push.origins')")
	b.waitFor("and its last example", "document.querySelector('#refusals').textContent.includes('https://evil.example')")
	b.waitFor("and the log", "document.querySelector('#lines').textContent.includes('subscribe rejected')")
	wantNoOverflow(t, b, "desktop")
	b.waitFor("the graphs have a course", "document.querySelector('#requests-spark polyline').getAttribute('points').split(' ').length > 12")
	b.screenshot("page-wide.png")
	wantAccessible(t, b)

	// A channel: search, history, a test message.
	b.fill("#match", "orders.1003")
	b.waitFor("the search has found it", "document.querySelectorAll('#channels tbody tr').length === 1")
	b.click("#channels .name")
	b.waitFor("its history", "document.querySelectorAll('#messages li').length > 0")
	b.eval("document.querySelector('#data').value = ''; return 0", nil)
	b.fill("#data", hostileHTML)
	b.fill("#event", "test")
	b.click("#publish-button")
	b.waitFor("it was published", "document.querySelector('#publish-note').textContent.startsWith('Published as')")
	b.waitFor("and is in history", `document.querySelector("#messages").textContent.includes('<img src=x')`)
	b.screenshot("page-channel.png")
	b.click("#channel-close")

	// Nothing of a client has become HTML.
	b.waitFor("the log has hostile lines", `document.querySelector("#lines").textContent.includes("<img")`)
	var ran bool
	b.eval(`return "hacked" in window || document.querySelectorAll("main img, main script, dialog img, dialog script").length > 0`, &ran)
	if ran {
		t.Error("text of a client has become HTML")
	}
	var html string
	b.eval("return document.documentElement.outerHTML", &html)
	if strings.Contains(html, pageSecret) {
		t.Error("the page shows a client's token")
	}
	var inline string
	b.eval(`try { document.body.innerHTML = "<b>x</b>"; return "written" } catch (e) { return e.name }`, &inline)
	if inline != "TypeError" {
		t.Errorf("a script writes HTML: %s", inline)
	}

	b.resize(390, 844, true)
	b.waitFor("the page is as wide as the phone", "window.innerWidth === 390")
	b.eval(`document.querySelector("#match").value = ""; document.querySelector("#match").dispatchEvent(new Event("input")); scrollTo(0, 0); return 0`, nil)
	b.waitFor("all channels again", "document.querySelectorAll('#channels tbody tr').length >= 12")
	wantNoOverflow(t, b, "phone")
	b.screenshot("page-phone.png")
	for _, part := range []string{"channels", "upstreams", "refusals", "log"} {
		b.eval(fmt.Sprintf("document.querySelector('#%s-title').scrollIntoView(); return 0", part), nil)
		b.screenshot("page-phone-" + part + ".png")
	}
	b.command(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": "Emulation.setEmulatedMedia", "params": map[string]any{
		"features": []map[string]any{{"name": "prefers-color-scheme", "value": "dark"}},
	}}, nil)
	b.resize(1280, 900, false)
	b.eval("scrollTo(0, 0); return 0", nil)
	b.screenshot("page-dark.png")
	wantAccessible(t, b)
	b.eval("document.querySelector('#refusals-title').scrollIntoView(); return 0", nil)
	b.screenshot("page-dark-refusals.png")

	// Nobody looks: nothing is collected.
	b.open("about:blank")
	eventually(t, "no viewer is left", func() bool { return h.metric(t, "holdfast_page_viewers") == 0 })
}

// wantAccessible wants a name for everything that can be used, and a contrast of at least 4.5 for all text that shows.
func wantAccessible(t *testing.T, b *browser) {
	t.Helper()
	var faults []string
	b.eval(`
		const faults = [], visible = (e) => e.checkVisibility() && e.getClientRects().length > 0;
		for (const e of document.querySelectorAll("button, input, textarea, [tabindex]")) {
			const name = e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.labels?.length || e.textContent.trim();
			if (!name) faults.push("no name: " + e.outerHTML.slice(0, 80));
		}
		const parse = (c) => c.match(/[\d.]+/g).map(Number);
		const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
		const paper = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
		const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		let texts = 0;
		while (walker.nextNode()) {
			const e = walker.currentNode.parentElement;
			if (!walker.currentNode.data.trim() || !visible(e)) continue;
			texts++;
			const [a, c] = [light(parse(getComputedStyle(e).color)), light(paper(e))].sort((x, y) => y - x);
			if ((a + 0.05) / (c + 0.05) < 4.5) faults.push("contrast " + ((a + 0.05) / (c + 0.05)).toFixed(2) + ": " + walker.currentNode.data.slice(0, 60));
		}
		if (texts < 50) faults.push("only " + texts + " texts");
		let level = 0;
		for (const h of document.querySelectorAll("main h2, main h3")) if (visible(h)) { const l = Number(h.tagName[1]); if (l > level + 1 && level) faults.push("heading jumps: " + h.textContent); level = l; }
		return faults.slice(0, 20);`, &faults)
	for _, f := range faults {
		t.Error(f)
	}
}

// press sends keys to the element that has the focus.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	var actions []map[string]any
	for _, key := range keys {
		actions = append(actions, map[string]any{"type": "keyDown", "value": key}, map[string]any{"type": "keyUp", "value": key})
	}
	b.command(http.MethodPost, "/actions", map[string]any{"actions": []map[string]any{{"type": "key", "id": "keyboard", "actions": actions}}}, nil)
}

// TestOperatorPageKeyboard: everything can be reached and used without a mouse, and the focus stays while the page changes.
func TestOperatorPageKeyboard(t *testing.T) {
	const tab, enter, escape = "\ue004", "\ue007", "\ue00c"
	h := startPageLoad(t, "page: publish")
	b := startBrowser(t)
	b.open(h.hooks + "/")
	b.waitFor("the channels", "document.querySelectorAll('#channels tbody tr').length >= 12")
	focus := func() (name string) {
		t.Helper()
		b.eval("const e = document.activeElement; return e.id || e.className + ' ' + e.textContent", &name)
		return name
	}
	b.press(tab)
	if got := focus(); got != "match" {
		t.Errorf("the first is %s", got)
	}
	b.press(tab)
	if got := focus(); !strings.HasPrefix(got, "name ") {
		t.Errorf("the second is %s", got)
	}
	first := focus()
	var states string
	b.eval("return document.querySelector('#uptime').textContent", &states)
	b.waitFor("the page has changed", fmt.Sprintf("document.querySelector('#uptime').textContent !== %q", states))
	if got := focus(); got != first {
		t.Errorf("the focus has moved from %s to %s", first, got)
	}
	b.press(enter)
	b.waitFor("the channel is open, with the focus in it", "document.querySelector('#channel').open && document.querySelector('#channel').contains(document.activeElement)")
	b.eval("document.querySelector('#data').focus(); return 0", nil)
	b.press(tab, tab, enter)
	b.waitFor("it was published", "document.querySelector('#publish-note').textContent.startsWith('Published as')")
	b.press(escape)
	b.waitFor("the channel is closed", "!document.querySelector('#channel').open")
	if got := focus(); got != first {
		t.Errorf("after it, the focus is at %s, not %s", got, first)
	}
	b.press(tab)
	for range 40 { // through the other channels
		if focus() == "severe" {
			break
		}
		b.press(tab)
	}
	if got := focus(); got != "severe" {
		t.Errorf("the filter of the log is not reached: %s", got)
	}
	b.press(" ")
	b.waitFor("only warnings and errors show", "[...document.querySelectorAll('#lines .info')].every((l) => !l.checkVisibility())")
	b.press(tab)
	if got := focus(); got != "log" {
		t.Errorf("the log is not reached: %s", got)
	}
}

// TestOperatorPageToken: the token is asked for once, is in no URL and no log, and lets the page publish.
func TestOperatorPageToken(t *testing.T) {
	h := startPageLoad(t, "token: "+pageToken)
	b := startBrowser(t)
	b.open(h.hooks + "/")
	b.waitFor("the form", "!document.querySelector('#login').hidden && document.querySelector('#main').hidden")
	b.fill("#token", "this is not it")
	b.click("#login button")
	b.waitFor("the refusal", "document.querySelector('#login-error').textContent === 'This is not the token.'")
	b.fill("#token", pageToken)
	b.click("#login button")
	b.waitFor("the page", "document.querySelector('.light[data-state=live]') && !document.querySelector('#main').hidden")
	b.waitFor("its channels", "document.querySelectorAll('#channels tbody tr').length >= 12")
	b.command(http.MethodPost, "/refresh", map[string]any{}, nil)
	b.waitFor("the page again, without being asked", "document.querySelector('.light[data-state=live]') && !document.querySelector('#main').hidden")
	b.click("#channels .name")
	b.click("#publish-button")
	b.waitFor("it was published", "document.querySelector('#publish-note').textContent.startsWith('Published as')")
	b.click("#channel-close")
	var address, html string
	b.eval("return location.href + JSON.stringify(performance.getEntries().map((e) => e.name)) + document.cookie", &address)
	b.eval("return document.documentElement.outerHTML", &html)
	for where, text := range map[string]string{"an address": address, "the page": html, "the log": h.log.String()} {
		if strings.Contains(text, pageToken) {
			t.Errorf("%s has the token", where)
		}
	}
	b.click("#lock")
	b.waitFor("the form again", "!document.querySelector('#login').hidden && document.querySelector('#main').hidden")
}

// TestOperatorPageForeign: a page of another origin, one whose name points here, and one that frames the operator's page
// read nothing of it and publish nothing, though publishing needs no token.
func TestOperatorPageForeign(t *testing.T) {
	h := startPageLoad(t, "page: publish")
	foreign := newPage(t)
	b := startBrowser(t)
	before := h.metric(t, `holdfast_api_requests_total\{code="403"\}`)
	attack := `
		const target = arguments0;
		const tell = (p) => p.then((r) => r.text()).then((t) => "read " + t, () => "closed");
		const headers = {"Holdfast-Page": "1"};
		const form = (enctype) => new Promise((done) => {
			const frame = document.createElement("iframe"), f = document.createElement("form");
			frame.name = "f" + Math.random(); f.target = frame.name; f.method = "POST"; f.enctype = enctype; f.action = target + "/page/publish?channel=news";
			document.body.append(frame, f); frame.onload = () => done("sent"); f.submit();
		});
		return Promise.all([
			tell(fetch(target + "/page/live")), tell(fetch(target + "/page/live", {headers})), tell(fetch(target + "/page/channels", {mode: "no-cors"})),
			tell(fetch(target + "/page/channels", {headers, credentials: "include"})),
			tell(fetch(target + "/page/publish?channel=news", {method: "POST", body: "forged"})),
			tell(fetch(target + "/page/publish?channel=news", {method: "POST", body: "forged", headers})),
			tell(fetch(target + "/page/publish?channel=news", {method: "POST", body: "forged", mode: "no-cors"})),
			form("text/plain"), form("application/x-www-form-urlencoded"), form("multipart/form-data"),
			new Promise((done) => { const s = document.createElement("script"); s.onload = () => done("read script"); s.onerror = () => done("closed"); s.src = target + "/page/page.js"; document.head.append(s); }),
			new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => done("framed"); f.src = target + "/"; document.body.append(f); }),
		]);`
	for _, target := range []string{h.hooks, strings.Replace(h.hooks, "127.0.0.1", "localhost", 1)} {
		b.open(foreign + "/")
		var got []string
		b.eval(strings.Replace(attack, "arguments0", fmt.Sprintf("%q", target), 1), &got)
		for i, what := range got {
			if strings.HasPrefix(what, "read ") && what != "read " { // an opaque response is empty
				t.Errorf("attack %d: %.100q", i, what)
			}
		}
	}
	rebound := strings.Replace(h.hooks, "127.0.0.1", "rebound.test", 1)
	b.open(rebound + "/")
	b.waitFor("the refusal", "document.body.textContent.includes('host not allowed')")
	var got []string
	b.eval(strings.Replace(attack, "arguments0", fmt.Sprintf("%q", rebound), 1), &got)
	for i, what := range got {
		if strings.HasPrefix(what, "read ") && what != "read script" && !strings.Contains(what, "host not allowed") {
			t.Errorf("attack %d of a page whose name points here: %.100q", i, what)
		}
	}
	if n := h.metric(t, "holdfast_page_viewers"); n != 0 {
		t.Errorf("%d viewers", n)
	}
	if n := h.metric(t, `holdfast_api_requests_total\{code="403"\}`) - before; n < 20 {
		t.Errorf("only %d requests were refused: the attacks did not get here", n)
	}
	newVisitor(t, h.hooks).get("/channels/news").wantText(t, `"messages":0`)
}
