// Package proxy stands between a client and the app, one request at a time.
//
// The path of a request. A client connection that waits for one is parked under the loop's reader (internal/headread):
// a slot, no buffer. Its bytes are checked strictly as one head (RFC 9112) before anything else reads
// them. What the PushHandler owns is handed over; the rest becomes an exchange: a struct with both legs' sockets
// that is moved on by readiness and never blocks. Heads are relayed line by line, order, case and
// repetition kept; bodies are buffered, in memory and in temporary files, and what is larger is streamed.
//
//	Front ──head──► exchange ──answer complete──► Front
//	  │                │ 101
//	  └─► push         └─────► tunnel
//
// Who answers is a source, one file for each kind: source_http.go, source_fastcgi.go, source_file.go. With FastCGI
// upstreams a worker first looks up what the path means (internal/site): a file is answered from here, piece by piece
// as the client takes it; a script becomes records (internal/fcgi).
//
// What is changed on the way. Hop-by-hop fields (RFC 9110 §7.6.1) are removed in both directions, as
// are fields whose name has other than letters, digits and dashes (CGI and PHP cannot tell X_Y and X.Y from
// X-Y), Proxy, and Expect, which is answered here. X-Forwarded-For, -Proto, -Host and X-Real-IP are set; what
// a client says in them counts only if it comes from a trusted proxy. Request trailers are dropped.
//
// What is never done. A message that one side cut short is never finished for the other: a response is
// cut with a reset, an upload by closing the upstream. A request is repeated only if
// nothing was sent, or if its method is idempotent and nothing of a response came: once on a new connection where a
// pooled one failed, and once with each further upstream. A connection with stray bytes, an error or an early answer does not go back to the
// pool.
package proxy
