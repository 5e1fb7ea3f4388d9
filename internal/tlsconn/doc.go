// Package tlsconn has TLS connections that wait without a goroutine. crypto/tls makes each handshake, on a worker. A
// connection of TLS 1.3 then leaves it: what remains is a session of internal/tlsrecord, a park.Layer of 176 bytes. One
// of TLS 1.2 keeps its tls.Conn, about 7 kB, below the same interface.
package tlsconn
