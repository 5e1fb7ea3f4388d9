package listening

import "golang.org/x/sys/windows"

// What the system's sockets return: package syscall has its own numbers for the names of unix, and no socket returns them.
const (
	errDenied      = windows.WSAEACCES
	errConnRefused = windows.WSAECONNREFUSED
	errAddrInUse   = windows.WSAEADDRINUSE
)
