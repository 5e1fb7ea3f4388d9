// Package upgrade keeps the requests that stay open: WebSocket, server-sent events and long poll, all
// under one URL (docs/reference/client-protocol.md).
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
// A slow reader gets an outbox of what its kernel would not take; past the cap its channel's rule decides (channel.Slow):
// the connection is dropped with the reason slow and can resume with the last id that it saw, or messages are left
// out. Nothing is left out in silence, but what a newer message of a latest_only channel replaces.
package upgrade
