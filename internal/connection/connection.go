// Package connection describes held connections to those who list, change or close them, and to those who are notified
// of them.
package connection

import "net/netip"

// Info is a held connection.
type Info struct {
	ID         string         `json:"id"`             // opaque, and never another's
	User       string         `json:"user,omitempty"` // named by the app or a token; empty: none
	Transport  string         `json:"transport"`      // websocket, sse, ndjson or longpoll
	Channels   []string       `json:"channels"`
	RemoteAddr netip.AddrPort `json:"remote_addr,omitzero"` // the other end, perhaps a proxy; invalid on a unix socket
}

// Selection says which connections are meant: those of which all that is given is true.
type Selection struct {
	Connection, User, Channel string
}
