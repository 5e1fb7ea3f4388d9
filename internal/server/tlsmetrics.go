package server

import "holdfast/internal/metric"

// writeTLS writes the metrics of connections with TLS: those of clients, and those to upstreams.
func (s *Server) writeTLS(w *metric.Writer) {
	t := s.tls()
	t.write(w)
	if t != nil {
		x := t.server.Stats()
		w.Ints("holdfast_tls_connections", "version", x.Open)
		w.Ints("holdfast_tls_handshakes_total", "version", x.Made)
		w.Int("holdfast_tls_sessions_resumed_total", x.Resumed)
		w.Int("holdfast_tls_handshakes_waiting", x.Waiting)
		w.Int("holdfast_tls_handshakes_queued_total", x.Queued)
		w.Ints("holdfast_tls_failures_total", "reason", x.Failures)
	}
	if secureOf(s).client != nil {
		x := secureOf(s).client.Stats()
		w.Ints("holdfast_tls_upstream_connections", "version", x.Open)
		w.Ints("holdfast_tls_upstream_handshakes_total", "version", x.Made)
		w.Ints("holdfast_tls_upstream_failures_total", "reason", x.Failures)
		f := secureOf(s).files.Stats()
		for _, c := range f.Certificates {
			w.Int("holdfast_tls_upstream_certificate_expiry_timestamp_seconds", c.Expires.Unix(), "certificate", c.Cert)
		}
		w.Int("holdfast_tls_upstream_file_loads_total", f.Loads)
		w.Int("holdfast_tls_upstream_file_errors_total", f.Failures)
	}
}
