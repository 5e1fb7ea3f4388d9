package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/warnings"
	"holdfast/internal/wiretest"
)

// writeCert writes a certificate that signs itself to a file, with its key, and returns its serial number.
func writeCert(t *testing.T, file string, names ...string) *big.Int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := os.WriteFile(file+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return serial
}

// dialTLS connects to an address for a server name.
func dialTLS(t *testing.T, conn net.Conn, name string, version uint16) *tls.Conn {
	t.Helper()
	c := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: version})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestTLS: both versions, the certificate by name, what the app sees, HSTS over TLS alone, and the redirect to the port.
func TestTLS(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("strict-transport-security", "max-age=5")
		}
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Port"), r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(app.Close)
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "a.pem"), filepath.Join(dir, "b.pem")}
	serials := [2]*big.Int{writeCert(t, files[0], "a.test"), writeCert(t, files[1], "b.test", "*.b.test")}
	s := serveQuietly(t, "upstream: "+app.URL, "listen: [{address: '127.0.0.1:0', tls: true}, '127.0.0.1:0', {address: '127.0.0.1:0', redirect_https: true}]",
		"cache: [{match: /cached, key: [query]}]",
		fmt.Sprintf("tls: {hsts: max-age=60, certificates: [{cert: %[1]s, key: %[1]s}, {cert: %[2]s, key: %[2]s}]}", files[0], files[1]))
	addrs := s.Addrs()
	for name, want := range map[string]*big.Int{"a.test": serials[0], "b.test": serials[1], "x.b.test": serials[1], "other.test": serials[0]} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn := dialTLS(t, dialTCP(t, addrs[0]), name, version)
			if got := conn.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(want) != 0 {
				t.Errorf("%s gets certificate %s", name, got)
			}
			c := wiretest.NewClient(t, conn)
			c.Send("GET / HTTP/1.1\r\nHost: " + name + ":8443\r\nX-Forwarded-Proto: http\r\n\r\n")
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "https 8443 127.0.0.1" {
				t.Errorf("%s: %d %q", name, resp.StatusCode, body)
			}
		}
	}
	overTLS := wiretest.NewClient(t, dialTLS(t, dialTCP(t, addrs[0]), "a.test", 0))
	plain := wiretest.Dial(t, addrs[1])
	for _, tt := range []struct{ path, want string }{{"/", "max-age=60"}, {"/own", "max-age=5"}, {"/cached", "max-age=60"}, {"/cached", "max-age=60"}, {"/%00", ""}} {
		for _, c := range []*wiretest.Client{overTLS, plain} {
			want := tt.want
			if c == plain && tt.path != "/own" {
				want = ""
			}
			c.Send("GET " + tt.path + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
			if resp, _ := c.Response(http.MethodGet); strings.Join(resp.Header.Values("Strict-Transport-Security"), ",") != want {
				t.Errorf("%s, over TLS %v: %q", tt.path, c == overTLS, resp.Header.Values("Strict-Transport-Security"))
			}
		}
	}
	c := wiretest.Dial(t, addrs[2])
	c.Send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n")
	_, port, _ := net.SplitHostPort(s.conf().Listen[0].Address.Address)
	if port != "0" {
		t.Fatal(port)
	}
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 301 || resp.Header.Get("Location") != "https://a.test/a" {
		t.Errorf("redirected to %s", resp.Header.Get("Location"))
	}
	probe := wiretest.Dial(t, s.HooksAddr().String())
	probe.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_, body := probe.Response(http.MethodGet)
	for _, line := range []string{"holdfast_tls_certificate_loads_total 2\n", "holdfast_tls_certificate_errors_total 0\n",
		`holdfast_tls_certificate_expiry_timestamp_seconds{certificate="` + files[0] + `"} `} {
		if !strings.Contains(body, line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
}

// TestRedirectPort: that of external, or else of the first listener with TLS.
func TestRedirectPort(t *testing.T) {
	for lines, want := range map[string]uint16{
		"listen: ':80'": 0,
		"listen: [':80', {address: ':8443', tls: true}, {address: ':443', tls: true}]\ntls: {folder: /a}":         8443,
		"listen: [':80', {address: 'unix:/a', tls: true}, {address: '[::1]:444', tls: true}]\ntls: {folder: /a}":  444,
		"listen: [':80', {address: ':8443', tls: true}]\ntls: {folder: /a}\nexternal: {scheme: https, port: 443}": 443,
		"listen: [{address: ':80', redirect_https: true}, ':81']\nexternal: {scheme: https, port: 8443}":          8443,
		"listen: [{address: ':80', redirect_https: true}, ':81']\nexternal: {scheme: https}":                      0,
	} {
		c, err := config.Parse("c.yaml", []byte(lines))
		if err != nil {
			t.Fatal(err)
		}
		if got := httpsPort(c); got != want {
			t.Errorf("%s: %d", lines, got)
		}
	}
}

// TestTLSAfterProxyHeader: the header of a load balancer comes before the handshake, in one segment or in two.
func TestTLSAfterProxyHeader(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(app.Close)
	file := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, file, "a.test")
	s := serveQuietly(t, "upstream: "+app.URL, "proxy_protocol: true", "trusted_proxies: [127.0.0.0/8]",
		fmt.Sprintf("listen: [{address: '127.0.0.1:0', tls: true}]\ntls: {certificates: [{cert: %[1]s, key: %[1]s}]}", file))
	for _, together := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn := dialTCP(t, s.Addr().String())
			header := "PROXY TCP4 192.0.2.1 127.0.0.1 50000 443\r\n"
			if together {
				conn = &prefixed{Conn: conn, prefix: header}
			} else if _, err := io.WriteString(conn, header); err != nil {
				t.Fatal(err)
			}
			c := wiretest.NewClient(t, dialTLS(t, conn, "a.test", version))
			for range 2 {
				c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "https 192.0.2.1" {
					t.Errorf("together %v, version %x: %d %q", together, version, resp.StatusCode, body)
				}
			}
		}
	}
}

// prefixed sends a prefix with the first bytes.
type prefixed struct {
	net.Conn
	prefix string
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.prefix == "" {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(append([]byte(p.prefix), b...))
	p.prefix = ""
	return max(0, min(n, len(b))), err
}

// TestHandshakeLimits: the keys bound the time of a handshake, and the number of those in progress.
func TestHandshakeLimits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, file, "a.test")
	s := serveQuietly(t, "upstream: "+newApp(t), "limits: {handshakes: 1}", "timeouts: {handshake: 1s}",
		fmt.Sprintf("listen: [{address: '127.0.0.1:0', tls: true}]\ntls: {certificates: [{cert: %[1]s, key: %[1]s}]}", file))
	var hello bytes.Buffer // the first message of a client that stops after it
	_ = tls.Client(&recorded{Writer: &hello}, &tls.Config{InsecureSkipVerify: true}).Handshake()
	var stopped []net.Conn
	for range 3 {
		conn := dialTCP(t, s.Addr().String())
		defer conn.Close()
		stopped = append(stopped, conn)
	}
	for _, conn := range stopped {
		if _, err := conn.Write(hello.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range stopped {
		_, _ = io.Copy(io.Discard, conn) // until Holdfast closes it
	}
	wiretest.Eventually(t, "each is counted", func() bool { // those that others wait for are cut sooner
		n := s.tls().server.Stats().Failures
		return n["timeout"]+n["busy"] == 3
	})
	if n := s.tls().server.Stats().Queued; n == 0 {
		t.Error("none of them had to wait")
	}
}

// recorded is a connection that has nothing to read.
type recorded struct {
	net.Conn
	io.Writer
}

func (c *recorded) Read([]byte) (int, error)    { return 0, io.EOF }
func (c *recorded) Write(b []byte) (int, error) { return c.Writer.Write(b) }

// TestCertificateReplaced: connections stay, and new ones get the new certificate, at a reload.
func TestCertificateReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pem")
	old := writeCert(t, file, "a.test")
	s := serveQuietly(t, "upstream: "+newApp(t), "channels: [{match: a, access: public}]",
		fmt.Sprintf("listen: [{address: '127.0.0.1:0', tls: true}]\ntls: {certificates: [{cert: %[1]s, key: %[1]s}]}", file))
	const held = 1000
	var conns []*wiretest.Client
	for i := range held {
		conn := dialTLS(t, dialTCP(t, s.Addr().String()), "a.test", []uint16{tls.VersionTLS13, tls.VersionTLS12}[i%10/9])
		if got := conn.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(old) != 0 {
			t.Fatalf("the first certificate is %s", got)
		}
		c := wiretest.NewClient(t, conn)
		c.Send("GET /_push?channel=a HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n")
		c.Expect("HTTP/1.1 200 OK\r\n")
		conns = append(conns, c)
	}
	renewed := writeCert(t, file, "a.test")
	s.tls().store.Reload()
	conn := dialTLS(t, dialTCP(t, s.Addr().String()), "a.test", 0)
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(renewed) != 0 {
		t.Errorf("a new connection gets certificate %s", got)
	}
	if n := s.keeper.Stats().Held["sse"]; n != held {
		t.Errorf("%d connections are held", n)
	}
	api := wiretest.Dial(t, s.HooksAddr().String())
	api.Send("POST /publish?channel=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
	if resp, body := api.Response(http.MethodPost); resp.StatusCode != 200 || !strings.Contains(body, `"subscribers":1000`) {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	for i, c := range conns {
		if !readUntil(c, "data: hello") {
			t.Fatalf("connection %d has not got the message", i)
		}
	}
}

func readUntil(c *wiretest.Client, text string) bool {
	var all []byte
	var b [4096]byte
	for !bytes.Contains(all, []byte(text)) {
		n, err := c.Read(b[:])
		if all = append(all, b[:n]...); err != nil {
			return false
		}
	}
	return true
}

// TestCheckTLS: what check says of files and ports.
func TestCheckTLS(t *testing.T) {
	dir := t.TempDir()
	good, other := filepath.Join(dir, "good.pem"), filepath.Join(dir, "other.pem")
	writeCert(t, good, "a.test")
	writeCert(t, other, "a.test")
	live := filepath.Join(dir, "live")
	if err := os.MkdirAll(filepath.Join(live, "bad"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(live, "bad", "fullchain.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.pem")
	writeCert(t, open, "a.test")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	const listen = "listen: [{address: '127.0.0.1:8443', tls: true}]\n"
	for _, tt := range []struct{ lines, fault, warning string }{
		{fmt.Sprintf("tls: {certificates: [{cert: %s, key: %[1]s}]}", good), "", ""},
		{fmt.Sprintf("tls: {certificates: [{cert: %s, key: %s}]}", good, other), "does not match", "does not match"},
		{fmt.Sprintf("tls: {certificates: [{cert: %s, key: %s/none}]}", good, dir), "", "tls.certificates[0]: open " + dir + "/none"},
		{fmt.Sprintf("tls: {certificates: [{cert: %s, key: %[1]s}]}", open), "", "has mode 0644"},
		{fmt.Sprintf("tls: {folder: %s}", live), "", "tls.folder: open " + live + "/bad/privkey.pem"},
		{fmt.Sprintf("tls: {folder: %s/none}", dir), "", "tls.folder: open " + dir + "/none"},
		{fmt.Sprintf("tls: {acme: {names: [a.test], accept_terms: true, folder: %s/acme}}", dir), "", "no entry of listen has port 80"},
	} {
		c, err := config.Parse("c.yaml", []byte(listen+tt.lines))
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(c); (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v", tt.lines, err)
		}
		if got := strings.Join(warnings.TLS(c), "\n"); (got != "") != (tt.warning != "") || !strings.Contains(got, tt.warning) {
			t.Errorf("%s: warns %q", tt.lines, got)
		}
	}
}
