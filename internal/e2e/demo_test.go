//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// startDemo runs holdfast demo and returns the address of its page and the curl line it prints.
func startDemo(t *testing.T) (h *holdfast, curl string) {
	t.Helper()
	cmd := exec.Command(executable, "demo", "-listen", "127.0.0.1:0", "-hooks", "127.0.0.1:0")
	p := start(t, "holdfast demo", cmd)
	url := p.waitFor(t, regexp.MustCompile(`(http://127\.0\.0\.1:\d+)[/\s]`))[1]
	curl = p.waitFor(t, regexp.MustCompile(`(?m)^\W*(curl .*)\n`))[1]
	h = &holdfast{process: p, url: url, addr: strings.TrimPrefix(url, "http://")}
	t.Cleanup(func() { h.checkEnd(t) })
	return h, curl
}

// TestDemo watches the demo's page in a browser: a parcel that moves shows in both panes, and the
// pane that polls has asked the app more often.
func TestDemo(t *testing.T) {
	demo, curl := startDemo(t)
	b := startBrowser(t)
	b.resize(1280, 800, false)
	b.open(demo.url + "/")
	b.waitFor("both panes are there",
		"document.querySelector('#push-changes') && document.querySelector('#poll-changes') && document.querySelector('#move')")
	b.waitFor("the polling pane has asked", "Number(document.querySelector('#poll-count').textContent) > 0")

	// moved wants both panes to see a change that f makes.
	moved := func(how string, f func()) {
		t.Helper()
		push, poll := b.number("#push-changes"), b.number("#poll-changes")
		f()
		b.waitFor("the push pane shows the parcel moved by "+how,
			fmt.Sprintf("Number(document.querySelector('#push-changes').textContent) > %d", push))
		b.waitFor("the polling pane shows the parcel moved by "+how,
			fmt.Sprintf("Number(document.querySelector('#poll-changes').textContent) > %d", poll))
	}
	moved("the button", func() { b.click("#move") })
	moved("the curl line that the demo prints", func() {
		// As a person would paste it. The shell is told to stop at the first failure.
		out, err := exec.Command("sh", "-ec", strings.Replace(curl, "curl ", "curl -sSf --max-time 30 ", 1)).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", curl, err, out)
		}
	})

	b.waitFor("the polling pane has asked the app more often",
		"Number(document.querySelector('#poll-count').textContent) > Number(document.querySelector('#push-count').textContent)")
	wantNoOverflow(t, b, "desktop")
	b.screenshot("demo-desktop.png")
	b.resize(390, 844, true)
	b.waitFor("the page is as wide as the phone", "window.innerWidth === 390")
	wantNoOverflow(t, b, "phone")
	b.screenshot("demo-phone.png")
	moved("the button, on a phone", func() { b.click("#move") })
	t.Logf("the app answered %d polls and %d requests of the push pane", b.number("#poll-count"), b.number("#push-count"))
}

// wantNoOverflow wants a page that needs no scrolling sideways.
func wantNoOverflow(t *testing.T, b *browser, where string) {
	t.Helper()
	var width, visible int
	b.eval("return document.documentElement.scrollWidth", &width)
	b.eval("return document.documentElement.clientWidth", &visible)
	if width > visible {
		t.Errorf("on a %s the page is %d pixels wide, of which %d show", where, width, visible)
	}
}
