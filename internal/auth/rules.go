package auth

import (
	"errors"
	"slices"

	"holdfast/internal/channel"
	"holdfast/internal/inspect"
)

// Reasons why no client can subscribe to a name.
var (
	ErrNoRule    = errors.New("no rule for this channel")
	ErrNoPattern = errors.New("no rule allows this pattern")
)

// Check returns why no client can subscribe to the name, and the HTTP status for it; nil if a client may.
func Check(r *channel.Rules, name string) (status int, err error) {
	if err := channel.ValidSubscription(name); err != nil {
		return 400, err
	}
	if _, ok := r.Subscription(name); ok {
		return 0, nil
	}
	if channel.IsPattern(name) {
		return 403, ErrNoPattern
	}
	return 403, ErrNoRule
}

// Access returns who may subscribe to the name; no client if no rule matches, or it does not allow the pattern.
func Access(r *channel.Rules, name string) channel.Access {
	if rule, ok := r.Subscription(name); ok {
		return rule.Access
	}
	return ""
}

// PatternOf returns which of the names is a pattern that a valid name is a part of; empty: none.
func PatternOf(names []string, name string) string {
	for _, p := range names {
		if channel.Within(p, name) {
			return p
		}
	}
	return ""
}

// Contains reports whether name is one of the names, or a part of one that is a pattern.
func Contains(names []string, name string) bool {
	return slices.Contains(names, name) || PatternOf(names, name) != ""
}

// errNarrowed is why a channel is left whose rule asks for more than it did.
var errNarrowed = errors.New("its rule asks for authorization now")

// Recheck returns why a connection may not keep its channels when other rules take the place of old ones, and the first
// such channel; nil if it may. was returns who could subscribe to a channel by the old ones. What the rule of a channel
// asks for as before is given. Nothing else is known of the connection's client, so if a rule asks the app now, the client
// has to come again.
func Recheck(was func(name string) channel.Access, rules *channel.Rules, held []string, user string, grant *TokenGrant) (name string, err error) {
	for _, name := range held {
		if inspect.Owns(name) {
			continue
		}
		if _, err := Check(rules, name); err != nil {
			return name, err
		}
		switch access := Access(rules, name); {
		case access == channel.Public:
		case !owns(rules, user, name):
			return name, ErrOwner
		case access == was(name):
		case access == channel.Token && grant.Allows(rules, name):
		default:
			return name, errNarrowed
		}
	}
	return "", nil
}
