//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startNginx runs an nginx in front of target with more lines in its location.
func startNginx(t *testing.T, target, more string) (url string) {
	t.Helper()
	return startNginxWith(t, fmt.Sprintf(`
		location / {
			proxy_pass http://%s;
			proxy_set_header Host $http_host;
			%s
		}`, target, more))
}

// startNginxWith runs an nginx with these lines in its server.
func startNginxWith(t *testing.T, server string) (url string) {
	t.Helper()
	addr := freeAddr(t)
	startNginxAt(t, addr, "listen "+addr+";\n"+server)
	return "http://" + addr
}

// startNginxAt runs an nginx with these lines in its server, which say to listen at addr.
func startNginxAt(t *testing.T, addr, server string) {
	t.Helper()
	nginx := program(t, "/usr/sbin/nginx", "nginx-light")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "fastcgi.conf"), "include /etc/nginx/fastcgi.conf;\n") // for Debian's snippet
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		%[2]s
	}
}
`, dir, server))
	p := start(t, "nginx", exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", file))
	p.waitListening(t, addr)
}

// TestClientBehindNginx goes by way of an nginx that nobody has told of WebSockets, nor that it should
// not buffer. What gets through is found out, and on the tab's next page known.
func TestClientBehindNginx(t *testing.T) {
	b := startBrowser(t)
	for _, c := range []struct{ name, config, kind string }{
		{"as it is shipped", "", "sse"}, // X-Accel-Buffering: no is heeded
		{"with buffering on", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;", "longpoll"},
		{"with upgrades", "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;", "websocket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			s := startServer(t, startApp(t, pageApp(nil)), "")
			page := pageAt(startNginx(t, s.addr, c.config), "public.n", map[string]any{"maxDelay": 2000})
			b.open(page)
			b.waitLive(c.kind)
			n := &counter{s: s, channel: "public.n"}
			b.waitRecord(n.next(t, 20))
			s.kill(t)
			b.waitFor("the light has noticed", "push.state !== 'live'")
			s.begin(t)
			n.next(t, 20)
			b.waitRecord(n.n)
			b.waitLive(c.kind)

			b.open(strings.Replace(page, "public.n", "public.other", 1)) // another page of the same tab
			b.waitLive(c.kind)
			var tried string
			b.eval("return performance.getEntriesByType('resource').map(function (r) { return r.name }).join('\\n')", &tried)
			if c.kind == "longpoll" && strings.Contains(tried, "protocol=") {
				t.Errorf("the next page tried a stream again:\n%s", tried)
			}
		})
	}
}
