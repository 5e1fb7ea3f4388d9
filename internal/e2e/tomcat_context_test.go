//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTomcatContext puts Holdfast in front of a webapp in a context. Its session cookie has Path=/legacy, so a browser
// sends it to /legacy/_push and not to /_push.
func TestTomcatContext(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repository, "examples/tomcat"))); err != nil {
		t.Fatal(err)
	}
	const listen = `window.messages = [];
		window.push = new Holdfast("private.members").on("message", function (m) { messages.push(m.data); });`
	writeFile(t, filepath.Join(dir, "script.html"), `<!DOCTYPE html><title>s</title>
		<script src="/legacy/_push/client.js?v=1"></script><script>`+listen+`</script>`)
	writeFile(t, filepath.Join(dir, "module.html"), `<!DOCTYPE html><title>m</title>
		<script type="module">import "/legacy/_push/client.js"; `+listen+`</script><script src="other/client.js"></script>`)
	writeFile(t, filepath.Join(dir, "later.html"), `<!DOCTYPE html><title>l</title><script>
		var s = document.createElement("script");
		s.src = "_push/client.js";
		s.onload = function () {`+listen+`};
		document.documentElement.appendChild(s);
		</script><script src="other/client.js"></script>`)
	writeFile(t, filepath.Join(dir, "elsewhere.html"), `<!DOCTYPE html><title>e</title>
		<script src="/_push/client.js"></script><script>`+listen+`
		push.on("refused", function (r) { window.refused = r.status; });</script>`)
	writeFile(t, filepath.Join(dir, "other/client.js"), `// another script`)

	front, hooks := freeAddr(t), freeAddr(t)
	tomcat := startTomcat(t, map[string]string{"/legacy": dir}, "HOLDFAST_HOOKS=http://"+hooks)
	h := startHoldfastAt(t, front, hooks, func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: %s
upstream: http://%s
hooks: {listen: %s}
push:
  authorize_path: /legacy/authorize.jsp
  extra_paths: [/legacy/_push]
  logout: {cookies: [JSESSIONID]}
channels:
  - {match: "public.**", access: public}
  - {match: "private.**", access: authorize}
`, listen, tomcat, hooks)
	})
	b := startBrowser(t)
	b.open(h.url + "/legacy/index.jsp")
	b.fill("input[name=user]", "anna")
	b.click("form[method=post] button")
	b.waitFor("logged in", `document.body.innerText.indexOf("Hello anna") >= 0`)
	var cookies []struct{ Name, Path string }
	b.command(http.MethodGet, "/cookie", nil, &cookies)
	if len(cookies) != 1 || cookies[0].Name != "JSESSIONID" || cookies[0].Path != "/legacy" {
		t.Fatalf("the app's cookies: %+v", cookies)
	}

	held := func(want string) func() bool {
		return func() bool { return strings.Contains(newVisitor(t, h.hooks).get("/connections").body, want) }
	}
	eventually(t, "the page's stream is held", held(`"private.members"`))
	h.publish(t, "private.members", "for members")
	b.waitFor("the message", `document.getElementById("news").innerText === "for members"`)

	for _, page := range []string{"script", "module", "later"} {
		t.Run(page, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			b.open(h.url + "/legacy/" + page + ".html")
			b.waitFor("live", `window.push && push.state === "live"`)
			h.publish(t, "private.members", page)
			b.waitFor("the message", fmt.Sprintf("messages[0] === %q", page))
			var used []string
			b.eval(`return performance.getEntriesByType("resource").map(function (r) { return new URL(r.name).pathname })`, &used)
			for _, path := range used {
				if strings.HasPrefix(path, "/_push") {
					t.Errorf("asked for %s", path)
				}
			}
		})
	}
	b.open(h.url + "/legacy/elsewhere.html")
	b.waitFor("refused, as the cookie does not come along", `window.refused === 403`)
}
