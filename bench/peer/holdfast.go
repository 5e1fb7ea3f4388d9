package peer

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
)

func holdfast() *Peer {
	return &Peer{
		Name:  "holdfast",
		Kinds: []string{Proxied, Beside, KeepAlive, WebSocket, SSE, LongPoll},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			return s.holdfast(o, s.Addr.String(), backend)
		},
		hold: func(kind, channel string) (string, []byte) { return "/_push?channel=" + channel, nil },
		publish: func(channel string, data []byte) (string, []byte) {
			return "POST /publish?channel=" + channel + " HTTP/1.1\r\n", data
		},
		version: func(o Options) string { return output(filepath.Join(o.Bins, "holdfast"), "version") },
	}
}

func (s *Server) holdfast(o Options, listen string, backend netip.AddrPort) error {
	hooks, err := freePort()
	if err != nil {
		return err
	}
	s.Publish, s.stats = hooks, "http://"+hooks.String()+"/metrics"
	config, err := s.write("config.yaml", fmt.Sprintf(`
listen: %s
upstream: http://%s
hooks: {listen: "%s"}
push: {heartbeat: %ds, poll_wait: 1h, poll_max_wait: 1h}
timeouts: {idle: 1h}
upstream_pool: {max_idle: 512, idle_timeout: 1h}
channels:
  - {match: "public.**", access: public, history: {messages: 200, age: 10m}}
log: {level: warn}
`, listen, backend, hooks, heartbeat))
	if err != nil {
		return err
	}
	return s.runOwn(o, "holdfast", "run", "-config", config)
}

// output is the first line that a command prints.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
