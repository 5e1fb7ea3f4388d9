package config

import (
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// FuzzParse: no file makes Parse panic; an error is an Errors whose lines a terminal can show;
// and what is accepted means the same after it was written and read again. The corpus is small
// files on purpose: from the manual as a seed, the fuzzer spends its time on comments.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("c.yaml", data)
		if err != nil {
			problems, ok := err.(Errors)
			if !ok || len(problems) == 0 || c != nil {
				t.Fatalf("%T %v next to %v", err, err, c)
			}
			for _, p := range problems {
				if hasControl(p.Error()) || !strings.HasPrefix(p.Error(), "c.yaml:") {
					t.Fatalf("%q", p.Error())
				}
			}
			return
		}
		if len(c.Routes)+len(c.Sites) > 0 {
			return // written out, they would have for their own what they take from above
		}
		again, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		c2, err := Parse("again.yaml", again)
		if err == nil {
			c.lines, c2.lines = nil, nil
		}
		if err != nil || !reflect.DeepEqual(c, c2) {
			t.Fatalf("%v\n%+v\n%+v", err, c, c2)
		}
	})
}
