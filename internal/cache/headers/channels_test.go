package headers

import (
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// TestChannels: a list is read over several fields, without what is for the client, and not from a field that goes no further.
func TestChannels(t *testing.T) {
	field := func(value string) http1.Field { return http1.Field{Name: []byte("PUSH-Channel"), Value: []byte(value)} }
	dropped := field("hidden")
	dropped.Drop = true
	for _, tt := range []struct {
		fields []http1.Field
		want   string
		ok     bool
	}{
		{nil, "", true},
		{[]http1.Field{field("a; fresh=60 ,, b"), dropped, field(" ;x"), field("c")}, "a b c", true},
		{[]http1.Field{field(strings.Repeat("a,", MaxGroups))}, strings.TrimSpace(strings.Repeat("a ", MaxGroups)), true},
		{[]http1.Field{field(strings.Repeat("a,", MaxGroups+1))}, strings.TrimSpace(strings.Repeat("a ", MaxGroups+1)), false},
	} {
		if list, ok := Channels(tt.fields); strings.Join(list, " ") != tt.want || ok != tt.ok {
			t.Errorf("%q, %v; want %q, %v", list, ok, tt.want, tt.ok)
		}
	}
}
