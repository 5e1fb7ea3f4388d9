// Package park keeps sockets that wait without a goroutine.
//
// Three words. A [Conn] is one socket and lives in a slot of a table indexed by descriptor; a connection that waits is
// its slot and nothing else. A [Loop] is one goroutine that owns a share of the connections; the [Poller] has one loop
// per core. A [Handler] owns a connection at a given time.
//
// # Contract
//
// Readiness is edge-triggered. Handler.Ready is called once when bytes can be read (Readable), when the socket accepts
// bytes again (Writable), when the peer has closed its side or the connection broke (HangUp), or when the deadline has
// passed (Expired). A handler that gets Readable and does not read until ErrAgain gets no other event for these bytes;
// later it just tries to read. Read and Write never block: ErrAgain means "wait for Ready". Events may be spurious.
//
// A connection belongs to its loop. Every method of Conn, and every call to a Handler, runs on that loop's goroutine,
// so nothing about a connection needs a lock. Other goroutines have exactly three ways to it: Loop.Post, Ref.Post and a
// Stream. A Handler must not block: work that may block (files, DNS, a request to the app) goes to Poller.Go, and its
// result comes back by Post.
//
// Hold passes a connection on: the new Handler owns it until it passes it on or closes it, and the old one gets no more
// events. Stream gives a connection to one worker goroutine for blocking reads and writes with deadlines;
// Stream.Release gives it back to the loop.
//
// Descriptor numbers are reused at once. Every slot has a generation that changes when it is opened and when it is
// closed; kernel events, Refs and Streams carry it, and an outdated one is dropped, so no byte and no event of one
// connection reaches another.
//
// Deadlines are coarse: they fire up to one tick (100 ms) late, never early, and cost no timer.
//
// Connections can move to another process, on Linux. Freeze stops the loops between two events; nothing is lost by that, as
// the kernel keeps what it has to report. The other process gets the descriptor and adopts it, and this one releases its
// own: the peer notices nothing.
//
// # Platforms
//
// On Linux a loop is an epoll set whose own descriptor waits in Go's netpoller: a goroutine blocked in epoll_wait would
// cost an OS thread and a fifth of the throughput. Elsewhere, and on Linux with the build tag park_plain, the same
// contract is met by two goroutines per connection. Cost promises are for Linux only.
package park
