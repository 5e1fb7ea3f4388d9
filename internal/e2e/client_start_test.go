//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestClientStart changes the state after the app has rendered the page, or answered its first fetch, and before the
// client is live. The page shows the change in the end, whichever of the documented ways it goes.
func TestClientStart(t *testing.T) {
	const listeners = `
		push.on("state", function (s) { states.push(s); if (s.state === "live" && !s.resumed) refresh(); });
		push.on("gap", refresh);
		push.on("message", function (m) { show(m.data); });`
	for _, c := range []struct {
		name, head, script string
		fetches            int // from the page's beginning to its end
	}{
		{"fetched when live", "", `
			window.push = new Holdfast("public.start");` + listeners, 1},
		{"rendered with an id", `<meta name="holdfast-last-id" content="%s">`, `
			window.push = new Holdfast("public.start");` + listeners, 0},
		{"fetched with an id", "", `
			refresh(function (x) {
				fetch("/gate").then(function () {
					window.push = new Holdfast("public.start", { lastId: x.getResponseHeader("Push-Last-Id") });` + listeners + `
				});
			});`, 1},
		{"fetched without an id", "", `
			refresh(function (x) {
				fetch("/gate").then(function () {
					window.push = new Holdfast("public.start", { lastId: x.getResponseHeader("No-Such-Field") });` + listeners + `
				});
			});`, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var state, fetches atomic.Int64
			var hooks string
			// position is called before the state is read, as the page of the reference has it.
			position := func() (id string) {
				res, err := http.Get(hooks + "/position?channel=public.start")
				if err != nil {
					t.Error(err)
					return ""
				}
				defer res.Body.Close()
				var p struct {
					LastID string `json:"last_id"`
				}
				if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.LastID == "" {
					t.Errorf("position: %s %v", res.Status, err)
				}
				return p.LastID
			}
			// change is called while the page waits for the answer.
			change := func() {
				state.Store(2)
				res, err := http.Post(hooks+"/publish?channel=public.start", "text/plain", strings.NewReader("2"))
				if err != nil {
					t.Error(err)
					return
				}
				if res.Body.Close(); res.StatusCode != http.StatusOK {
					t.Error(res.Status)
				}
			}
			app := startApp(t, pageApp(map[string]http.HandlerFunc{
				"/start": func(w http.ResponseWriter, r *http.Request) {
					head := c.head
					if head != "" {
						head = fmt.Sprintf(head, position())
					}
					w.Header().Set("Content-Type", "text/html")
					fmt.Fprintf(w, `<!DOCTYPE html>%s<title>start</title><b id="state">%d</b><script src="/_push/client.js"></script>
<script>
var states = [];
function show(n) { document.getElementById("state").textContent = n; }
function refresh(then) {
  var x = new XMLHttpRequest();
  x.open("GET", "/state");
  x.onload = function () { show(x.responseText); if (typeof then === "function") then(x); };
  x.send();
}
</script>
<script src="/between.js"></script>
<script>%s</script>`, head, state.Load(), c.script)
				},
				"/state": func(w http.ResponseWriter, r *http.Request) {
					fetches.Add(1)
					w.Header().Set("Push-Last-Id", position())
					fmt.Fprint(w, state.Load())
				},
				"/between.js": func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/javascript")
					if c.name == "fetched when live" || c.head != "" {
						change()
					}
				},
				"/gate": func(w http.ResponseWriter, r *http.Request) {
					change()
				},
			}))
			s := startServer(t, app, "")
			hooks = s.hooks
			b := startBrowser(t)
			state.Store(1)
			b.open(s.url + "/start")
			b.waitFor("the change", `document.getElementById("state").textContent === "2" && window.push && push.state === "live"`)
			if got := fetches.Load(); got != int64(c.fetches) {
				t.Errorf("%d fetches, want %d", got, c.fetches)
			}
			s.publish(t, "public.start", "3")
			b.waitFor("the next change", `document.getElementById("state").textContent === "3"`)
			if c.name != "fetched when live" {
				return
			}
			// Another tab has no starting point of its own, though the connection that it shares is live already.
			state.Store(3)
			b.tab(s.url + "/start")
			b.waitFor("its tab has fetched when live", `window.push && push.state === "live" && push.shared && states[states.length - 1].resumed === false`)
			eventually(t, "a fetch of its own", func() bool { return fetches.Load() == int64(c.fetches)+1 })
		})
	}
}
