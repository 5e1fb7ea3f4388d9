//go:build !unix

package warnings

// bindable has nothing to ask on this system.
func bindable(network, address string) error { return nil }
