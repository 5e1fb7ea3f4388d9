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

// demoPanes are the panes of the demo's page, from polling to push.
var demoPanes = []string{"poll", "absorbed", "told", "shim", "watch", "push"}

// TestDemo watches the demo's page in a browser: a parcel that moves shows in all panes, and each costs the app what its
// step says.
func TestDemo(t *testing.T) {
	demo, curl := startDemo(t)
	b := startBrowser(t)
	b.resize(1280, 800, false)
	b.open(demo.url + "/")
	b.waitFor("all panes are live", fmt.Sprintf("document.querySelectorAll('.light[data-state=live]').length === %d", len(demoPanes)))
	b.waitFor("the polling pane has asked", "Number(document.querySelector('#poll-count').textContent) > 0")

	// moved wants all panes to see a change that f makes.
	moved := func(how string, f func()) {
		t.Helper()
		before := map[string]int{}
		for _, pane := range demoPanes {
			before[pane] = b.number("#" + pane + "-changes")
		}
		f()
		for i := len(demoPanes) - 1; i >= 0; i-- {
			b.waitFor("the pane "+demoPanes[i]+" shows the parcel moved by "+how,
				fmt.Sprintf("Number(document.querySelector('#%s-changes').textContent) > %d", demoPanes[i], before[demoPanes[i]]))
		}
	}
	moved("the button", func() { b.click("#move") })
	wantNoOverflow(t, b, "desktop")
	b.screenshot("demo-desktop.png")
	moved("the curl line that the demo prints", func() {
		// As a person would paste it. The shell is told to stop at the first failure.
		out, err := exec.Command("sh", "-ec", strings.Replace(curl, "curl ", "curl -sSf --max-time 30 ", 1)).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", curl, err, out)
		}
	})
	for _, pane := range []string{"absorbed", "told", "shim", "push"} {
		b.waitFor("the polling pane has asked the app more often than "+pane,
			fmt.Sprintf("Number(document.querySelector('#poll-count').textContent) > Number(document.querySelector('#%s-count').textContent)", pane))
	}

	b.resize(390, 844, true)
	b.waitFor("the page is as wide as the phone", "window.innerWidth === 390")
	wantNoOverflow(t, b, "phone")
	moved("the button, on a phone", func() { b.click("#move") })
	b.waitFor("a phone shows all panes and the button at once", `[...document.querySelectorAll(".pane, #move")].every((part) => {
		const box = part.getBoundingClientRect();
		return box.top >= 0 && box.bottom <= innerHeight;
	}) && document.querySelector("#move").getBoundingClientRect().bottom <= document.querySelector(".pane").getBoundingClientRect().top`)
	b.screenshot("demo-phone.png")
	for _, pane := range demoPanes {
		t.Logf("the app answered %d requests of the pane %s", b.number("#"+pane+"-count"), pane)
	}
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
