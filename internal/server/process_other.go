//go:build !unix

package server

import "context"

// onSignal has no signal to wait for on this system.
func onSignal(ctx context.Context, _, _, _ func()) { <-ctx.Done() }

func fileLimit() int { return 0 }
