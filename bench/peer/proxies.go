package peer

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

func haproxy() *Peer {
	return &Peer{
		Name:  "haproxy",
		Kinds: []string{Proxied, KeepAlive},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			return s.haproxy(o, s.Addr.String(), backend)
		},
		version: func(Options) string { return output("haproxy", "-v") },
	}
}

func (s *Server) haproxy(o Options, bind string, backend netip.AddrPort) error {
	config, err := s.write("haproxy.cfg", fmt.Sprintf(`
global
	maxconn %d
	no strict-limits
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout http-keep-alive 1h
	http-reuse always
frontend clients
	bind %s backlog 4096
	default_backend app
backend app
	server app %s pool-max-conn 512
`, min(o.Conns+300, 19300), bind, backend))
	if err != nil {
		return err
	}
	return s.run("haproxy", "-db", "-f", config)
}

func caddy() *Peer {
	return &Peer{
		Name:  "caddy",
		Kinds: []string{Proxied, KeepAlive},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			config, err := s.write("Caddyfile", fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage file_system %s
	servers {
		timeouts {
			idle 1h
		}
		protocols h1
	}
}
http://%s {
	bind 127.0.0.1
	reverse_proxy %s {
		transport http {
			keepalive 1h
			keepalive_idle_conns 512
			keepalive_idle_conns_per_host 512
		}
	}
}
`, s.dir, s.Addr, backend))
			if err != nil {
				return err
			}
			return s.runOwn(o, "caddy", "run", "--adapter", "caddyfile", "--config", config)
		},
		version: func(o Options) string {
			version, _, _ := strings.Cut(output(filepath.Join(o.Bins, "caddy"), "version"), " ")
			return version
		},
	}
}

// none is the app itself: what the load generator and the app can do without anything in between.
func none() *Peer {
	return &Peer{
		Name:  "no proxy",
		Kinds: []string{Proxied},
		start: func(s *Server, _ Options, backend netip.AddrPort) error {
			s.Addr, s.Publish, s.Process = backend, backend, s.backend
			return nil
		},
		version: func(Options) string { return "" },
	}
}
