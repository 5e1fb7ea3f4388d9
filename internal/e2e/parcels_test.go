//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPHPParcels puts Holdfast in front of examples/php/parcels, on Apache with mod_php.
func TestPHPParcels(t *testing.T) {
	wantShort(t, "examples/php/parcels/authorize.php")
	listen, hooks := freeAddr(t), freeAddr(t)
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/php/parcels"))); err != nil {
		t.Fatal(err)
	}
	apache := startApache(t, dir, root, "", "HOLDFAST_HOOKS=http://"+hooks)
	h := startHoldfastAt(t, listen, hooks, exampleConfig(t, "examples/php/parcels/holdfast.yaml", apache))
	testParcels(t, h, ".php", "PHPSESSID")
}

// TestTomcatParcels puts Holdfast in front of examples/tomcat-parcels, whose login is the container's.
func TestTomcatParcels(t *testing.T) {
	wantShort(t, "examples/tomcat-parcels/authorize.jsp")
	listen, hooks := freeAddr(t), freeAddr(t)
	tomcat := startTomcat(t, map[string]string{"": filepath.Join(repository, "examples/tomcat-parcels")}, "HOLDFAST_HOOKS=http://"+hooks)
	h := startHoldfastAt(t, listen, hooks, exampleConfig(t, "examples/tomcat-parcels/holdfast.yaml", tomcat))
	testParcels(t, h, ".jsp", "JSESSIONID")

	// An app that has the container guard the page that Holdfast asks: it answers with its form, and 200.
	h = startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: http://%s\nhooks: {listen: %s}\npush: {authorize_path: /index.jsp}\nchannels: [{match: private, access: authorize}]\n", listen, tomcat, hooks)
	})
	newVisitor(t, h.url).get("/index.jsp").wantText(t, "j_security_check")
	newVisitor(t, h.url).do(http.MethodGet, "/_push?channel=private&wait=0", nil, nil).want(t, http.StatusServiceUnavailable)
}

// wantShort: the one script that an app has to have is less than ten lines.
func wantShort(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, file))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n >= 10 {
		t.Errorf("%s has %d lines, want less than ten", file, n)
	}
}

// owner is one of the example's users, in a browser of their own.
type owner struct {
	*browser
	user, password, parcel string
}

func (o *owner) logIn(h *holdfast) {
	o.t.Helper()
	o.open(h.url + "/")
	o.waitFor("the form to log in", "document.querySelector('#login')")
	o.eval(fmt.Sprintf(`
		document.querySelector("input:not([type=password])").value = %q;
		document.querySelector("input[type=password]").value = %q;
		return 0`, o.user, o.password), nil)
	o.click("#login")
	o.waitFor("the parcel of "+o.user, fmt.Sprintf("document.querySelector('#parcel')?.textContent === %q", o.parcel))
	o.waitLive("")
}

// scan is the courier, who has been somewhere with a parcel. It returns how many hold it.
func scan(t *testing.T, h *holdfast, suffix, parcel, text string) int {
	t.Helper()
	a := newVisitor(t, h.url).post("/scan"+suffix, url.Values{"parcel": {parcel}, "text": {text}})
	a.want(t, http.StatusOK)
	return parsePublished(t, strings.TrimSpace(a.body)).Subscribers
}

// shows waits until the current tab has the text as the newest of the parcel.
func (b *browser) shows(text string) {
	b.t.Helper()
	b.waitFor("the page shows "+text, fmt.Sprintf("document.querySelector('#stops li span')?.textContent === %q", text))
}

// never wants that the current tab does not have the text anywhere.
func (b *browser) never(text string) {
	b.t.Helper()
	var page string
	if b.eval("return document.documentElement.textContent", &page); strings.Contains(page, text) {
		b.t.Errorf("the page has %q", text)
	}
}

// testParcels is two users in two browsers, each of whom sees their own parcel and no other, until one of them
// logs out in one tab.
func testParcels(t *testing.T, h *holdfast, suffix, cookie string) {
	picture := func(of string) string { return "parcels-" + strings.TrimPrefix(suffix, ".") + "-" + of + ".png" }
	anna := &owner{startBrowser(t), "anna", "sunflower", "HF-1042"}
	bert := &owner{startBrowser(t), "bert", "lighthouse", "HF-2077"}
	for _, o := range []*owner{anna, bert} {
		o.resize(640, 560, false)
		o.open(h.url + "/")
		o.waitFor("the form to log in", "document.querySelector('#login')")
	}
	anna.screenshot(picture("login"))
	anna.logIn(h)
	bert.logIn(h)
	first := anna.currentTab()
	second := anna.tab(h.url + "/")
	anna.resize(640, 560, false)
	anna.waitLive("")
	anna.never(bert.parcel)
	bert.never(anna.parcel)

	// Each has what is published of their own parcel, in every tab.
	scan(t, h, suffix, anna.parcel, "In the depot, for Anna")
	scan(t, h, suffix, bert.parcel, "In the depot, for Bert")
	for _, tab := range []string{first, second} {
		anna.turnTo(tab)
		anna.shows("In the depot, for Anna")
		anna.never("for Bert")
	}
	bert.shows("In the depot, for Bert")
	bert.never("for Anna")

	// Whatever Bert's page asks for, it is not Anna's channel that it gets; nor does somebody without a login.
	for _, query := range []string{"channel=user.anna", "channel=user.bert&channel=user.anna", "channel=user.Anna", "channel=user.*", "channel=user"} {
		for _, accept := range []string{"text/event-stream", "application/json"} {
			var status int
			bert.eval(fmt.Sprintf(`return fetch("/_push?wait=0&%s", {headers: {Accept: %q}}).then(r => r.status)`, query, accept), &status)
			if status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("Bert asks for %s: %d, want a refusal", query, status)
			}
		}
	}
	newVisitor(t, h.url).do(http.MethodGet, "/_push?channel=user.anna&wait=0", nil, nil).want(t, http.StatusUnauthorized)

	// A stream of Anna's that has nothing to do with her tabs, but for the cookie.
	ctx, leave := context.WithTimeout(t.Context(), 2*patience)
	defer leave()
	stream, err := newVisitor(t, h.url).open(ctx, "/_push?channel=user.anna", http.Header{
		"Accept": {"text/event-stream"}, "Cookie": {cookie + "=" + anna.cookie(cookie)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK {
		t.Fatalf("Anna's stream: %s", stream.Status)
	}
	h.waitSubscribers(t, "user.anna", 2)

	// Anna logs out in her second tab: what she holds ends before anything more is published.
	anna.turnTo(second)
	begun := time.Now()
	anna.click("#logout")
	heard, err := io.ReadAll(stream.Body)
	ended := time.Since(begun)
	if err != nil {
		t.Fatalf("Anna's stream did not end: %v", err)
	}
	h.waitSubscribers(t, "user.anna", 0)
	t.Logf("logged out: the stream ended %v after the click, nobody held the channel after %v", ended, time.Since(begun))
	if bytes.Contains(heard, []byte("data:")) {
		t.Errorf("Anna's stream heard %q", heard)
	}
	if n := scan(t, h, suffix, anna.parcel, "Not for these eyes"); n != 0 {
		t.Errorf("published to %d who have logged out", n)
	}
	anna.turnTo(first)
	anna.waitFor("the other tab knows", "push.state === 'offline' && document.querySelector('#light').className === 'out'")
	t.Logf("the other tab's light says so after %v", time.Since(begun))
	anna.never("Not for these eyes")
	anna.screenshot(picture("logged-out"))

	// Bert goes on.
	if n := scan(t, h, suffix, bert.parcel, "Out for delivery, to Bert"); n != 1 {
		t.Errorf("published to %d of Bert's, want 1", n)
	}
	bert.shows("Out for delivery, to Bert")
	bert.screenshot(picture("live"))

	// When Anna is back, so are all her tabs, with what they missed.
	anna.turnTo(second)
	anna.logIn(h)
	for _, tab := range []string{second, first} {
		anna.turnTo(tab)
		anna.waitLive("")
		anna.shows("Not for these eyes")
	}
}

// cookie returns the value of a cookie that the current page's requests have.
func (b *browser) cookie(name string) string {
	b.t.Helper()
	var c struct{ Value string }
	b.command(http.MethodGet, "/cookie/"+name, nil, &c)
	return c.Value
}
