// Package accesslog writes the access log: a line for every request, as nginx's combined format byte for byte, or as
// JSON.
//
// A request is rendered in two steps, so that only the bytes of its line are stored while it runs: Begin when the head
// is known, and End at its end. No cookie, no Authorization and no body is logged, except the user name of Basic, as in
// nginx.
//
// End never blocks: lines are queued in memory, and Serve writes them. If the disk is too slow, lines beyond 4 MB are
// dropped and counted.
package accesslog
