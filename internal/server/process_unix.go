//go:build unix

package server

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onSignal calls takeOver at every SIGUSR2, reload at every SIGHUP, and reopen at every SIGUSR1, until ctx ends.
func onSignal(ctx context.Context, takeOver, reload, reopen func()) {
	signalc := make(chan os.Signal, 4)
	signal.Notify(signalc, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
	defer signal.Stop(signalc)
	for {
		select {
		case s := <-signalc:
			switch s {
			case syscall.SIGUSR2:
				takeOver()
			case syscall.SIGHUP:
				reload()
			default:
				reopen()
			}
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
