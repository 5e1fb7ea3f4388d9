package peer

import (
	"fmt"
	"net/netip"
	"os"
)

// The peers that answer from memory. Each has its own rules for two paths: below /cached a response is everybody's, below
// /session it is that of the cookie sid. Both are good for an hour.

func holdfastCache() *Peer {
	return &Peer{
		Name:  "holdfast cache",
		Kinds: []string{Cached},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			hooks, err := freePort()
			if err != nil {
				return err
			}
			config, err := s.write("config.yaml", fmt.Sprintf(`
listen: %s
upstream: http://%s
hooks: {listen: "%s"}
push: {logout: {cookies: [sid]}}
polls:
  - {match: /cached, shared: true, fresh: 1h, pass: 0}
  - {match: /session, key: [query, session], fresh: 1h, pass: 0}
timeouts: {idle: 1h}
log: {level: warn}
`, s.Addr, backend, hooks))
			if err != nil {
				return err
			}
			return s.runOwn(o, "holdfast", "run", "-config", config)
		},
		version: holdfast().version,
	}
}

func nginxCache() *Peer {
	return &Peer{
		Name:  "nginx cache",
		Kinds: []string{Cached},
		start: func(s *Server, o Options, backend netip.AddrPort) (err error) {
			if s.memory, err = os.MkdirTemp("/dev/shm", "holdfast-bench-"); err != nil {
				return err
			}
			if err := os.Chmod(s.memory, 0o777); err != nil { // for workers that gave up root
				return err
			}
			const location = `
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_cache memory;
			proxy_cache_valid 200 1h;
			proxy_cache_lock on;`
			return s.nginx(o, "", fmt.Sprintf(`
	proxy_cache_path %[3]s levels=1:2 keys_zone=memory:10m use_temp_path=off;
	open_file_cache max=1000 inactive=1h;
	upstream app { %[1]s }
	server {
		listen %[2]s backlog=4096;
		location /cached {%[4]s
			proxy_cache_key $scheme$host$request_uri;
		}
		location /session {%[4]s
			proxy_cache_key $scheme$host$request_uri$cookie_sid;
		}
	}`, nginxApp(backend), s.Addr, s.memory, location))
		},
		version: nginx().version,
	}
}

func varnish() *Peer {
	return &Peer{
		Name:  "varnish",
		Kinds: []string{Cached},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			config, err := s.write("default.vcl", fmt.Sprintf(`vcl 4.1;
backend default { .host = "%s"; .port = "%d"; }
sub vcl_recv { return (hash); }
sub vcl_hash {
	if (req.url ~ "^/session") {
		hash_data(regsub(req.http.Cookie, "^(.*; )?sid=([^;]*).*$", "\2"));
	}
}
sub vcl_backend_response { set beresp.ttl = 1h; return (deliver); }
`, backend.Addr(), backend.Port()))
			if err != nil {
				return err
			}
			return s.run("varnishd", "-F", "-n", s.dir+"/varnish", "-a", s.Addr.String(), "-f", config, "-s", "malloc,64m", "-p", "timeout_idle=3600")
		},
		version: func(Options) string { return output("varnishd", "-V") },
	}
}
