package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Access says who may subscribe to the channels of a rule.
type Access string

const (
	Public    Access = "public"    // everybody
	Authorize Access = "authorize" // whom the app's push.authorize_path lets in
	Token     Access = "token"     // for whom the app has signed a token; see push.jwt
)

// Channel is one rule: what holds for every channel whose name matches.
type Channel struct {
	Match   string  `yaml:"match" eg:"public.**"` // a pattern; see the package comment
	Access  Access  `yaml:"access" eg:"public"`
	History History `yaml:"history"`

	Wildcards bool `yaml:"wildcards"` // clients may ask for patterns, where this rule alone decides about all that they match

	Events   bool     `yaml:"occupancy_events"`  // the app is told when the first comes and the last goes
	Presence Presence `yaml:"presence" eg:"api"` // empty: off

	Slow Slow `yaml:"slow_subscriber" eg:"drop_oldest"` // empty: disconnect
}

// Slow says what becomes of messages when a client reads more slowly than they come.
type Slow string

const (
	SlowDisconnect Slow = "disconnect"  // the connection ends; the client resumes
	SlowDropOldest Slow = "drop_oldest" // the oldest that wait are left out, and the client is told of a gap
	SlowLatestOnly Slow = "latest_only" // of what waits only the newest message is kept
)

// History bounds what a channel remembers: a message leaves it at the first bound that it passes.
type History struct {
	Messages int      `yaml:"messages"` // 0: nothing is remembered, whatever the other two say
	Age      Duration `yaml:"age"`
	Bytes    Size     `yaml:"bytes"`
}

// DefaultHistory is the history of a rule that does not mention it.
func DefaultHistory() History {
	return History{Messages: 100, Age: Duration(10 * time.Minute), Bytes: 1 * MB}
}

// Rule returns the first rule that matches the channel, which is a name that ValidChannel accepts.
// False means that nobody may subscribe to it. It does not allocate. A pattern has no rule here; see Subscription.
func (c *Config) Rule(channel string) (*Channel, bool) {
	if isPattern(channel) {
		return nil, false
	}
	for i := range c.Channels {
		if match(c.Channels[i].Match, channel) {
			return &c.Channels[i], !c.reserved(i, channel)
		}
	}
	return nil, false
}

// ErrChannelName is what every error of ValidChannel wraps.
var ErrChannelName = errors.New("bad channel name")

const (
	maxChannelName = 255 // bytes
	lettersDigits  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	nameMarks      = "_-:@/=+~" // and the dot between segments
)

// ValidChannel returns nil for 1 to 255 bytes of A-Za-z0-9 and _-:@/=+~, and %XX for any other that is no control byte, in
// segments that dots separate, none of them empty. The error may be shown to whoever sent the name: it quotes no
// byte that a terminal would act on.
func ValidChannel(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrChannelName)
	case len(name) > maxChannelName:
		return fmt.Errorf("%w: %d bytes; want at most %d", ErrChannelName, len(name), maxChannelName)
	}
	for i := range len(name) {
		if c := name[i]; c != '.' && !isNameByte(c) && !isEscape(name[i:]) {
			return fmt.Errorf("%w: %s at byte %d; want letters, digits and any of .%s", ErrChannelName, showByte(c), i+1, nameMarks)
		}
	}
	switch {
	case name[0] == '.':
		return fmt.Errorf("%w: it begins with a dot", ErrChannelName)
	case name[len(name)-1] == '.':
		return fmt.Errorf("%w: it ends with a dot", ErrChannelName)
	}
	if i := strings.Index(name, ".."); i >= 0 {
		return fmt.Errorf("%w: an empty segment at byte %d", ErrChannelName, i+2)
	}
	return nil
}

// isEscape reports whether text begins with a byte that is escaped as in a URL, in capital letters. Control bytes have
// no escape: no user name has them, and whoever decodes a name may write it into a line.
func isEscape(text string) bool {
	return len(text) >= 3 && text[0] == '%' && isHex(text[1]) && isHex(text[2]) && text[1] >= '2' && text[1:3] != "7F"
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(nameMarks, c) >= 0
}

func showByte(c byte) string {
	if ' ' <= c && c <= '~' {
		return fmt.Sprintf("%q", c)
	}
	return fmt.Sprintf("byte 0x%02x", c)
}

// checkPattern applies the rules of names to a pattern, and those of * and ** on top.
func checkPattern(pattern string) error {
	if len(pattern) > maxChannelName {
		return fmt.Errorf("%d bytes; want at most %d", len(pattern), maxChannelName)
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

// ValidPattern returns nil for a pattern that is no rule's: * and ** may be in it, {user} not.
func ValidPattern(pattern string) error {
	if pattern == "" {
		return errors.New("it is empty")
	}
	if strings.Contains(pattern, "{") {
		return fmt.Errorf("%s has a brace", show(pattern))
	}
	return checkPattern(pattern)
}

// Match reports whether a pattern that ValidPattern accepts matches a channel's name, or all of what a pattern matches
// that a client asks for.
func Match(pattern, channel string) bool { return covers(pattern, channel) }

// userSegment stands for the user that push.authorize_path names, in one segment of a pattern.
const userSegment = "{user}"

// Owner returns whose a channel, or a pattern that is allowed, is by its rule; false if it may be more than one user's.
func (c *Config) Owner(channel string) (user string, ok bool) {
	r, found := c.Subscription(channel)
	if !found {
		return "", false
	}
	pattern, more := r.Match, true
	for more {
		var want string
		want, pattern, more = strings.Cut(pattern, ".")
		user, channel, _ = strings.Cut(channel, ".")
		if want == userSegment {
			name, err := url.PathUnescape(user)
			if err != nil {
				name = "" // nobody's; ValidChannel does not let it get here
			}
			return name, true
		}
	}
	return "", false
}

// reserved reports whether a name, or a pattern that a client asks for, that the rule at index i matches lies among the
// users' own channels of an earlier rule: behind "user.{user}" no other rule opens user.anna.example, of a user whose name
// was not escaped. A rule that has {user} in the same segment does.
func (c *Config) reserved(i int, name string) bool {
	at := userIndex(c.Channels[i].Match)
	for j := range i {
		rule := c.Channels[j].Match
		if n := userIndex(rule); n > 0 && n != at && belowUser(rule, name) {
			return true
		}
	}
	return false
}

// allReserved reports whether an earlier rule reserves all that the pattern of a later one matches.
func allReserved(earlier, pattern string) bool {
	n := userIndex(earlier)
	if n <= 0 || userIndex(pattern) == n {
		return false
	}
	users := strings.Join(strings.Split(earlier, ".")[:n], ".") + ".**"
	return covers(users, pattern)
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

// match walks pattern and name together, a segment at a time; patterns are short and nothing is
// compiled, so that a Config made by hand works like a parsed one.
func match(pattern, name string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == "**" && !patternMore {
			return name != ""
		}
		got, nameRest, nameMore := strings.Cut(name, ".")
		if got != want && (want != "*" && want != userSegment || got == "") {
			return false
		}
		if !patternMore || !nameMore {
			return patternMore == nameMore
		}
		pattern, name = patternRest, nameRest
	}
}

// covers reports whether every name that narrow matches is matched by wide too, so that a rule
// for narrow behind one for wide is never reached.
func covers(wide, narrow string) bool {
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
