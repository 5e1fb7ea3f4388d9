package metric

import (
	"os"
	"testing"
)

// TestDescriptors: both ways count the same, and see one more when there is one more.
func TestDescriptors(t *testing.T) {
	look := func() (open int64) {
		open, limit, ok := Descriptors()
		counted, err := countDescriptors()
		if !ok || err != nil || open != counted || open < 3 || limit <= open {
			t.Fatalf("%d of %d open, %v; counted %d, %v", open, limit, ok, counted, err)
		}
		return open
	}
	look() // the first open file makes the runtime open some of its own
	before := look()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if now := look(); now != before+1 {
		t.Errorf("%d open with one more, %d before", now, before)
	}
	f.Close()
	if now := look(); now != before {
		t.Errorf("%d open afterwards, %d before", now, before)
	}
}
