package channel

import (
	"net/url"
	"strings"
	"time"
)

// Access says who may subscribe to the channels of a rule. The zero value allows no client.
type Access string

const (
	Public    Access = "public"    // everybody
	Authorize Access = "authorize" // clients that the app allows; see push.authorize_path
	Token     Access = "token"     // clients with a token that the app has signed; see push.jwt
)

// Slow says what happens to messages of a channel if a client reads more slowly than they come.
type Slow string

const (
	Disconnect Slow = "disconnect"  // the connection closes, and the client resumes
	DropOldest Slow = "drop_oldest" // the oldest queued messages are dropped, and the client gets a gap
	LatestOnly Slow = "latest_only" // only the newest message is queued
)

// Presence says who learns which users subscribe to a channel.
type Presence string

const (
	PresenceOff      Presence = "off"     // users are not tracked
	PresenceUsers    Presence = "api"     // the app, by the API
	PresenceMessages Presence = "channel" // also the channel, by messages
)

// History limits what a channel stores: a message leaves it at the first limit that it passes.
type History struct {
	Messages int // 0: nothing is stored, whatever the other two say
	Age      time.Duration
	Bytes    int64
}

// Rule is what holds for all channels whose name matches.
type Rule struct {
	Match     string // as ValidRule accepts it
	Access    Access
	History   History
	Wildcards bool // clients may subscribe to patterns, where this rule alone decides about all that they match
	Events    bool // the app is notified of the first subscriber and the last
	Presence  Presence
	Slow      Slow // empty: Disconnect
}

// Present reports whether it is recorded which users subscribe to the rule's channels.
func (r *Rule) Present() bool { return r.Presence == PresenceUsers || r.Presence == PresenceMessages }

// Rules is a list of rules in their order. Any number of goroutines may use it. Nil has no rule.
type Rules struct{ list []compiled }

type compiled struct {
	Rule
	matcher  matcher
	reserved []string // patterns of earlier rules whose users' channels this rule does not open
}

// Compile returns the rules, of which the first that matches a channel decides.
func Compile(list []Rule) *Rules {
	rules := &Rules{list: make([]compiled, len(list))}
	for i, r := range list {
		c := compiled{Rule: r, matcher: compile(r.Match)}
		for _, earlier := range list[:i] {
			if n := userIndex(earlier.Match); n > 0 && n != userIndex(r.Match) {
				c.reserved = append(c.reserved, earlier.Match)
			}
		}
		rules.list[i] = c
	}
	return rules
}

// Any reports whether a rule has a property.
func (r *Rules) Any(has func(*Rule) bool) bool {
	for i := range r.all() {
		if has(&r.list[i].Rule) {
			return true
		}
	}
	return false
}

func (r *Rules) all() []compiled {
	if r == nil {
		return nil
	}
	return r.list
}

// Rule returns the rule of a channel, whose name is one that ValidName accepts. False means that nobody may subscribe to
// it: no rule matches, or the channel lies among the users' own of an earlier rule. Behind "user.{user}" no other rule
// opens user.anna.example, of a user whose name was not escaped, but one that has {user} in the same segment. A
// pattern has no rule here; see Subscription. Rule does not allocate.
func (r *Rules) Rule(name string) (*Rule, bool) {
	if IsPattern(name) {
		return nil, false
	}
	for i := range r.all() {
		if c := &r.list[i]; c.matcher.match(name) {
			return &c.Rule, !c.isReserved(name)
		}
	}
	return nil, false
}

func (c *compiled) isReserved(name string) bool {
	for _, earlier := range c.reserved {
		if belowUser(earlier, name) {
			return true
		}
	}
	return false
}

// Subscription returns the rule for a channel or a pattern that a client subscribes to. One rule has to decide about
// all channels that a pattern matches: the first rule that matches any of them matches them all, and has wildcards.
// False means that no client may subscribe to it.
func (r *Rules) Subscription(name string) (*Rule, bool) {
	if !IsPattern(name) {
		return r.Rule(name)
	}
	for i := range r.all() {
		if c := &r.list[i]; Overlaps(c.Match, name) {
			return &c.Rule, c.Wildcards && Covers(c.Match, name) && !manyUsers(c.Match, name) && !c.isReserved(name)
		}
	}
	return nil, false
}

// AllowsPattern reports whether name is a valid pattern that a rule allows.
func (r *Rules) AllowsPattern(name string) bool {
	if !IsPattern(name) || ValidSubscription(name) != nil {
		return false
	}
	_, ok := r.Subscription(name)
	return ok
}

// Owner returns whose a channel, or a pattern that is allowed, is by its rule; false if it may be more than one user's.
func (r *Rules) Owner(name string) (user string, ok bool) {
	rule, found := r.Subscription(name)
	if !found {
		return "", false
	}
	pattern, more := rule.Match, true
	for more {
		var want string
		want, pattern, more = strings.Cut(pattern, ".")
		user, name, _ = strings.Cut(name, ".")
		if want == userSegment {
			unescaped, err := url.PathUnescape(user)
			if err != nil {
				unescaped = "" // nobody's; ValidName does not let it get here
			}
			return unescaped, true
		}
	}
	return "", false
}
