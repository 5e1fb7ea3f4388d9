//go:build e2e && linux

package e2e

import (
	"net"
	"net/http"
	"testing"
)

// startApp serves an app of the test itself and returns its URL. An address that begins with a
// slash is that of a unix socket.
func startApp(t *testing.T, handler http.Handler) string {
	t.Helper()
	return serveApp(t, "tcp", "127.0.0.1:0", handler)
}

func serveApp(t *testing.T, network, addr string, handler http.Handler) string {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	if network == "unix" {
		return "http+unix:" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}
