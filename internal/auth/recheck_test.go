package auth

import (
	"testing"

	"holdfast/internal/channel"
)

func rulesOf(list ...channel.Rule) *channel.Rules { return channel.Compile(list) }

// TestRecheck: a connection keeps the channels for which its rules ask no more than they did.
func TestRecheck(t *testing.T) {
	public := channel.Rule{Match: "a.**", Access: channel.Public}
	authorize := channel.Rule{Match: "a.**", Access: channel.Authorize}
	token := channel.Rule{Match: "a.**", Access: channel.Token}
	own := channel.Rule{Match: "a.{user}", Access: channel.Authorize}
	star := channel.Rule{Match: "a.**", Access: channel.Public, Wildcards: true}
	grant := &TokenGrant{User: "anna", Channels: []string{"a.anna"}}
	for name, tt := range map[string]struct {
		old, rules *channel.Rules
		held       []string
		user       string
		grant      *TokenGrant
		refused    string
	}{
		"the same":                 {rulesOf(authorize), rulesOf(authorize), []string{"a.b"}, "", nil, ""},
		"no rule":                  {rulesOf(public), rulesOf(), []string{"a.b"}, "", nil, "a.b"},
		"the second has no rule":   {rulesOf(public, channel.Rule{Match: "b", Access: channel.Public}), rulesOf(public), []string{"a.b", "b"}, "", nil, "b"},
		"opened":                   {rulesOf(authorize), rulesOf(public), []string{"a.b"}, "", nil, ""},
		"narrowed":                 {rulesOf(public), rulesOf(authorize), []string{"a.b"}, "", nil, "a.b"},
		"narrowed, with a user":    {rulesOf(public), rulesOf(authorize), []string{"a.anna"}, "anna", nil, "a.anna"},
		"narrowed to tokens":       {rulesOf(public), rulesOf(token), []string{"a.anna"}, "", nil, "a.anna"},
		"a token that allows it":   {rulesOf(public), rulesOf(token), []string{"a.anna"}, "anna", grant, ""},
		"a token for others":       {rulesOf(public), rulesOf(token), []string{"a.eve"}, "anna", grant, "a.eve"},
		"one of a user now":        {rulesOf(authorize), rulesOf(own), []string{"a.anna"}, "eve", nil, "a.anna"},
		"the user's own":           {rulesOf(authorize), rulesOf(own), []string{"a.anna"}, "anna", nil, ""},
		"no access":                {rulesOf(public), rulesOf(channel.Rule{Match: "a.**"}), []string{"a.b"}, "", nil, "a.b"},
		"a pattern without a rule": {rulesOf(star), rulesOf(public), []string{"a.*"}, "", nil, "a.*"},
		"a pattern":                {rulesOf(star), rulesOf(star), []string{"a.*"}, "", nil, ""},
	} {
		refused, err := Recheck(func(name string) channel.Access { return Access(tt.old, name) }, tt.rules, tt.held, tt.user, tt.grant)
		if refused != tt.refused || (err == nil) != (tt.refused == "") {
			t.Errorf("%s: %q, %v; want %q", name, refused, err, tt.refused)
		}
	}
}
