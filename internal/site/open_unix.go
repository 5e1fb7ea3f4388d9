//go:build unix

package site

import (
	"os"
	"syscall"
)

// openFlags do not wait for the other end of a pipe.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK
