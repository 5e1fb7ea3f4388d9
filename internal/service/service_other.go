//go:build !windows

package service

import "io"

// Run runs the program until SIGINT, SIGTERM or SIGQUIT, and returns its error.
func Run(errs io.Writer, program Program) error { return run(errs, program) }
