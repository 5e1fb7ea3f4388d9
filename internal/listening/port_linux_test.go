package listening

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// portOf returns the end of the address of a descriptor.
func portOf(t *testing.T, fd int) string {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(":", sa.(*unix.SockaddrInet4).Port)
}
