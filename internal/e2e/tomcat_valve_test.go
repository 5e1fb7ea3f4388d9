//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTomcatRemoteIPValve: with the valve of the tutorial, an app in Tomcat sees the client, the scheme and the port of the
// outside, whoever says what they are.
func TestTomcatRemoteIPValve(t *testing.T) {
	root := filepath.Join(publicTempDir(t), "app")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "who.jsp"),
		`<%= request.getRequestURL() %> <%= request.isSecure() %> <%= request.getRemoteAddr() %>`)
	page, err := os.ReadFile(filepath.Join(repository, "docs/tutorials/tomcat.md"))
	if err != nil {
		t.Fatal(err)
	}
	valve := regexp.MustCompile(`<Valve className="[^"]*RemoteIpValve".*/>`).Find(page)
	addr := startTomcatWith(t, "<tomcat-users/>", string(valve)+fmt.Sprintf(`<Context path="" docBase=%q />`, root))
	for _, tt := range []struct{ name, config, fields, want string }{
		{"the client's own Host", "", "Host: app.test:8080\r\n", "http://app.test:8080/who.jsp false 127.0.0.1"},
		{"the default port", "", "Host: app.test\r\n", "http://app.test/who.jsp false 127.0.0.1"},
		{"HTTPS that the configuration declares", "external: {scheme: https, port: 8443}", "Host: app.test:8443\r\n",
			"https://app.test:8443/who.jsp true 127.0.0.1"},
		{"HTTPS at its own port", "external: {scheme: https}", "Host: app.test\r\n", "https://app.test/who.jsp true 127.0.0.1"},
		{"a trusted proxy's fields", "trusted_proxies: [127.0.0.1]",
			"Host: app.test:8443\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n",
			"https://app.test:8443/who.jsp true 192.0.2.9"},
		{"a stranger's fields", "", "Host: app.test:8080\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n",
			"http://app.test:8080/who.jsp false 127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\nupstream: http://%s\nhooks: {listen: %s}\n%s\n", listen, addr, hooks, tt.config)
			})
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, "GET /who.jsp HTTP/1.1\r\n"+tt.fields+"Connection: close\r\n\r\n") //nolint:errcheck // reading fails
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if got := strings.TrimSpace(string(body)); err != nil || got != tt.want {
				t.Errorf("the app sees %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
