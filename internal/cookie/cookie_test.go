package cookie

import (
	"slices"
	"testing"

	"holdfast/internal/http1"
)

// TestNames: what one app or another may read as a name counts for whose an answer is, and not for who is let in.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		wanted, name string
		is, mayBe    bool
	}{
		{"sid", "sid", true, true},
		{"sid", "SID", false, true},
		{"sid", "sid2", false, false},
		{"sid", "si", false, false},
		{"sid", "", false, false},
		{"PHP_SESS", "PHP.SESS", false, true},
		{"PHP_SESS", "PHP SESS", false, true},
		{"PHP_SESS", "PHP+SESS", false, true},
		{"PHP_SESS", "PHP[SESS", false, true},
		{"sid", "%73id", false, true},
		{"sid", "other%20", false, true},
		{"wp_*", "wp_", true, true},
		{"wp_*", "wp_logged_in", true, true},
		{"wp_*", "WP.logged_in", false, true},
		{"wp_*", "wp", false, false},
		{"*", "x", true, true},
	} {
		if is, mayBe := Is(c.wanted, []byte(c.name)), MayBe(c.wanted, []byte(c.name)); is != c.is || mayBe != c.mayBe {
			t.Errorf("%q as %q: is %v, may be %v; want %v, %v", c.name, c.wanted, is, mayBe, c.is, c.mayBe)
		}
	}
}

// TestCookies: every cookie is met that any app may see.
func TestCookies(t *testing.T) {
	fields := []http1.Field{
		{Name: []byte("Cookie"), Value: []byte(`a=1; b="2, c=3" ;; =4; d`)},
		{Name: []byte("X-Cookie"), Value: []byte("no=1")},
		{Name: []byte("cookie"), Value: []byte("no=2"), Drop: true},
		{Name: []byte("COOKIE"), Value: []byte("e=5")},
	}
	var got []string
	c := Cookies{Fields: fields}
	for name, value, ok := c.Next(); ok; name, value, ok = c.Next() {
		got = append(got, string(name)+"="+string(value))
	}
	if want := []string{"a=1", `b="2`, `c=3"`, "d=", "e=5"}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

// TestCredential: quotes and blanks around a value do not matter, nor how the name is spelled; both count.
func TestCredential(t *testing.T) {
	of := func(wanted, name, value string) uint64 { return Credential(wanted, []byte(name), []byte(value)) }
	c := of("a_sid", "a_sid", "x")
	for _, same := range []uint64{of("a_sid", "a_sid", ` "x" `), of("a_sid", "A.SID", "x"), of("a_sid", "a%5fsid", "x"), of("a_*", "a_sid", "x")} {
		if c == 0 || c != same {
			t.Error("a session is told from itself")
		}
	}
	if c == of("a_*", "a_sid2", "x") || c == of("a_sid", "a_sid", "y") {
		t.Error("two sessions are not told apart")
	}
	if of("a_sid", "a_sid", "") != 0 || of("a_sid", "a_sid", `""`) != 0 {
		t.Error("a cookie without a value is a session")
	}
}
