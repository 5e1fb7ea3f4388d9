package metric

import (
	"errors"
	"io"
	"math"
	"os"
	"syscall"
)

// Descriptors returns how many descriptors the process has open, and how many it may have; false if that is not known. Linux
// 6.2 and later has the number as the size of a directory. Before, they are counted, which takes 0.2 s for a million.
func Descriptors() (open, limit int64, ok bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, 0, false
	}
	limit = int64(min(r.Cur, math.MaxInt64))
	s, err := os.Stat(descriptorsDir)
	if err != nil {
		return 0, 0, false
	}
	if open = s.Size(); open == 0 {
		open, err = countDescriptors()
	}
	return open, limit, err == nil
}

const descriptorsDir = "/proc/self/fd"

func countDescriptors() (n int64, err error) {
	f, err := os.Open(descriptorsDir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		n += int64(len(names))
		if errors.Is(err, io.EOF) {
			return n - 1, nil // without the one that reads
		}
		if err != nil {
			return 0, err
		}
	}
}
