// Package upgrade holds client connections that stay open: WebSocket, server-sent events, NDJSON and long poll.
// All share one URL; docs/reference/client-protocol.md describes the wire forms.
//
//	request ─► worker: checks, authorize, handshake ─► held ─► closed, with a ending.Reason
//	                     │ refused                       │ long poll answered
//	                     ▼                               ▼
//	               JSON error, keep-alive          the proxy's Front
//
// fasthttp serves a request on a worker until it is decided. From then on the connection is held on its loop, and
// costs a slot and one held struct: no goroutine and, while it is idle, no buffer. Only the loop writes to a held
// socket. The connection joins its channels before its first response byte is sent, so it misses no message that is
// published after that. [Keeper.Hold] begins a hold without such a request.
//
// What a connection sends and how it reads its client is its dialect: one file dialect_*.go for each wire form, and
// a line in the table dialects. The rest of the package never asks which one it is.
//
// When the kernel takes no more bytes, messages wait in a send queue. When that is full, the channel's rule decides
// (channel.Slow): the connection is closed and can resume with the last ID that it saw, or messages are dropped. A
// client learns of each gap, but for messages that a newer one of a latest_only channel supersedes.
package upgrade
