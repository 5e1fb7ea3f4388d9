//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package hooks

import "net"

// quiet cannot look here; every question gets a new connection.
func quiet(net.Conn) bool { return false }
