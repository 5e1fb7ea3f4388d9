package connection

import "testing"

func TestID(t *testing.T) {
	id := FormatID("ABC", 0x1f, 0xfffffff0)
	if slot, generation, ok := ParseID("ABC", id); id != "ABC-1f-fffffff0" || slot != 0x1f || generation != 0xfffffff0 || !ok {
		t.Errorf("%q: %x, %x, %v", id, slot, generation, ok)
	}
	for _, bad := range []string{"", "ABC", "ABC-1f", "ABD-1f-2", "ABC-1f-2-3", "ABC-1g-2", "ABC-1f-100000000", "ABC-80000000-1", "-1f-2"} {
		if slot, generation, ok := ParseID("ABC", bad); ok {
			t.Errorf("%q: %x, %x", bad, slot, generation)
		}
	}
}
