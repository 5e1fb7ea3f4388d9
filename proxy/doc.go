// Package proxy stands between a client and the app, one request at a time.
//
// The path of a request. A client connection that waits for one is parked under the loop's reader (internal/headread):
// a slot, no buffer. Its bytes are checked strictly as one head (RFC 9112) before anything else reads them. The
// PushHandler gets the requests that it owns. Any other becomes an exchange: a struct with the sockets of both legs,
// which readiness events advance and which never blocks. Heads are relayed line by line, with order, case and
// repetition unchanged. Bodies are buffered, in memory and in temporary files; larger ones are streamed.
//
//	Front ──head──► exchange ──answer complete──► Front
//	  │                │ 101
//	  └─► push         └─────► tunnel
//
// Who answers is a source, one file for each kind: source_http.go, source_fastcgi.go, source_file.go, source_cache.go. With FastCGI
// upstreams a worker first looks up what the path means (internal/site): a file is answered from here, piece by piece
// as the client takes it; a script becomes records (internal/fcgi).
//
// What Holdfast changes. Hop-by-hop fields (RFC 9110 §7.6.1) are removed in both directions. So are request fields
// whose names have characters other than letters, digits and dashes (CGI and PHP cannot tell X_Y and X.Y from X-Y),
// Proxy, and Expect, to which Holdfast responds itself. X-Forwarded-For, -Proto, -Host and X-Real-IP are set; a
// client's values are used only if it is a trusted proxy. Request trailers are dropped.
//
// What Holdfast never does. A message that one side cut short is never completed for the other: Holdfast resets the
// client's connection, or closes the upstream's. A request is repeated only if nothing of it was sent, or if its method
// is idempotent and no byte of a response has arrived: once on a new connection after a pooled one failed, and once
// with each other upstream. A connection with extra bytes, an error or an early response does not go back to the pool.
package proxy
