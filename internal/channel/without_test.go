package channel

import (
	"slices"
	"testing"
)

func TestWithout(t *testing.T) {
	list := []string{"c", "a", "b"}
	for _, tt := range []struct{ sorted, want []string }{
		{nil, list}, {[]string{"a", "d"}, []string{"c", "b"}}, {[]string{"a", "b", "c"}, nil},
	} {
		if got := Without(list, tt.sorted); !slices.Equal(got, tt.want) {
			t.Errorf("without %v: %v, want %v", tt.sorted, got, tt.want)
		}
	}
}
