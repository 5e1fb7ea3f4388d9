package http1

import (
	"bytes"
	"testing"
)

func TestEncodedTag(t *testing.T) {
	for _, tt := range []struct{ own, encoded string }{
		{`"x"`, `W/"x-hfz"`},
		{`""`, `W/"-hfz"`},
		{`"a,b W/ c"`, `W/"a,b W/ c-hfz"`},
		{`W/"x"`, `W/"x"`},
		{`x`, `x`},
		{`"x`, `"x`},
		{`"x" `, `"x" `},
		{``, ``},
	} {
		got := string(AppendEncodedTag(nil, []byte(tt.own)))
		if got != tt.encoded {
			t.Errorf("%s is %s compressed, want %s", tt.own, got, tt.encoded)
		}
		if own := string(OwnTag([]byte(got))); own != tt.own {
			t.Errorf("%s comes back as %s, want %s", got, own, tt.own)
		}
	}
}

func TestMapEntityTags(t *testing.T) {
	for _, tt := range []struct {
		list, want string
		changed    bool
	}{
		{`W/"x-hfz"`, `"x"`, true},
		{` W/"x-hfz" ,, "y",W/"z"`, `"x", "y", W/"z"`, true},
		{`"y", W/"z"`, `"y", W/"z"`, false},
		{`"x-hfz"`, `"x-hfz"`, false}, // a strong one is not ours
		{`*`, `*`, false},
		{`W/"x-hfz", bad`, `W/"x-hfz", bad`, false},
		{`W/"x-hfz`, `W/"x-hfz`, false},
		{``, ``, false},
	} {
		got, changed := MapEntityTags([]byte(tt.list), OwnTag)
		if string(got) != tt.want || changed != tt.changed {
			t.Errorf("%s: %s, %v; want %s, %v", tt.list, got, changed, tt.want, tt.changed)
		}
	}
}

// FuzzEntityTags: no list makes the parser panic, lose a tag or make up bytes.
func FuzzEntityTags(f *testing.F) {
	f.Add(`W/"x-hfz", "y"`)
	f.Add(`*`)
	f.Add(`"" ,W/""`)
	f.Fuzz(func(t *testing.T, list string) {
		n := 0
		same, changed := MapEntityTags([]byte(list), func(tag []byte) []byte { n++; return tag })
		if changed {
			t.Errorf("%q: changed to %q by nothing", list, same)
		}
		again := 0
		twice, _ := MapEntityTags(same, func(tag []byte) []byte { again++; return tag })
		if !bytes.Equal(same, twice) {
			t.Errorf("%q: %q, then %q", list, same, twice)
		}
	})
}
