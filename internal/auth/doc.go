// Package auth decides who may subscribe to which channels. It has no sockets and does no I/O: its callers send the
// requests to the app.
package auth
