// Package accesslog writes the access log: a line for every request, as nginx's combined format byte for
// byte, or as JSON.
//
// A request is rendered in two steps, so that nothing of its head has to be kept while it runs but the
// bytes of its line: Begin when the head is known, End when all is over. No cookie, no Authorization and
// no body ever reaches the log; of the login only the user's name, as in nginx.
//
// End never blocks: lines gather in memory and Serve writes them. If the disk does not keep up, lines
// beyond 4 MB are dropped and counted.
package accesslog
