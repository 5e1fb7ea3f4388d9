package headers

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// show writes what directives say that is not the default.
func show(d Directives) string {
	var b []string
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"no-store", d.NoStore}, {"no-cache", d.NoCache}, {"private", d.Private}, {"public", d.Public},
		{"must-revalidate", d.MustRevalidate}, {"proxy-revalidate", d.ProxyRevalidate},
		{"must-understand", d.MustUnderstand}, {"only-if-cached", d.OnlyIfCached}, {"malformed", d.Malformed},
	} {
		if f.is {
			b = append(b, f.name)
		}
	}
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"max-age", d.MaxAge}, {"s-maxage", d.SharedMaxAge}, {"swr", d.StaleUpdating}, {"sie", d.StaleFail}, {"min-fresh", d.MinFresh},
	} {
		if f.v != Absent {
			b = append(b, fmt.Sprintf("%s=%d", f.name, f.v))
		}
	}
	for _, h := range d.Hidden {
		b = append(b, "-"+string(h))
	}
	return strings.Join(b, " ")
}

// TestDirectives: what forbids is read generously, what allows strictly.
func TestDirectives(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"", ""},
		{"max-age=3600", "max-age=3600"},
		{"MaX-aGe=3600", "max-age=3600"},
		{"max-age=003600", "max-age=3600"},
		{`max-age="3600"`, "max-age=3600"},
		{"foobar, max-age=3600", "max-age=3600"},
		{`foo="bar, baz", max-age=3600`, "max-age=3600"},
		{`extension="max-age=3600", max-age=1`, "max-age=1"},
		{`max-age=1, extension="no-store"`, "max-age=1"},
		{`extension="a\", no-store", max-age=2`, "max-age=2"},
		{",, max-age=5 ,\t, public,", "public max-age=5"},

		// What can't be read is stale.
		{"max-age=", "max-age=0"},
		{"max-age", "max-age=0"},
		{"max-age=-1", "max-age=0"},
		{"max-age=+1", "max-age=0"},
		{"max-age='60'", "max-age=0"},
		{"max-age=60.0", "max-age=0"},
		{"max-age=60a", "max-age=0"},
		{"max-age=a60", "max-age=0"},
		{"max-age =60", "max-age=0"},
		{"max-age= 60", "max-age=0"},
		{`max-age=" 60"`, "max-age=0"},
		{`max-age="60`, "malformed"},
		{`max-age="60"x`, "max-age=60 malformed"},
		{"s-maxage=x", "s-maxage=0"},

		// Twice.
		{"max-age=60, max-age=60", "max-age=60"},
		{"max-age=1800, max-age=1", "max-age=0"},
		{"max-age=1, max-age=1800", "max-age=0"},

		// Large.
		{"max-age=2147483647", "max-age=2147483647"},
		{"max-age=2147483648", "max-age=2147483648"},
		{"max-age=2147483649", "max-age=2147483648"},
		{"max-age=99999999999999999999999999999999999999999", "max-age=2147483648"},
		{"max-age=18446744073709551616", "max-age=2147483648"},

		{"No-StOrE", "no-store"},
		{"no-store=1", "no-store"},
		{"x, PRIVATE , y", "private"},
		{`private="set-cookie"`, "private"},
		{"no-cache", "no-cache"},
		{`no-cache=""`, "no-cache"},
		{`no-cache="a"`, "-a"},
		{`no-cache="A, b"`, "-A -b"},
		{"no-cache=a", "-a"},
		{`no-cache="a b"`, "no-cache"},
		{`no-cache="a", no-cache`, "no-cache -a"},
		{`private="a, no-store`, "malformed"},
		{"public=1", ""},
		{"not-no-store, xprivate", ""},

		// As they are written by mistake.
		{"no-cache no-store must-revalidate", "no-store no-cache must-revalidate"},
		{"private; max-age=3600", "private max-age=3600"},
		{"max-age=60; public", "public max-age=60"},
		{"max-age=60 private", "private max-age=60"},

		{"must-revalidate, proxy-revalidate, must-understand, only-if-cached", "must-revalidate proxy-revalidate must-understand only-if-cached"},
		{"s-maxage=1, stale-while-revalidate=2, stale-if-error=3, min-fresh=4", "s-maxage=1 swr=2 sie=3 min-fresh=4"},
	} {
		got := show(ParseDirectives([]http1.Field{{Name: []byte("Cache-Control"), Value: []byte(c.value)}}))
		sortedWant := c.want
		if !sameWords(got, sortedWant) {
			t.Errorf("%s: %s; want %s", c.value, got, c.want)
		}
	}
}

// sameWords compares texts of words in any order.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestDirectivesOfLines: the lines of the field are one list, and dropped ones do not count.
func TestDirectivesOfLines(t *testing.T) {
	fields := fieldsOf(t, "Cache-Control: max-age=5\nX: y\ncache-control: no-store\nCACHE-CONTROL: max-age=6")
	if got := show(ParseDirectives(fields)); got != "no-store max-age=0" {
		t.Errorf("%s; want no-store max-age=0", got)
	}
	fields[2].Drop, fields[3].Drop = true, true
	if got := show(ParseDirectives(fields)); got != "max-age=5" {
		t.Errorf("%s; want max-age=5", got)
	}
}

// FuzzDirectives: times are in their range, and a no-store or private that stands alone is never missed, whatever comes
// before it, unless that opens a quoted string.
func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{
		"max-age=60, public", `private="a, b", no-cache="c\"", s-maxage=1`, `a="`, "no-store no-cache;x=y", "===,=\",\"=", "max-age==1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d := noDirectives
		d.parse(line)
		for _, v := range []int64{d.MaxAge, d.SharedMaxAge, d.StaleUpdating, d.StaleFail, d.MinFresh} {
			if v < Absent || v > MaxSeconds {
				t.Fatalf("%q: a time of %d", line, v)
			}
		}
		for _, word := range []string{"no-store", "private"} {
			d = noDirectives
			d.parse(append(append([]byte{}, line...), ", "+word...))
			if !d.Malformed && (word == "no-store" && !d.NoStore || word == "private" && !d.Private) {
				t.Fatalf("%q and %s: not seen, and not malformed", line, word)
			}
		}
	})
}
