//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestAppWordPressBytes counts what the editor costs the network: all that comes to a browser at its first visit, and at
// its second, from an nginx with gzip and expires, and from Holdfast with compress and expires.
func TestAppWordPressBytes(t *testing.T) {
	dir, page := publicTempDir(t), newAppPage(t, "docs/tutorials/wordpress.md")
	root := newWordPress(t, page, dir, startMariaDB(t, dir, "wordpress"))
	socket := startFPM(t, dir, nil)
	nginx := func(t *testing.T, lines string) string {
		addr := freeAddr(t)
		startNginxAt(t, addr, fmt.Sprintf(`
		listen %[1]s;
		root %[2]s;
		index index.php;
		include /etc/nginx/mime.types;
		%[4]s
		location / { try_files $uri $uri/ /index.php?$args; }
		location ~ \.php(/|$) {
			include /etc/nginx/snippets/fastcgi-php.conf;
			fastcgi_pass unix:%[3]s;
		}`, addr, root, socket, lines))
		return addr
	}
	holdfast := func(t *testing.T, lines string) string {
		return startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
			return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nroot: %s\ntry_files: [/index.php]\nhooks: {listen: %s}\n%s",
				listen, socket, root, hooks, lines)
		}).addr
	}
	b := startBrowser(t)
	visits := func(name string, start func(t *testing.T, lines string) string, lines string) (first, second int64) {
		t.Run(name, func(t *testing.T) { first, second = wordPressVisits(t, b, startMiddleman(t, start(t, lines))) })
		t.Logf("%s: %d bytes at the first visit, %d at the second", name, first, second)
		return first, second
	}
	const gzip = `
		gzip on;
		gzip_vary on;
		gzip_types text/css application/javascript application/json image/svg+xml;
		location ~* \.(js|css|png|jpg|jpeg|gif|ico|svg|woff2?)$ { expires 30d; }
		`
	plain, _ := visits("nginx as it is shipped", nginx, "")
	for _, c := range []struct{ name, nginx, holdfast string }{
		{"defaults", gzip, "compress: true\nexpires: 30d\n"},
		{"gzip at level 6", gzip + "gzip_comp_level 6;", "compress: {encodings: [gzip], level: 6}\nexpires: 30d\n"},
	} {
		nginx1, nginx2 := visits("nginx, "+c.name, nginx, c.nginx)
		if nginx1 < 1<<20 || nginx1 > plain*6/10 {
			t.Fatalf("with gzip, nginx sends %d bytes, without %d: the editor is not what is compared here", nginx1, plain)
		}
		first, second := visits("holdfast, "+c.name, holdfast, c.holdfast)
		if first < nginx1/2 || first > nginx1*11/10 || second > nginx2*11/10 {
			t.Errorf("%s: Holdfast sends %d and %d bytes; nginx: %d and %d", c.name, first, second, nginx1, nginx2)
		}
	}
}

// wordPressVisits installs a WordPress, logs in, opens its editor twice in a browser, and returns the bytes of each time.
func wordPressVisits(t *testing.T, b *browser, m *middleman) (first, second int64) {
	v := newVisitor(t, m.url)
	v.installWordPress("WordPress")
	b = &browser{t: t, session: b.session, client: b.client}
	b.logInToWordPress(m.url)
	editor := func() int64 {
		before := m.bytes()
		b.open(m.url + "/wp-admin/post.php?post=1&action=edit")
		b.waitFor("the editor", "document.querySelector('.editor-post-title__input, .editor-post-title')")
		b.waitFor("its text", "document.body.innerText.includes('Hello world!') || document.querySelector('iframe[name=editor-canvas]')")
		return m.calm() - before
	}
	m.calm() // the dashboard has come
	b.command(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": "Network.clearBrowserCache", "params": map[string]any{}}, nil)
	first = editor()
	second = editor()
	b.open("about:blank")
	m.calm() // the editor has said that it is closed
	b.wantQuiet(t)
	return first, second
}

func (m *middleman) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.brought
}

// calm returns the bytes so far, once no more have come for a while.
func (m *middleman) calm() int64 {
	last := m.bytes()
	for since := time.Now(); time.Since(since) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
		if now := m.bytes(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}
