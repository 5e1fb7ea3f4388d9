package config

import (
	"fmt"
	"strings"
)

// ValidSubscription is ValidChannel for what a client may ask for, which may also be a pattern: * as the last segment, or
// ** in place of one or more.
func ValidSubscription(name string) error {
	first := strings.TrimSuffix(strings.TrimSuffix(name, "*"), "*")
	switch {
	case first == name:
		return ValidChannel(name)
	case first == "":
		return nil
	case len(name) > maxChannelName:
		return fmt.Errorf("%w: %d bytes; want at most %d", ErrChannelName, len(name), maxChannelName)
	case !strings.HasSuffix(first, "."):
		return fmt.Errorf("%w: * stands for the whole last segment, and ** for one or more", ErrChannelName)
	}
	return ValidChannel(first[:len(first)-1])
}

// isPattern reports whether a name that ValidSubscription accepts is a pattern.
func isPattern(name string) bool { return strings.HasSuffix(name, "*") }

// Subscription returns the rule for a channel or a pattern that a client asks for. One rule has to decide about all the
// channels that a pattern matches: the first rule that matches any of them matches them all, and has wildcards. False means
// that nobody may subscribe to it.
func (c *Config) Subscription(name string) (*Channel, bool) {
	if !isPattern(name) {
		return c.Rule(name)
	}
	for i := range c.Channels {
		r := &c.Channels[i]
		if overlaps(r.Match, name) {
			return r, r.Wildcards && covers(r.Match, name) && !manyUsers(r.Match, name) && !c.reserved(i, name)
		}
	}
	return nil, false
}

// AllowsPattern reports whether it is a valid pattern that a rule allows.
func (c *Config) AllowsPattern(name string) bool {
	if !isPattern(name) || ValidSubscription(name) != nil {
		return false
	}
	_, ok := c.Subscription(name)
	return ok
}

// HasWildcards reports whether a rule allows patterns.
func (c *Config) HasWildcards() bool {
	for i := range c.Channels {
		if c.Channels[i].Wildcards {
			return true
		}
	}
	return false
}

// Within reports whether name, a channel or a pattern, is valid and a part of what a pattern matches.
func Within(pattern, name string) bool {
	return isPattern(pattern) && ValidSubscription(name) == nil && covers(pattern, name)
}

// overlaps reports whether there is a name that both patterns match.
func overlaps(a, b string) bool {
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
