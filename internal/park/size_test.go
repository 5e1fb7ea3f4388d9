//go:build linux && !park_plain

package park

import (
	"testing"
	"unsafe"
)

// TestSlotIsSmall: an idle connection is its slot.
func TestSlotIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 72 {
		t.Errorf("a slot has %d bytes; want at most 72", n)
	}
}
