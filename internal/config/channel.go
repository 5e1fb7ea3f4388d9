package config

import (
	"time"

	"holdfast/internal/channel"
)

// Channel is one rule: what holds for every channel whose name matches.
type Channel struct {
	Match   string         `yaml:"match" eg:"public.**"` // a pattern; see package channel
	Access  channel.Access `yaml:"access" eg:"public"`
	History History        `yaml:"history"`

	Wildcards bool `yaml:"wildcards"` // clients may subscribe to patterns, where this rule alone decides about all that they match

	Events   bool             `yaml:"occupancy_events"`  // the app is notified of the first subscriber and the last
	Presence channel.Presence `yaml:"presence" eg:"api"` // empty: off

	Slow channel.Slow `yaml:"slow_subscriber" eg:"drop_oldest"` // empty: disconnect
}

// History limits what a channel stores: a message leaves it at the first limit that it passes.
type History struct {
	Messages int      `yaml:"messages"` // 0: nothing is stored, whatever the other two say
	Age      Duration `yaml:"age"`
	Bytes    Size     `yaml:"bytes"`
}

// DefaultHistory is the history of a rule that does not mention it.
func DefaultHistory() History {
	return History{Messages: 100, Age: Duration(10 * time.Minute), Bytes: 1 * MB}
}

// Rules returns what the rules say, compiled.
func (c *Config) Rules() *channel.Rules {
	list := make([]channel.Rule, len(c.Channels))
	for i, r := range c.Channels {
		list[i] = channel.Rule{
			Match: r.Match, Access: r.Access, Wildcards: r.Wildcards, Events: r.Events, Presence: r.Presence, Slow: r.Slow,
			History: channel.History{
				Messages: r.History.Messages, Age: time.Duration(r.History.Age), Bytes: int64(r.History.Bytes),
			},
		}
	}
	return channel.Compile(list)
}
