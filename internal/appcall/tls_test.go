package appcall

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestTLS: an app is asked over TLS, on one connection as long as that is usable; one that the app has closed is
// replaced. The app's name is verified.
func TestTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns atomic.Int32
		app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `"secure"`)
		}))
		app.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		app.Config.ErrorLog = log.New(io.Discard, "", 0)
		app.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		app.StartTLS()
		defer app.Close()
		config := app.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName, config.NextProtos = "example.com", nil
		secure := func(ctx context.Context, c net.Conn) (net.Conn, error) {
			s := tls.Client(c, config)
			return s, s.HandshakeContext(ctx)
		}
		g := NewGetter(GetterOptions{
			Target:  Target{Endpoints: []Endpoint{{Network: "tcp", Address: app.Listener.Addr().String(), Secure: secure}}},
			Timeout: 10 * time.Second, MaxConns: 1, MaxBody: 100,
		})
		defer g.Close()
		get := func(path string, want int32) {
			t.Helper()
			p, err := g.Get(path, Validators{})
			if err != nil || string(p.Body) != `"secure"` {
				t.Errorf("%s: %s, %v", path, p.Body, err)
			}
			if n := conns.Load(); n != want {
				t.Errorf("%s: %d connections, want %d", path, n, want)
			}
		}
		get("/", 1)
		get("/", 1)
		app.CloseClientConnections()
		get("/", 2)
		get("/", 2)
		config.ServerName = "other.test"
		app.CloseClientConnections()
		if _, err := g.Get("/", Validators{}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("with another name: %v", err)
		}
	}
}
