package channel

import (
	"errors"
	"fmt"
	"strings"
)

// userSegment stands for the client's user in one segment of a rule's pattern.
const userSegment = "{user}"

// ValidRule returns nil for the pattern of a rule: a name in which * stands for a segment, a last ** for one or more, and
// one {user} for the client's user.
func ValidRule(pattern string) error {
	if len(pattern) > maxName {
		return fmt.Errorf("%d bytes; want at most %d", len(pattern), maxName)
	}
	rest, more := pattern, true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, ".")
		switch {
		case segment == "":
			return fmt.Errorf("%s has an empty segment", show(pattern))
		case segment == "**" && more:
			return fmt.Errorf("%s has ** before its end; it stands for all the segments that remain", show(pattern))
		case segment == "*" || segment == "**":
		case segment == userSegment && strings.Count("."+pattern+".", "."+userSegment+".") == 1:
			continue
		case strings.Contains(segment, "*"):
			return fmt.Errorf("%s has * beside other characters; it stands for a whole segment", show(pattern))
		}
		for i := range len(segment) {
			if c := segment[i]; c != '*' && !isNameByte(c) && !isEscape(segment[i:]) {
				return fmt.Errorf("%s has %s; want letters, digits, %s., * and **", show(pattern), showByte(c), nameMarks)
			}
		}
	}
	return nil
}

// ValidGrant returns nil for a pattern that a token may list: as in a rule, but without {user}.
func ValidGrant(pattern string) error {
	if pattern == "" {
		return errors.New("it is empty")
	}
	if strings.Contains(pattern, "{") {
		return fmt.Errorf("%s has a brace", show(pattern))
	}
	return ValidRule(pattern)
}

// HasUser reports whether the pattern of a rule has {user} in it.
func HasUser(pattern string) bool { return userIndex(pattern) >= 0 }

// Within reports whether name, a channel or a pattern, is valid and a part of what the pattern matches.
func Within(pattern, name string) bool {
	return IsPattern(pattern) && ValidSubscription(name) == nil && Covers(pattern, name)
}

// Covers reports whether every name that narrow matches is matched by wide too.
func Covers(wide, narrow string) bool {
	for {
		w, wideRest, wideMore := strings.Cut(wide, ".")
		if w == "**" {
			return true
		}
		n, narrowRest, narrowMore := strings.Cut(narrow, ".")
		if n == "**" || w != n && w != "*" && w != userSegment {
			return false
		}
		if !wideMore || !narrowMore {
			return wideMore == narrowMore
		}
		wide, narrow = wideRest, narrowRest
	}
}

// Reserves reports whether no channel is left for the pattern of a later rule, as all that it matches lies among the users'
// own channels of an earlier one; see [Rules.Rule].
func Reserves(earlier, pattern string) bool {
	n := userIndex(earlier)
	if n <= 0 || userIndex(pattern) == n {
		return false
	}
	users := strings.Join(strings.Split(earlier, ".")[:n], ".") + ".**"
	return Covers(users, pattern)
}

// Overlaps reports whether there is a name that both patterns match.
func Overlaps(a, b string) bool {
	for {
		one, aRest, aMore := strings.Cut(a, ".")
		two, bRest, bMore := strings.Cut(b, ".")
		if one == "**" || two == "**" {
			return true
		}
		if one != two && !anySegment(one) && !anySegment(two) {
			return false
		}
		if !aMore || !bMore {
			return aMore == bMore
		}
		a, b = aRest, bRest
	}
}

func anySegment(s string) bool { return s == "*" || s == userSegment }

// manyUsers reports whether a pattern matches channels of more than one user by a rule that covers it.
func manyUsers(rule, pattern string) bool {
	for more := true; more; {
		var want, got string
		want, rule, more = strings.Cut(rule, ".")
		got, pattern, _ = strings.Cut(pattern, ".")
		if want == userSegment {
			return anySegment(got)
		}
	}
	return false
}

// userIndex returns which segment of a pattern is {user}, -1 for none.
func userIndex(pattern string) int {
	for n, more := 0, true; more; n++ {
		var segment string
		if segment, pattern, more = strings.Cut(pattern, "."); segment == userSegment {
			return n
		}
	}
	return -1
}

// belowUser reports whether the pattern of a rule and a name, or a pattern, may agree up to the segment {user}.
func belowUser(rule, name string) bool {
	for {
		want, ruleRest, _ := strings.Cut(rule, ".")
		if want == userSegment {
			return true
		}
		got, nameRest, more := strings.Cut(name, ".")
		if got == "**" {
			return true
		}
		if !more || got != want && want != "*" && got != "*" {
			return false
		}
		rule, name = ruleRest, nameRest
	}
}

// matcher is a pattern taken apart, for names only.
type matcher struct {
	segments []string // but for a last **
	rest     bool     // ** is the last segment
}

func compile(pattern string) matcher {
	m := matcher{segments: strings.Split(pattern, ".")}
	if n := len(m.segments) - 1; m.segments[n] == "**" {
		m.segments, m.rest = m.segments[:n], true
	}
	return m
}

// match reports whether the pattern matches a name. It does not allocate.
func (m *matcher) match(name string) bool {
	more := name != ""
	for _, want := range m.segments {
		if !more {
			return false
		}
		var got string
		if got, name, more = strings.Cut(name, "."); got != want && !anySegment(want) || got == "" {
			return false
		}
	}
	return more == m.rest
}
