// Package load is the load generator: sockets on one epoll loop in one goroutine, with clients on top that
// repeat a request, or hold a connection and count what arrives. Every peer is driven by this and nothing else.
//
// Nothing here is safe for use by two goroutines; all callbacks run on the goroutine that calls Loop.Run.
package load
