package server

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// serveQuietly serves lines of a configuration until the test ends.
func serveQuietly(t *testing.T, lines ...string) *Server {
	t.Helper()
	s, _, stop := serve(t, strings.Join(append(lines, "hooks: {listen: 127.0.0.1:0}"), "\n"), io.Discard)
	t.Cleanup(stop)
	return s
}

// TestSeveralListeners: each serves clients of its own family or socket, and one of them redirects all to https.
func TestSeveralListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "holdfast")
	s := serveQuietly(t, "upstream: "+newApp(t), "external: {scheme: https, port: 8443}",
		"listen: ['127.0.0.1:0', '[::1]:0', 'unix:"+socket+"', {address: '127.0.0.1:0', redirect_https: true}]")
	addrs := s.Addrs()
	if len(addrs) != 4 || addrs[2] != socket {
		t.Fatalf("listens on %v", addrs)
	}
	for i, addr := range addrs[:3] {
		network := []string{"tcp4", "tcp6", "unix"}[i]
		conn, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		c := wiretest.NewClient(t, conn)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "the app" {
			t.Errorf("%s: %d %q", addr, resp.StatusCode, body)
		}
	}
	c := wiretest.Dial(t, addrs[3])
	for _, tt := range []struct {
		request string
		status  int
		to      string
	}{
		{"GET /a?b HTTP/1.1\r\nHost: www.example.com\r\n\r\n", 301, "https://www.example.com:8443/a?b"},
		{"HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 301, "https://[::1]:8443/"},
		{"POST /a HTTP/1.1\r\nHost: x:65535\r\nContent-Length: 2\r\n\r\nab", 308, "https://x:8443/a"},
		{"GET //evil.test HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\n\r\n", 301, "https://x:8443//evil.test"},
		{"GET /_push?channel=a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 301, "https://x:8443/_push?channel=a"},
		{"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", 301, "https://x:8443/a"},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},
	} {
		method, _, _ := strings.Cut(tt.request, " ")
		c.Send(tt.request)
		resp, _ := c.Response(method)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.to {
			t.Errorf("%q: %d to %q", tt.request, resp.StatusCode, resp.Header.Get("Location"))
		}
		if resp.Close {
			c = wiretest.Dial(t, addrs[3])
		}
	}
	for _, host := range []string{"a@evil.test", "evil.test/x", "evil.test\\", "", "a b", "%0d%0a", "x:80:80"} {
		c := wiretest.Dial(t, addrs[3])
		c.Send("GET /a HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 400 || resp.Header.Get("Location") != "" {
			t.Errorf("Host %q: %d to %q", host, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// TestBothFamilies: 0.0.0.0 and [::] of one port, as nginx has them by default.
func TestBothFamilies(t *testing.T) {
	free, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	serveQuietly(t, "upstream: "+newApp(t), "listen: ['0.0.0.0:"+port+"', '[::]:"+port+"']")
	for _, addr := range []string{"127.0.0.1:" + port, "[::1]:" + port} {
		c := wiretest.Dial(t, addr)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "the app" {
			t.Errorf("%s: %d %q", addr, resp.StatusCode, body)
		}
	}
}

// TestOwnSocket: a question to the app that goes through the proxy gets there although no listener of clients takes it as
// it is, and the app sees the client's scheme. Nobody else can connect to that socket, and nothing is left of it.
func TestOwnSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, file, "a.test")
	for listen, dial := range map[string]func(addr string) net.Conn{
		"listen: [{address: '127.0.0.1:0', redirect_https: true}]\ntrusted_proxies: [127.0.0.0/8]": func(addr string) net.Conn {
			return dialTCP(t, addr)
		},
		"listen: [{address: '127.0.0.1:0', tls: true}, '127.0.0.1:0']\ntls: {certificates: [{cert: " + file + ", key: " + file + "}]}": func(addr string) net.Conn {
			return dialTLS(t, dialTCP(t, addr), "a.test", 0)
		},
	} {
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		t.Run(listen, func(t *testing.T) {
			asked := 0
			auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; r.Host != "auth.test" || r.Header.Get("X-Forwarded-Proto") != "https" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
					t.Errorf("the app was asked as %s with %v", r.Host, r.Header)
				}
				w.WriteHeader(204)
			}))
			t.Cleanup(auth.Close)
			s := serveQuietly(t, "upstream: "+newApp(t), listen, "routes: [{match: /auth, upstream: '"+auth.URL+"', upstream_host: auth.test}]",
				"push: {authorize_path: /auth/push}", "channels: [{match: a, access: authorize}]")
			own := s.state.Load().at.Own.String()
			if info, err := os.Stat(filepath.Dir(own)); err != nil || !strings.HasPrefix(own, dir) || info.Mode().Perm() != 0o700 {
				t.Fatalf("%s: %v, %v", own, info, err)
			}
			c := wiretest.NewClient(t, dial(s.Addr().String()))
			c.Send("GET /_push?channel=a&wait=0 HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n")
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || asked != 1 {
				t.Errorf("%d %q, the app was asked %d times", resp.StatusCode, body, asked)
			}
		})
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}
