package occupancy

import (
	"slices"
	"testing"
)

// TestChanges checks that a channel is in the list once, with what it was and what it is.
func TestChanges(t *testing.T) {
	var o Changes
	for range 2 {
		o.Note("a", true)
		o.Note("b", false)
		o.Note("a", false)
		o.Note("c", true)
		o.Note("a", true)
		want := []Change{{"a", false, true}, {"b", true, false}, {"c", false, true}}
		if got := o.Take(); !slices.Equal(got, want) {
			t.Errorf("%v; want %v", got, want)
		}
		if got := o.Take(); !o.Empty() || got != nil {
			t.Errorf("%v is left", got)
		}
	}
}
