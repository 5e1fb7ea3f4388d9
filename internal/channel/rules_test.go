package channel

import (
	"slices"
	"strings"
	"testing"
)

func TestValidSubscription(t *testing.T) {
	for name, want := range map[string]string{
		"*": "", "**": "", "a.*": "", "a.**": "", "a.b-c.**": "", "a": "",
		"a*": "whole last segment", "a.b*": "whole last segment", "***": "whole last segment", "a.***": "whole last segment", "a.*.b": "at byte 3", "*.b": "at byte 1",
		"**.a": "at byte 1", "a.*.*": "at byte 3", "a.**.*": "at byte 3", ".*": "empty", "a..*": "ends with a dot", "": "empty",
		"{user}.*": "at byte 1", "a .*": "at byte 2",
		strings.Repeat("a", 252) + ".**": "", strings.Repeat("a", 253) + ".**": "256 bytes",
	} {
		err := ValidSubscription(name)
		if got := text(err); (want == "") != (err == nil) || !strings.Contains(got, want) {
			t.Errorf("%.40s: %v; want %q", name, err, want)
		}
	}
}

// grown returns every list of one to n segments.
func grown(n int, segments ...string) (all []string) {
	words := []string{""}
	for range n {
		var longer []string
		for _, w := range words {
			for _, s := range segments {
				longer = append(longer, strings.TrimPrefix(w+"."+s, "."))
			}
		}
		words = longer
		all = append(all, words...)
	}
	return all
}

// Over short rules and patterns: a pattern is allowed exactly if every name that it matches has the same rule, which has
// wildcards and gives all of them to the same user or to no user in particular.
func TestSubscription(t *testing.T) {
	names := grown(4, "a", "b", "c")
	patterns := slices.DeleteFunc(append(grown(3, "a", "b", "*", "**"), "*", "**"), func(p string) bool { return !IsPattern(p) || ValidSubscription(p) != nil })
	rules := slices.DeleteFunc(grown(3, "a", "*", "**", userSegment), func(p string) bool { return ValidRule(p) != nil })
	allowed := 0
	for _, first := range rules {
		for _, second := range rules {
			c := Compile([]Rule{{Match: first, Wildcards: len(first)%2 == 0}, {Match: second, Wildcards: true}})
			for _, p := range patterns {
				want, owners := true, map[string]bool{}
				var rule *Rule
				for _, name := range names {
					if !match(p, name) {
						continue
					}
					r, ok := c.Rule(name)
					owner, owned := c.Owner(name)
					if !owned {
						owner = "nobody in particular"
					}
					owners[owner] = true
					want = want && ok && r.Wildcards && (rule == nil || r == rule)
					rule = r
				}
				want = want && len(owners) == 1
				r, ok := c.Subscription(p)
				if ok != want || ok && r != rule {
					t.Fatalf("rules %s %s: pattern %s is allowed: %v; want %v", first, second, p, ok, want)
				}
				if ok {
					allowed++
				}
				if owner, owned := c.Owner(p); ok && (owned && !owners[owner] || !owned && !owners["nobody in particular"]) {
					t.Fatalf("rules %s %s: pattern %s is of %q, %v; want %v", first, second, p, owner, owned, owners)
				}
			}
		}
	}
	if allowed < 100 {
		t.Errorf("only %d were allowed", allowed)
	}
}

// Over short patterns and names: Within is true exactly if the pattern matches all of the other.
func TestWithin(t *testing.T) {
	names := grown(4, "a", "b", "c")
	parts := slices.DeleteFunc(grown(3, "a", "b", "*", "**"), func(p string) bool { return ValidSubscription(p) != nil })
	for _, pattern := range parts {
		for _, part := range parts {
			want := IsPattern(pattern) && !slices.ContainsFunc(names, func(name string) bool { return match(part, name) && !match(pattern, name) })
			if got := Within(pattern, part); got != want {
				t.Errorf("%s within %s: %v; want %v", part, pattern, got, want)
			}
		}
	}
	for _, bad := range []string{"a.{user}", "a.b c", "a.", "a.*.b", "a.b*"} {
		if Within("a.**", bad) {
			t.Errorf("%q is a part of a pattern", bad)
		}
	}
}

func TestRuleOfPattern(t *testing.T) {
	c := Compile([]Rule{{Match: "**", Wildcards: true}})
	if _, ok := c.Rule("a.*"); ok {
		t.Error("a.* has the rule of a channel")
	}
	if !c.AllowsPattern("a.*") || c.AllowsPattern("a") || c.AllowsPattern("a*") || (*Rules)(nil).AllowsPattern("a.*") {
		t.Error("patterns are not told from channels")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
