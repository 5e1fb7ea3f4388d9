//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package appcall

import "net"

// noPendingData cannot check here; every request gets a new connection.
func noPendingData(net.Conn) bool { return false }
