package collector

import "testing"

// TestCollector: a server that is busy for a while gets heapRoom beside its heap, or a quarter of it if that is more.
func TestCollector(t *testing.T) {
	const mb = 1 << 20
	c := Collector{percent: Percent}
	for i, tt := range []struct {
		allocated uint64 // MB since the call before
		live      uint64 // MB
		want      int
	}{
		{10, 4, 25}, {500, 4, 25}, {500, 4, 25}, {10, 4, 25}, // a short storm
		{48, 4, 25}, {48, 4, 25}, {48, 4, 400}, {48, 5, 320}, {48, 8, 200}, {48, 100, 25}, {48, 4, 400}, {47, 4, 25},
		{500, 0, 25}, {500, 0, 25}, {500, 0, 1600}, {0, 0, 25},
	} {
		got := c.next(c.allocated+tt.allocated*mb, tt.live*mb)
		if got != tt.want {
			t.Errorf("call %d: %d %%, want %d", i, got, tt.want)
		}
		c.percent = got
	}
}
