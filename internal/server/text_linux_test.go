package server

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReleaseText: the text that start-up touched is unmapped, and the program goes on with what comes back.
func TestReleaseText(t *testing.T) {
	before := residentText(t)
	releaseText()
	if after := residentText(t); after > before/2 {
		t.Errorf("%d kB of text are resident, of %d before", after, before)
	}
}

// residentText returns the resident kB of the mappings of the program's file that cannot be written.
func residentText(t *testing.T) (kB int) {
	t.Helper()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ours := false
	for line := range strings.Lines(string(smaps)) {
		f := strings.Fields(line)
		if len(f) >= 5 && strings.Contains(f[0], "-") {
			ours = len(f) == 6 && f[5] == exe && f[1][1] == '-'
		}
		if ours && f[0] == "Rss:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			kB += n
		}
	}
	return kB
}
