//go:build e2e && linux

package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exampleConfig returns the configuration of an example with its addresses, which are written for
// people, exchanged.
func exampleConfig(t *testing.T, file, app string) func(listen, hooks string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, file))
	if err != nil {
		t.Fatal(err)
	}
	return func(listen, hooks string) string {
		config := string(data)
		for shipped, addr := range map[string]string{
			"127.0.0.1:8080": listen, "127.0.0.1:8081": app, "127.0.0.1:9090": hooks,
		} {
			if strings.Count(config, shipped) != 1 {
				t.Fatalf("%s does not have %s once", file, shipped)
			}
			config = strings.Replace(config, shipped, addr, 1)
		}
		return config
	}
}

// testExample visits examples/php or examples/tomcat, which differ in the suffix of their pages.
func testExample(t *testing.T, h *holdfast, suffix string) {
	const public, private = "public.news", "private.members"
	publish := func(t *testing.T, form url.Values) published {
		t.Helper()
		a := newVisitor(t, h.url).post("/publish"+suffix, form)
		a.want(t, http.StatusOK)
		return parsePublished(t, strings.TrimSpace(a.body))
	}
	t.Run("the page holds", func(t *testing.T) {
		newVisitor(t, h.url).get("/index"+suffix).wantText(t, "EventSource", "channel="+public+`"`)
	})
	t.Run("the script publishes", func(t *testing.T) {
		c := holdSSE(t, newVisitor(t, h.url), public)
		for _, message := range []string{"first", "zweite Nachricht, größer", "a&b=c+d e%20"} {
			if p := publish(t, url.Values{"text": {message}}); p.Subscribers != 1 {
				t.Errorf("published to %d subscribers, want 1", p.Subscribers)
			}
			if got := c.receive(t); got != message {
				t.Errorf("received %q, want %q", got, message)
			}
		}
	})
	t.Run("the session of the app opens a private channel", func(t *testing.T) {
		v := newVisitor(t, h.url)
		v.post("/index"+suffix, url.Values{"user": {"Zoë"}}).want(t, http.StatusOK)
		v.get("/index"+suffix).wantText(t, "Hello Zo", "channel="+private)
		c := holdSSE(t, v, public, private)
		publish(t, url.Values{"channel": {private}, "text": {"members only"}})
		if got := c.receive(t); got != "members only" {
			t.Errorf("received %q", got)
		}
	})
	t.Run("in a browser", func(t *testing.T) { testExamplePage(t, h, "/index"+suffix) })
	t.Run("without the session it stays shut", func(t *testing.T) {
		v := newVisitor(t, h.url)
		v.get("/index" + suffix) // a session, but of nobody
		for _, accept := range []string{"text/event-stream", "application/json"} {
			a := v.do(http.MethodGet, pushPath([]string{private}), http.Header{"Accept": {accept}}, nil)
			a.want(t, http.StatusForbidden)
		}
	})
}

// testExamplePage does in a browser what a person does with the example: publish in one window and
// read it in another.
func testExamplePage(t *testing.T, h *holdfast, page string) {
	reader, writer := startBrowser(t), startBrowser(t)
	for _, b := range []*browser{reader, writer} {
		b.open(h.url + page)
		b.waitFor("the page is there", "document.querySelector('#publish')")
	}
	h.waitSubscribers(t, "public.news", 2)
	writer.eval("document.querySelector('#publish input').value = 'typed by a person'", nil)
	writer.click("#publish button")
	for _, b := range []*browser{reader, writer} {
		b.waitFor("the news is on the page", "document.querySelector('#news').textContent === 'typed by a person'")
	}
}
