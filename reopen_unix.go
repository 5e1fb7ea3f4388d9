//go:build unix

package main

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
