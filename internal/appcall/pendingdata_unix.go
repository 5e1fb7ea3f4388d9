//go:build linux || darwin || freebsd || netbsd || openbsd

package appcall

import (
	"net"
	"syscall"
)

// noPendingData reports whether the peer has neither sent anything nor closed its side. It does not wait.
func noPendingData(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	again := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		again = err == syscall.EAGAIN
		return true
	})
	return err == nil && again
}
