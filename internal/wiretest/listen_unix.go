//go:build unix

package wiretest

import "syscall"

func boundSend(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, bufferSize)
}
