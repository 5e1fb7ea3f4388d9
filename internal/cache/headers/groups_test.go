package headers

import (
	"strings"
	"testing"
)

func TestGroups(t *testing.T) {
	long := strings.Repeat("x", maxGroup)
	many := `Cache-Groups: "g"` + strings.Repeat(`, "g"`, MaxGroups-1)
	for _, c := range []struct {
		fields, want string
		bad          bool
	}{
		{"", "", false},
		{`Cache-Groups: "a", "b"`, "a b", false},
		{"Cache-Groups: \"a\"\ncache-groups: \"b\";x", "a b", false},
		{"Cache-Groups: \"a\"\nCache-Groups: b", "", false},
		{`Cache-Groups: a`, "", false},
		{`Cache-Groups: "` + long + `"`, long, false},
		{`Cache-Groups: "` + long + `x"`, "", true},
		{many, strings.TrimSpace(strings.Repeat("g ", MaxGroups)), false},
		{many + `, "g"`, "", true},
	} {
		list, ok := Groups(fieldsOf(t, c.fields))
		if got := strings.Join(list, " "); got != c.want || ok == c.bad {
			t.Errorf("%.60s: %.60q, %v", c.fields, got, ok)
		}
	}
	if got := InvalidatedGroups(fieldsOf(t, strings.Replace(many, "Cache-Groups", "Cache-Group-Invalidation", 1)+`, "h"`)); len(got) != MaxGroups+1 {
		t.Errorf("%d groups are invalidated", len(got))
	}
}
