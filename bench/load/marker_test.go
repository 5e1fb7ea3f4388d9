package load

import (
	"slices"
	"testing"
)

func TestMarkers(t *testing.T) {
	stream := "data: " + string(Payload(1, 128)) + "\n\nid: 00000042\n: a comment\n\n" +
		`{"pub":{"data":"` + string(Payload(0xdeadbeef, 9)) + `"}}` +
		"@00@0000000" + string(Payload(7, 20)) + // a sign that is no message's, and the next that is
		"@1234567g" // and one that only looks like it
	want := []uint32{1, 0xdeadbeef, 7}
	for size := 1; size <= len(stream); size++ {
		var m Markers
		var got []uint32
		for rest := []byte(stream); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			m.Feed(rest[:min(size, len(rest))], func(n uint32) { got = append(got, n) })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d bytes at a time: %x, want %x", size, got, want)
		}
	}
}

func TestPayload(t *testing.T) {
	if got := string(Payload(0x1a2, 12)); got != "@000001a2xxx" {
		t.Errorf("got %q", got)
	}
}
