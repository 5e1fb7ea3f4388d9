package peer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Kinds of connections that a peer can be asked to hold or to serve.
const (
	Proxied   = "proxied"    // requests to the app behind it
	KeepAlive = "keep-alive" // idle after one proxied request
	WebSocket = "websocket"
	SSE       = "sse"
	LongPoll  = "long poll"
	Beside    = "beside" // requests to the app, from the same process that pushes
	Cached    = "cached" // requests that it answers from memory
	Secure    = "secure" // requests to the app behind it, by TLS

	SecurePush = "secure push" // WebSockets, by TLS
)

const (
	heartbeat        = 10 // seconds between two signs of life, for all that can send them
	heartbeatSeconds = "10"
)

// Options of a start.
type Options struct {
	Bins  string // folder of holdfast, caddy and the commands of this module
	Conns int    // connections it has to be able to hold; its own limits are set to fit
}

// Server is a peer that runs.
type Server struct {
	*Process
	Addr    netip.AddrPort // for clients
	Publish netip.AddrPort // for publishers
	backend *Process
	dir     string
	memory  string // a folder in memory; empty: none
	peer    *Peer
	stats   string // URL that has go_goroutines
}

// Peer is what can be started.
type Peer struct {
	Name  string
	Kinds []string
	start func(s *Server, o Options, backend netip.AddrPort) error
	// hold is the target, and for a WebSocket the first thing to say, of a hold on a channel.
	hold func(kind, channel string) (target string, after []byte)
	// publish is the head of a publish, without Host and Content-Length, and its body.
	publish func(channel string, data []byte) (head string, body []byte)
	version func(o Options) string
}

// All peers, in the order of the tables. A current nginx is one of them where it has been unpacked.
func All() []*Peer {
	peers := []*Peer{holdfast(), nginx()}
	if _, err := exec.LookPath("nginx-current"); err == nil {
		peers = append(peers, currentNginx())
	}
	return append(peers, haproxy(), caddy(), nchan(), centrifuge(), mercure(), bare(), none(), holdfastCache(), nginxCache(), varnish(),
		holdfastTLS(), nginxTLS(), haproxyTLS(), nchanTLS())
}

// ByName returns one of All; nil if there is none of that name.
func ByName(name string) *Peer {
	for _, p := range All() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Can reports whether the peer has a kind.
func (p *Peer) Can(kind string) bool { return slices.Contains(p.Kinds, kind) }

// Version asks the installed peer.
func (p *Peer) Version(o Options) string { return p.version(o) }

// Start runs the peer, and the app behind it if it is a proxy.
func (p *Peer) Start(o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	os.Chmod(dir, 0o755) // workers that gave up root read their configuration
	s := &Server{dir: dir, peer: p}
	if err := s.startBoth(o); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return s, nil
}

func (s *Server) startBoth(o Options) (err error) {
	if s.Addr, err = freePort(); err != nil {
		return err
	}
	s.Publish = s.Addr
	var behind netip.AddrPort
	if slices.ContainsFunc(s.peer.Kinds, needsApp) {
		if behind, err = freePort(); err != nil {
			return err
		}
		if s.backend, err = start(behind, filepath.Join(o.Bins, "backend"), behind.String()); err != nil {
			return err
		}
	}
	return s.peer.start(s, o, behind)
}

// needsApp reports whether a peer of a kind has an app behind it.
func needsApp(kind string) bool {
	return kind == Proxied || kind == Beside || kind == Cached || kind == Secure || kind == SecurePush
}

// Stop ends the peer and its app, and removes its folder.
func (s *Server) Stop() {
	if s.Process != nil {
		s.Process.Stop()
	}
	if s.backend != nil && s.backend != s.Process {
		s.backend.Stop()
	}
	os.RemoveAll(s.dir)
	if s.memory != "" {
		os.RemoveAll(s.memory)
	}
}

// StopApp stops the app behind the peer.
func (s *Server) StopApp() { s.backend.Stop() }

// run starts the command.
func (s *Server) run(name string, args ...string) error {
	p, err := start(s.Addr, name, args...)
	s.Process = p
	return err
}

// own copies a program of the folder of programs, so that its text is mapped by this server alone: otherwise it
// would be private memory or not, depending on what else is running.
func (s *Server) own(o Options, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(o.Bins, name))
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // or the text would count as dirty until the system writes it
	}
	return f.Name(), errors.Join(err, f.Close())
}

// runOwn starts a copy of a program.
func (s *Server) runOwn(o Options, name string, args ...string) error {
	path, err := s.own(o, name)
	if err != nil {
		return err
	}
	return s.run(path, args...)
}

func (s *Server) write(file, text string) (string, error) {
	path := filepath.Join(s.dir, file)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Hold is the request that holds a connection on a channel, and what to say after a WebSocket's handshake.
func (s *Server) Hold(kind, channel string) (request, after []byte) {
	target, after := s.peer.hold(kind, url.QueryEscape(channel))
	head := "GET " + target + " HTTP/1.1\r\nHost: " + s.Addr.String() + "\r\n"
	switch kind {
	case WebSocket:
		head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	case SSE:
		head += "Accept: text/event-stream\r\n"
	}
	return []byte(head + "\r\n"), after
}

// PublishRequest is the request that publishes data.
func (s *Server) PublishRequest(channel string, data []byte) []byte {
	head, body := s.peer.publish(url.QueryEscape(channel), data)
	return []byte(head + "Host: " + s.Publish.String() + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + string(body))
}

var goroutineLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// Goroutines is how many the server has, if it says. The servers of cmd/ collect their garbage when asked.
func (s *Server) Goroutines() (int, bool) {
	if s.stats == "" {
		return 0, false
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(s.stats)
	if err != nil {
		return 0, false
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	m := goroutineLine.FindSubmatch(body)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(m[1]))
	return n, err == nil
}
