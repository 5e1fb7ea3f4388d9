//go:build !unix

package server

import "context"

// onReopen has no signal to wait for here.
func onReopen(ctx context.Context, _ func()) { <-ctx.Done() }

func fileLimit() int { return 0 }
