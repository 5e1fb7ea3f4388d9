package upgrade

import (
	"testing"

	"holdfast/internal/hub"
)

// TestGapStaysWhenAWriteEndsInFrontOfIt checks that a gap whose turn has not come, and which so has no bytes yet, is not
// taken for written.
func TestGapStaysWhenAWriteEndsInFrontOfIt(t *testing.T) {
	for written, want := range map[int]int{4: 3, 5: 2} { // bytes taken; pieces that wait then
		x := &held{k: &Keeper{}}
		x.out = &outbox{list: []waiting{{b: []byte("first")}, {m: &hub.Message{Channel: "a"}}, {b: []byte("last")}}}
		x.written(written)
		if n := len(x.out.list); n != want || !x.out.list[n-2].isGap() {
			t.Errorf("after %d bytes %d pieces wait, %+v; want %d, with the gap before the last", written, n, x.out.list, want)
		}
	}
}
