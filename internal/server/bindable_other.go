//go:build !unix

package server

// bindable has nothing to ask on this system.
func bindable(network, address string) error { return nil }
