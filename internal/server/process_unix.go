//go:build unix

package server

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onReopen calls f at every SIGUSR1 until ctx ends.
func onReopen(ctx context.Context, f func()) {
	usr1c := make(chan os.Signal, 1)
	signal.Notify(usr1c, syscall.SIGUSR1)
	defer signal.Stop(usr1c)
	for {
		select {
		case <-usr1c:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// fileLimit is how many descriptors the process may have; 0 if that is not known.
func fileLimit() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil || r.Cur > 1<<30 {
		return 0
	}
	return int(r.Cur)
}
