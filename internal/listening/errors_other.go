//go:build !windows

package listening

import "syscall"

// What the system's sockets return.
const (
	errDenied      = syscall.EACCES
	errConnRefused = syscall.ECONNREFUSED
	errAddrInUse   = syscall.EADDRINUSE
)
