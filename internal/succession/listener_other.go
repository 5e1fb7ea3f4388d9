//go:build !linux

package succession

import "holdfast/internal/takeover"

// descriptor fails: listeners do not move on this system.
func (*Listener) descriptor() (fd int, release func(), err error) {
	return 0, nil, takeover.ErrUnsupported
}
