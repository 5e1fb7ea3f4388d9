package auth

import (
	"errors"
	"slices"

	"holdfast/internal/channel"
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
