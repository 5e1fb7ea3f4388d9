package channel

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// match is what a compiled pattern says.
func match(pattern, name string) bool {
	m := compile(pattern)
	return m.match(name)
}

func TestMatcher(t *testing.T) {
	for _, c := range []struct {
		pattern, names, not string
	}{
		{"orders.42", "orders.42", "orders orders.4 orders.42.x orders.421 xorders.42"},
		{"orders.*", "orders.42 orders.x", "orders orders.42.items order.42"},
		{"orders.**", "orders.42 orders.42.items", "orders ordersx.42 a.b"},
		{"*.news", "de.news", "news de.at.news de.newss"},
		{"a.*.c", "a.b.c", "a.c a.b.b.c a.b.c.d"},
		{"a.*.**", "a.b.c a.b.c.d", "a.b a"},
		{"*", "a user:7@x/y=z+~-_", "a.b"},
		{"**", "a a.b a.b.c", ""},
		{"A", "A", "a"},
		// A pattern that ValidRule refuses matches nothing, rather than something.
		{"a.**.b", "", "a.x.b a.b a.x"},
		{"", "", "a"},
	} {
		for name := range strings.FieldsSeq(c.names) {
			if !match(c.pattern, name) {
				t.Errorf("%s does not match %s", c.pattern, name)
			}
		}
		for name := range strings.FieldsSeq(c.not) {
			if match(c.pattern, name) {
				t.Errorf("%s matches %s", c.pattern, name)
			}
		}
	}
}

// Over every short pattern and name: Covers(p, q) is true exactly if p matches all that q does.
func TestCovers(t *testing.T) {
	var names, patterns []string
	grow := func(words, segments []string) []string {
		var longer []string
		for _, w := range words {
			for _, s := range segments {
				longer = append(longer, strings.TrimPrefix(w+"."+s, "."))
			}
		}
		return longer
	}
	for level, words := 0, []string{""}; level < 4; level++ {
		words = grow(words, []string{"a", "b", "c"})
		names = append(names, words...)
	}
	for level, words := 0, []string{""}; level < 3; level++ {
		patterns = append(patterns, grow(words, []string{"**"})...)
		words = grow(words, []string{"a", "b", "*"})
		patterns = append(patterns, words...)
	}
	for _, wide := range patterns {
		for _, narrow := range patterns {
			want := true
			for _, name := range names {
				if match(narrow, name) && !match(wide, name) {
					want = false
				}
			}
			if got := Covers(wide, narrow); got != want {
				t.Errorf("Covers(%s, %s) = %v, want %v", wide, narrow, got, want)
			}
		}
	}
}

func TestRule(t *testing.T) {
	c := Compile([]Rule{{Match: "a.b"}, {Match: "a.*"}, {Match: "a.**"}})
	if _, ok := (*Rules)(nil).Rule("a.b"); ok {
		t.Error("no rules allow somebody to subscribe")
	}
	for name, want := range map[string]int{"a.b": 0, "a.c": 1, "a.b.c": 2, "a": -1, "b": -1} {
		got := -1
		for i := range c.list {
			if rule, ok := c.Rule(name); ok && rule == &c.list[i].Rule {
				got = i
			}
		}
		if got != want {
			t.Errorf("%s: rule %d, want %d", name, got, want)
		}
	}
}

// manyRules are rules of which the last matches the channel, behind n that do not.
func manyRules(n int) (rules *Rules, channel string) {
	list := []Rule{{Match: "user.{user}"}}
	for i := range n {
		list = append(list, Rule{Match: fmt.Sprintf("shop.%d.*", i)})
	}
	return Compile(append(list, Rule{Match: "shop.*.orders.**"})), "shop.77.orders.2024.items"
}

func TestRuleDoesNotAllocate(t *testing.T) {
	c, channel := manyRules(20)
	var ok bool
	if n := testing.AllocsPerRun(100, func() { _, ok = c.Rule(channel) }); n != 0 || !ok {
		t.Errorf("%v allocations per Rule, found: %v", n, ok)
	}
	var err error
	if n := testing.AllocsPerRun(100, func() { err = ValidName(channel) }); n != 0 || err != nil {
		t.Errorf("%v allocations per ValidName: %v", n, err)
	}
}

func BenchmarkRule(b *testing.B) {
	c, channel := manyRules(20)
	b.ReportAllocs()
	for b.Loop() {
		c.Rule(channel)
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "public.news", "user:7@x/y=z+~-_", strings.Repeat("a", 255), "a.b.c.d"} {
		if err := ValidName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                       "bad channel name: it is empty",
		strings.Repeat("a", 256): "bad channel name: 256 bytes; want at most 255",
		".a":                     "bad channel name: it begins with a dot",
		"a.":                     "bad channel name: it ends with a dot",
		".":                      "bad channel name: it begins with a dot",
		"a..b":                   "bad channel name: an empty segment at byte 3",
		"a b":                    "bad channel name: ' ' at byte 2; want letters, digits and any of ._-:@/=+~",
		"a.*":                    "bad channel name: '*' at byte 3; want letters, digits and any of ._-:@/=+~",
		"a\x1b[31m":              "bad channel name: byte 0x1b at byte 2; want letters, digits and any of ._-:@/=+~",
		"ä":                      "bad channel name: byte 0xc3 at byte 1; want letters, digits and any of ._-:@/=+~",
	} {
		err := ValidName(name)
		if err == nil || err.Error() != want || !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}
