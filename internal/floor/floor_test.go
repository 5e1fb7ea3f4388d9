package floor

import (
	"fmt"
	"slices"
	"testing"

	"holdfast/internal/messageid"
)

// TestSlot checks that names are spread, in another way with another seed, and that the hash stays what it is: files have
// floors by it.
func TestSlot(t *testing.T) {
	const slots = 64
	for _, seed := range []uint32{0, 1, 0xfedcba98} {
		var n [slots]int
		for i := range 100 * slots {
			n[Slot(seed, fmt.Sprint("orders.", i))%slots]++
		}
		if slices.Min(n[:]) < 50 || slices.Max(n[:]) > 200 {
			t.Errorf("seed %d: %v of 100 in each slot", seed, n)
		}
	}
	if a, b := Slot(0, "orders.1"), Slot(1, "orders.1"); a == b || a != Slot(0, []byte("orders.1")) {
		t.Errorf("%d, and with another seed %d", a, b)
	}
	if got := Slot(0, "a"); got != 0xe40c292c^0xe40c292c>>16 {
		t.Errorf("%#x; want that of FNV-1a, folded", got)
	}
}

func TestRestore(t *testing.T) {
	floors := []messageid.ID{1, 2}
	if Restore(floors, []messageid.ID{5, 6}, 9); !slices.Equal(floors, []messageid.ID{5, 6}) {
		t.Error(floors)
	}
	if Restore(floors, []messageid.ID{5}, 9); !slices.Equal(floors, []messageid.ID{9, 9}) {
		t.Error(floors)
	}
}
