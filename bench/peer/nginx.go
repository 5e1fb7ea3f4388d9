package peer

import (
	"fmt"
	"net/netip"
)

// nginxConfig is what nginx and Nchan share. Memory of nginx grows with worker_connections, used or not, so
// they are set to fit the run.
const nginxConfig = `
%[1]s
daemon off;
worker_processes auto;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections %[3]d; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	sendfile on;
	tcp_nodelay on;
	keepalive_timeout 1h;
	keepalive_requests 100000000;
	%[4]s
}
`

// nginxLocation passes everything else to the app.
const nginxLocation = `location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
		}`

func nginxApp(backend netip.AddrPort) string {
	return fmt.Sprintf("server %s; keepalive 512; keepalive_requests 100000000; keepalive_timeout 1h;", backend)
}

func nginx() *Peer { return nginxProxy("nginx", "nginx") }

// currentNginx is a newer build than Debian stable's, from .ci/nginx-current.sh.
func currentNginx() *Peer { return nginxProxy("nginx current", "nginx-current") }

func nginxProxy(name, command string) *Peer {
	return &Peer{
		Name:  name,
		Kinds: []string{Proxied, KeepAlive},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			return s.runNginx(command, o, "", fmt.Sprintf(`
	client_max_body_size 0;
	upstream app { %s }
	server {
		listen %s backlog=4096;
		%s
	}`, nginxApp(backend), s.Addr, nginxLocation))
		},
		version: func(Options) string { return output(command, "-v") },
	}
}

const nchanModule = "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;"

// nchanLocations are where Nchan holds clients and takes messages.
const nchanLocations = `location = /sub {
			nchan_subscriber websocket eventsource longpoll;
			nchan_channel_id $arg_channel;
			nchan_subscriber_first_message newest;
			nchan_websocket_ping_interval ` + heartbeatSeconds + `;
			nchan_eventsource_ping_interval ` + heartbeatSeconds + `;
		}
		location = /pub {
			nchan_publisher http;
			nchan_channel_id $arg_channel;
			nchan_message_buffer_length 200;
			nchan_message_timeout 10m;
		}`

func nchan() *Peer {
	return &Peer{
		Name:  "nchan",
		Kinds: []string{Beside, WebSocket, SSE, LongPoll},
		start: func(s *Server, o Options, backend netip.AddrPort) error {
			return s.nginx(o, nchanModule, fmt.Sprintf(`
	nchan_max_reserved_memory 1G;
	upstream app { %[3]s }
	server {
		listen %[1]s backlog=4096;
		%[4]s
		%[2]s
	}`, s.Addr, nchanLocations, nginxApp(backend), nginxLocation))
		},
		hold: func(kind, channel string) (string, []byte) { return "/sub?channel=" + channel, nil },
		publish: func(channel string, data []byte) (string, []byte) {
			return "POST /pub?channel=" + channel + " HTTP/1.1\r\nContent-Type: text/plain\r\n", data
		},
		version: func(Options) string {
			return output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan") + ", " + output("nginx", "-v")
		},
	}
}

func (s *Server) nginx(o Options, modules, http string) error {
	return s.runNginx("nginx", o, modules, http)
}

func (s *Server) runNginx(command string, o Options, modules, http string) error {
	config, err := s.write("nginx.conf", fmt.Sprintf(nginxConfig, modules, s.dir, min(o.Conns+600, 19900), http))
	if err != nil {
		return err
	}
	return s.run(command, "-e", "stderr", "-p", s.dir, "-c", config)
}
