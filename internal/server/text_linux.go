package server

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseText unmaps the program's own text and read-only data: most of what start-up touched is never used
// again, and what is comes back from the page cache at the next use. Only mappings of the program's file that nobody
// has written to are taken (Anonymous: 0), so nothing can be lost; an error leaves things as they are.
func releaseText() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer smaps.Close() //nolint:errcheck // read only
	var from, to uintptr
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 5 && strings.Contains(f[0], "-"):
			from, to = 0, 0
			if len(f) == 6 && f[5] == exe && f[1][1] == '-' {
				if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err != nil {
					return
				}
			}
		case len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && to > from:
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
