package wildcard

import "testing"

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.*", "a.b", true}, {"a.*", "a.b.c", false}, {"a.*", "a", false}, {"a.*", "a.", false}, {"a.*", "b.a", false},
		{"a.**", "a.b", true}, {"a.**", "a.b.c", true}, {"a.**", "a", false}, {"a.**", "ab.c", false},
		{"*", "a", true}, {"*", "a.b", false}, {"**", "a", true}, {"**", "a.b", true},
	} {
		if got := Matches(tt.pattern, tt.name); got != tt.want || !Is(tt.pattern) || Is(tt.name) {
			t.Errorf("%s matches %s: %t; want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}
