//go:build !unix

package main

import "context"

// onReopen has no signal to wait for here.
func onReopen(ctx context.Context, _ func()) { <-ctx.Done() }

func fileLimit() int { return 0 }
