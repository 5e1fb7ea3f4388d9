package listening

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"holdfast/internal/config/value"
	"holdfast/internal/warnings"
)

// Name returns the name of a listener, for Set.Inherit.
func Name(network, address string) string { return network + " " + address }

// Listen opens the listener of a key of the configuration, or takes that of another process. It replaces a socket left by
// a process that is gone, and no other file.
func (x *Set) Listen(key, network, address string) (net.Listener, error) {
	if x.Inherit != nil {
		if ln, err := x.Inherit(Name(network, address)); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		} else if ln != nil {
			return ln, nil
		}
	}
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	ln, err := net.Listen(network, address)
	if errors.Is(err, errDenied) && network != "unix" {
		return nil, fmt.Errorf("%s: %w: %s", key, err, warnings.PortHint)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return ln, nil
}

// removeStale removes a unix socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing is there, or Listen says why nothing can be
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket: want a path where there is no file", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		return c.Close()
	}
	if errors.Is(err, errConnRefused) {
		return os.Remove(path)
	}
	return nil
}

func errOwn(err error) error { return fmt.Errorf("a socket for requests to the app: %w", err) }

// explainLocked says that an address can't be opened because of one that is open until then.
func (x *Set) explainLocked(err error, address value.Listen) error {
	if !errors.Is(err, errAddrInUse) {
		return err
	}
	for _, l := range x.clients {
		if value.Overlap(value.Listen{Network: family(l.network), Address: l.address}, address) {
			return fmt.Errorf("%w: it overlaps %s, which stays open until this is in use: take another port in between, or restart Holdfast", err, l.address)
		}
	}
	return err
}

// family returns the network as the configuration has it.
func family(network string) string {
	if network == "tcp4" || network == "tcp6" {
		return "tcp"
	}
	return network
}
