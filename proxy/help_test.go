package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/tlsconn"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// start runs a proxy in front of the upstream at address and returns its own.
func start(t testing.TB, upstream string, change ...func(*Options)) (string, *Proxy) {
	t.Helper()
	return startPrepared(t, upstream, func(*Proxy) {}, change...)
}

// startPrepared is start with a look at the proxy before its first request.
func startPrepared(t testing.TB, upstream string, prepare func(*Proxy), change ...func(*Options)) (string, *Proxy) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := park.New(park.Options{Loops: 2, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Upstreams: []Upstream{{Network: "tcp", Address: upstream, Host: upstream}},
		Pool:      8, PoolIdle: 5 * time.Second,
		HeaderTime: wiretest.Timeout, IdleTime: wiretest.Timeout,
		Settings: route.Settings{
			BodyTime: wiretest.Timeout, SendTime: wiretest.Timeout, ConnectTime: wiretest.Timeout, UpstreamTime: wiretest.Timeout,
			TunnelTime: wiretest.Timeout, StreamUploads: true,
		},
		HeaderBytes: 16 << 10, HeaderFields: 100, Log: log,
	}
	for _, f := range change {
		f(&o)
	}
	x := New(p, o)
	prepare(x)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := p.Listen(ln, secured(p, x.Accept)); err != nil {
		t.Fatal(err)
	}
	wiretest.Serve(t, p)
	return addr, x
}

// ok is a plain answer with a length.
func ok(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// echo answers with what it was sent.
func echo(r *http.Request, body []byte) []byte {
	return ok(fmt.Sprintf("%s %s %q", r.Method, r.RequestURI, body))
}

// forwardedTo is what the proxy adds to a request for host from a client on loopback.
func forwardedTo(host string) string {
	scheme, port := "http", 80
	if wiretest.Secure() {
		scheme, port = "https", 443
	}
	if named := request.PortOf([]byte(host)); named != 0 {
		port = int(named)
	}
	return fmt.Sprintf("X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: %s\r\nX-Forwarded-Host: %s\r\nX-Forwarded-Port: %d\r\n",
		scheme, host, port)
}

func lines(s ...string) string { return strings.Join(s, "\r\n") + "\r\n\r\n" }

// wirePeer is a client's address where there is no connection.
var wirePeer = netip.MustParseAddrPort("192.0.2.1:1234")

// secured is accept with TLS before it, if clients use that.
func secured(p *park.Poller, accept func(*park.Loop) park.Handler) func(*park.Loop) park.Handler {
	if !wiretest.Secure() {
		return accept
	}
	cert, _ := wiretest.Certificate()
	return tlsconn.NewServer(p, tlsconn.Options{Config: &tls.Config{Certificates: []tls.Certificate{cert}}}).Accept(accept)
}
