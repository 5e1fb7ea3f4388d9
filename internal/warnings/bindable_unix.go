//go:build unix

package warnings

import (
	"errors"
	"net"
	"syscall"
)

// bindable returns an error if this user may not bind an address: mostly for ports below 1024. It does not listen, so that
// nobody connects to it.
func bindable(network, address string) error {
	a, err := net.ResolveTCPAddr(network, address)
	if network == "unix" || err != nil || a.Port == 0 {
		return nil
	}
	family, sa := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(append(make([]byte, 0, 16), a.IP.To16()...)[:16:16])})
	if v4 := a.IP.To4(); v4 != nil {
		family, sa = syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(v4)}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, sa); errors.Is(err, syscall.EACCES) {
		return err
	}
	return nil
}
