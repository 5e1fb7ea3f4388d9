package linked

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestList: among random steps, a list has what a slice has.
func TestList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l List[int]
	var want []*Node[int]
	for i := range 10_000 {
		if len(want) == 0 || r.IntN(5) < 3 && len(want) < 20 {
			n := &Node[int]{Value: i}
			l.Add(n)
			want = append(want, n)
		} else {
			at := r.IntN(len(want))
			n := want[at]
			l.Remove(n)
			want = slices.Delete(want, at, at+1)
			if r.IntN(2) == 0 {
				l.Add(n)
				want = append(want, n)
			}
		}
		at := 0
		for n := l.First(); n != nil; n = n.Next() {
			if at == len(want) || n != want[at] {
				t.Fatalf("after %d steps, element %d is %d", i, at, n.Value)
			}
			at++
		}
		if at != len(want) || l.Len() != at {
			t.Fatalf("after %d steps, %d elements, %d by Len; want %d", i, at, l.Len(), len(want))
		}
	}
}
