// Package service runs the program until it is to end: by a signal, or, as a service of Windows, by the service manager.
package service

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Program is what Run runs. It ends when ctx does, logs to errs, and calls ready once it serves.
type Program func(ctx context.Context, errs io.Writer, ready func()) error

// run runs the program until SIGINT, SIGTERM or SIGQUIT. On Windows, Ctrl-C and Ctrl-Break are SIGINT, and a console that is
// closed is SIGTERM.
func run(errs io.Writer, program Program) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	return program(ctx, errs, func() {})
}
