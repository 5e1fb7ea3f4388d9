//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// forged are the fields that a client sends in a lie.
var forged = []string{"X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Protocol",
	"X-Forwarded-Server", "X-Forwarded-Proto", "X-Forwarded-For"}

// nginxRecipe is the block of the documentation, which has to work as it stands there.
func nginxRecipe(t *testing.T, holdfast string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs/operate/tls.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(text)
	if block == nil || strings.Count(string(block[1]), "127.0.0.1:8080") != 2 {
		t.Fatal("docs/operate/tls.md has no nginx block that names 127.0.0.1:8080 twice")
	}
	return strings.ReplaceAll(string(block[1]), "127.0.0.1:8080", holdfast)
}

// TestNginxRecipe: behind the nginx of the documentation a page may hold, and the app is told what the browser used,
// whatever the client says of itself.
func TestNginxRecipe(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, root)
	writeFile(t, filepath.Join(root, "index.php"), `<?php
foreach (['HTTP_HOST', 'SERVER_NAME', 'SERVER_PORT', 'HTTPS', 'REMOTE_ADDR', 'REMOTE_PORT', 'HTTP_X_FORWARDED_HOST',
	'HTTP_X_FORWARDED_PORT', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_FORWARDED_PREFIX', 'HTTP_X_FORWARDED_SSL', 'HTTP_X_FORWARDED_SCHEME',
	'HTTP_X_FORWARDED_PROTOCOL', 'HTTP_X_FORWARDED_SERVER', 'HTTP_X_FORWARDED_FOR'] as $name)
	echo $name, '=', $_SERVER[$name] ?? '', "\n";`)
	socket := startFPM(t, dir, nil)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %s}\nhooks: {listen: %s}\ntrusted_proxies: [127.0.0.1]\nchannels: [{match: 'public.**', access: public}]\n",
			listen, socket, root, hooks)
	})
	addr := strings.TrimPrefix(startNginxWith(t, "server_name app.test;\n"+nginxRecipe(t, strings.TrimPrefix(h.url, "http://"))), "http://")
	_, port, _ := strings.Cut(addr, ":")
	evil := http.Header{}
	for _, name := range forged {
		evil.Set(name, "6.6.6.6")
	}
	v := newVisitor(t, "http://"+addr)
	a := v.do(http.MethodGet, "/", evil, nil)
	a.want(t, http.StatusOK)
	want := strings.ReplaceAll(`HTTP_HOST=127.0.0.1:NUMBER
SERVER_NAME=127.0.0.1
SERVER_PORT=NUMBER
HTTPS=
REMOTE_ADDR=127.0.0.1
REMOTE_PORT=
HTTP_X_FORWARDED_HOST=127.0.0.1:NUMBER
HTTP_X_FORWARDED_PORT=NUMBER
HTTP_X_FORWARDED_PROTO=http
HTTP_X_FORWARDED_PREFIX=
HTTP_X_FORWARDED_SSL=
HTTP_X_FORWARDED_SCHEME=
HTTP_X_FORWARDED_PROTOCOL=
HTTP_X_FORWARDED_SERVER=
HTTP_X_FORWARDED_FOR=127.0.0.1, 127.0.0.1
`, "NUMBER", port)
	if a.body != want {
		t.Errorf("PHP was told\n%s\nwant\n%s", a.body, want)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n") //nolint:errcheck // reading fails
	if old, err := io.ReadAll(c); err != nil || !strings.Contains(string(old), "SERVER_NAME=app.test\n") {
		t.Errorf("a client of HTTP/1.0 without Host got %s, %v", old, err)
	}
	for origin, status := range map[string]int{"http://" + addr: http.StatusOK, "http://6.6.6.6": http.StatusForbidden} {
		header := evil.Clone()
		header.Set("Origin", origin)
		v.do(http.MethodGet, "/_push?channel=public.a&wait=0", header, nil).want(t, status)
	}
}

// TestFPMForwarding compares what PHP is told of the caller with what the client, or a trusted proxy, says.
func TestFPMForwarding(t *testing.T) {
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	mkdirForApache(t, root)
	script := `<?php ksort($_SERVER); foreach ($_SERVER as $name => $value) if (str_starts_with($name, 'HTTP_X_FORWARDED_')) echo substr($name, 17), '=', $value, ' ';
echo $_SERVER['SERVER_NAME'], ':', $_SERVER['SERVER_PORT'], ' ', $_SERVER['HTTPS'] ?? 'off';`
	writeFile(t, filepath.Join(root, "index.php"), script)
	writeFile(t, filepath.Join(root, "send.php"), `<?php header('X-Accel-Redirect: /index.php');`)
	socket := startFPM(t, dir, nil)
	for _, tt := range []struct {
		name, more string
		fields     map[string]string
		want       string
	}{
		{"a stranger", "", map[string]string{"X-Forwarded-Port": "1", "X-Forwarded-Ssl": "on", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil", "X-Forwarded-Scheme": "https", "X-Forwarded-Protocol": "ssl", "X-Forwarded-Proto": "https"},
			"FOR=127.0.0.1 HOST=app.test:8080 PORT=8080 PROTO=http app.test:8080 off"},
		{"a trusted proxy", "trusted_proxies: [127.0.0.1]", map[string]string{"X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "www.test", "X-Forwarded-Prefix": "/shop"},
			"FOR=127.0.0.1 HOST=www.test PORT=8443 PREFIX=/shop PROTO=https www.test:8443 on"},
		{"a terminator that says nothing", "external: {scheme: https, port: 444}", nil, "FOR=127.0.0.1 HOST=app.test:8080 PORT=8080 PROTO=https app.test:8080 on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\nupstream: fastcgi+unix:%s\nsite: {root: %[3]s}\nhooks: {listen: %[4]s}\nroutes: [{match: /inside, root: %[3]s, internal: true}]\n%[5]s\n",
					listen, socket, root, hooks, tt.more)
			})
			for _, path := range []string{"/index.php", "/send.php"} {
				r, err := http.NewRequest(http.MethodGet, h.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "app.test:8080"
				for name, value := range tt.fields {
					r.Header.Set(name, value)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != tt.want || err != nil {
					t.Errorf("%s: PHP was told %q (%v); want %q", path, body, err, tt.want)
				}
			}
		})
	}
}

// TestTerminators: behind each TLS terminator of the documentation a page may subscribe by https, and the app is told what
// the browser used, whatever the client says of itself.
func TestTerminators(t *testing.T) {
	const page = "docs/operate/tls.md"
	pem := newCertificate(t, t.TempDir())
	var configs, haproxies []string
	for _, b := range pageBlocks(t, page) {
		switch b.language {
		case "yaml":
			configs = append(configs, b.code)
		case "haproxy":
			haproxies = append(haproxies, b.code)
		}
	}
	if len(configs) != 3 || len(haproxies) != 2 {
		t.Fatalf("%s has %d configurations and %d of HAProxy, want 3 and 2", page, len(configs), len(haproxies))
	}
	haproxy := func(code string) func(t *testing.T, addr, holdfast string) {
		return func(t *testing.T, addr, holdfast string) {
			program := program(t, "/usr/sbin/haproxy", "haproxy")
			file := filepath.Join(t.TempDir(), "haproxy.cfg")
			writeFile(t, file, strings.NewReplacer("bind :443", "bind "+addr, "/etc/haproxy/www.pem", pem, "127.0.0.1:8080", holdfast).Replace(code)+"\n")
			start(t, "haproxy", exec.Command(program, "-db", "-f", file)).waitListening(t, addr)
		}
	}
	for _, tt := range []struct {
		name, config string
		start        func(t *testing.T, addr, holdfast string)
	}{
		{"nginx", configs[0], func(t *testing.T, addr, holdfast string) {
			startNginxAt(t, addr, fmt.Sprintf("listen %s ssl; ssl_certificate %s; ssl_certificate_key %[2]s;\n%s", addr, pem, nginxRecipe(t, holdfast)))
		}},
		{"haproxy", configs[0], haproxy(haproxies[0])},
		{"haproxy by TCP", configs[1], haproxy(haproxies[1])},
		{"apache", configs[0], func(t *testing.T, addr, holdfast string) {
			dir := publicTempDir(t)
			code := strings.NewReplacer("*:443", "*:"+portOf(t, addr), `"443"`, `"`+portOf(t, addr)+`"`, "127.0.0.1:8080", holdfast).Replace(pageCode(t, page, "apache", ""))
			var modules string
			for _, name := range []string{"headers", "rewrite", "proxy", "proxy_http", "proxy_wstunnel", "socache_shmcb", "ssl"} {
				modules += "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
			}
			startApache(t, dir, dir, modules+"SSLCertificateFile "+pem+"\nListen "+addr+"\n"+code+"\n")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Protocol"} {
					fmt.Fprintf(w, "%s=%s ", name, strings.Join(r.Header[name], "|"))
				}
				if server := r.Header.Get("X-Forwarded-Server"); strings.Contains(server, "6.6.6.6") { // Apache names itself
					fmt.Fprintf(w, "X-Forwarded-Server=%s", server)
				}
			}))
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return strings.NewReplacer("127.0.0.1:8080", listen, "127.0.0.1:9090", hooks, "http://127.0.0.1:8081", app).Replace(tt.config) + "\n"
			})
			addr := freeAddr(t)
			tt.start(t, addr, h.addr)
			v := newVisitor(t, "https://"+addr)
			transport := v.http.Transport.(*http.Transport)
			transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // its own certificate
			// The client is not at an address of trusted_proxies, which a PROXY header would tell.
			transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext
			evil := http.Header{}
			for _, name := range forged {
				evil.Set(name, "6.6.6.6")
			}
			a := v.do(http.MethodGet, "/", evil, nil)
			want := fmt.Sprintf("X-Forwarded-Proto=https X-Forwarded-Host=%s X-Forwarded-Port=%s X-Forwarded-Prefix= X-Forwarded-Ssl= X-Forwarded-Scheme= X-Forwarded-Protocol= ", addr, portOf(t, addr))
			if a.body != want {
				t.Errorf("the app was told %s\nwant %s", a.body, want)
			}
			for origin, status := range map[string]int{"https://" + addr: http.StatusOK, "http://" + addr: http.StatusForbidden, "https://6.6.6.6": http.StatusForbidden} {
				header := evil.Clone()
				header.Set("Origin", origin)
				v.do(http.MethodGet, "/_push?channel=public.a&wait=0", header, nil).want(t, status)
			}
			c := holdSSE(t, v, "public.a")
			dialer := websocket.Dialer{TLSClientConfig: transport.TLSClientConfig, NetDialContext: transport.DialContext}
			ws, _, err := dialer.Dial("wss://"+addr+"/_push?channel=public.a", http.Header{"Origin": {"https://" + addr}})
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			h.waitSubscribers(t, "public.a", 2)
			h.publish(t, "public.a", "hello")
			if got := c.receive(t); got != "hello" {
				t.Errorf("the stream received %q", got)
			}
			if _, got, err := ws.ReadMessage(); err != nil || string(got) != "hello" {
				t.Errorf("the WebSocket received %q, %v", got, err)
			}
		})
	}
}
