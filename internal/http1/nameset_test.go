package http1

import (
	"strings"
	"testing"
)

func TestNameSet(t *testing.T) {
	names := []string{"age", "te", "expect", "content-length", "transfer-encoding", "ETag"}
	s := NewNameSet(names...)
	for _, name := range names {
		for _, spelled := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
			if !s.Has([]byte(spelled)) {
				t.Errorf("the set has no %s", spelled)
			}
		}
		if s.Has([]byte(name+"x")) || s.Has([]byte("x"+name[1:])) || s.Has([]byte(name[1:])) {
			t.Errorf("the set has more than %s", name)
		}
	}
	if s.Has(nil) || (NameSet{}).Has([]byte("age")) || (NameSet{}).Has(nil) {
		t.Error("a set has what it has not got")
	}
	if n := testing.AllocsPerRun(100, func() { s.Has([]byte("Content-Length")) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
