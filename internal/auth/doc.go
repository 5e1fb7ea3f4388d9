// Package auth decides who may subscribe to which channels. It has no sockets and does no I/O: whoever needs the app's
// answer asks for it and brings it here.
package auth
