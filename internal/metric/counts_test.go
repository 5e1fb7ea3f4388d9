package metric

import (
	"maps"
	"testing"
)

// TestStatuses: what several loops have counted is added up by code.
func TestStatuses(t *testing.T) {
	var a, b Statuses
	for _, code := range []int{100, 200, 200, 599, 99, 600, 0} {
		a.Add(code)
	}
	b.Add(200)
	sums := map[string]int64{}
	a.AddTo(sums)
	b.AddTo(sums)
	if want := map[string]int64{"100": 1, "200": 3, "599": 1, "other": 3}; !maps.Equal(sums, want) {
		t.Errorf("counted %v, want %v", sums, want)
	}
}
