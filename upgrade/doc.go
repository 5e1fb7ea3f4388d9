// Package upgrade keeps the requests that stay open: WebSocket, server-sent events and long poll, all
// under one URL (docs/protocol.md).
//
//	request ─► worker: checks, authorize, handshake ─► held ─► closed(reason)
//	                     │ refused                       │ long poll answered
//	                     ▼                               ▼
//	               JSON error, keep-alive          the proxy's Front
//
// A request is served by fasthttp on a worker until it is decided; from then on the connection is held
// on its loop: a slot and one held struct. Only the loop writes to a held socket. Joining the channels
// comes before the first byte of the answer, so what is published after a client has seen its first
// bytes reaches it.
//
// A slow reader gets an outbox of what its kernel would not take; past the cap it is dropped with the
// reason slow. Nothing is skipped: a client either has a message or its connection is closed, and it
// can resume with the last id that it saw.
package upgrade
