package channel

import (
	"fmt"
	"strings"
	"testing"
)

// TestUserChannels: rules and a channel in; whether a rule decides about it, and whose it is, out.
func TestUserChannels(t *testing.T) {
	for _, tt := range []struct {
		rules   string
		channel string
		ok      bool
		owner   string // "-": nobody's own
	}{
		{"user.{user} user.all.** **", "user.anna", true, "anna"},
		{"user.{user} **", "user.anna@example.com", false, "-"},
		{"user.{user} **", "user.anna@example%2Ecom", true, "anna@example.com"},
		{"user.{user} **", "user.anna%40example%2Ecom", true, "anna@example.com"},
		{"user.{user} **", "user.Anna%20M%C3%BCller", true, "Anna M\u00fcller"},
		{"user.{user} **", "user.DOMAIN%5Canna", true, `DOMAIN\anna`},
		{"user.{user} **", "user.M%C3%BCller%2C%20Anna", true, "M\u00fcller, Anna"},
		{"user.{user} **", "user.100%25", true, "100%"},
		{"user.{user} **", "user.a%2A", true, "a*"},
		{"user.{user} **", "user.anna.**", false, "-"},
		{"user.{user} **", "user.anna.x.*", false, "-"},
		{"user.{user} **", "*.anna.x", false, "-"},
		{"user.{user} **", "users.anna.x", true, "-"},
		{"user.{user} **", "user", true, "-"},
		{"user.{user} **", "news.user.anna", true, "-"},
		{"user.{user} user.{user}.** **", "user.anna.inbox", true, "anna"},
		{"user.{user} user.{user}.** **", "user.anna%2Eb.inbox", true, "anna.b"},
		{"user.{user} user.{user}.** **", "user.anna.**", true, "anna"},
		{"user.{user}.inbox **", "user.anna", false, "-"},
		{"user.{user}.inbox **", "user.anna.b.inbox", false, "-"},
		{"room.*.{user} **", "room.7.anna", true, "anna"},
		{"room.*.{user} **", "room.7.anna.b", false, "-"},
		{"room.*.{user} **", "room.7", true, "-"},
		{"user.help.** user.{user} **", "user.help.me", true, "-"},
		{"{user}.inbox **", "anna.b.inbox", true, "-"},
	} {
		t.Run(fmt.Sprintf("%s/%s", tt.rules, tt.channel), func(t *testing.T) {
			var list []Rule
			for rule := range strings.FieldsSeq(tt.rules) {
				list = append(list, Rule{Match: rule, Access: Authorize, Wildcards: true})
			}
			c := Compile(list)
			if err := ValidSubscription(tt.channel); err != nil && tt.ok {
				t.Fatal(err)
			}
			_, ok := c.Subscription(tt.channel)
			owner, owned := c.Owner(tt.channel)
			if !owned {
				owner = "-"
			}
			if ok != tt.ok || owner != tt.owner {
				t.Errorf("%v, owner %q; want %v, %q", ok, owner, tt.ok, tt.owner)
			}
		})
	}
	for name, valid := range map[string]bool{
		"user.a%2Eb": true, "user.%C3%BC": true, "user.%2e": false, "user.%": false, "user.%2": false, "user.%GG": false, "user.a b": false,
		"user.a%2": false, "user.%0A": false, "user.%1F": false, "user.a%00": false, "user.%7F": false, "user.%20": true, "user.%7E": true, "user.%25": true,
	} {
		if err := ValidName(name); (err == nil) != valid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tt := range []struct {
		earlier, pattern string
		hidden           bool
	}{
		{"user.{user}", "user.**", true}, {"user.{user}", "user.*.x", true}, {"user.{user}", "**", false}, {"user.{user}", "user.{user}.**", false},
		{"user.{user}", "*.**", false}, {"user.{user}", "user", false}, {"{user}.x", "a.b", false}, {"room.*.{user}", "room.7.**", true},
	} {
		if got := Reserves(tt.earlier, tt.pattern); got != tt.hidden {
			t.Errorf("%s before %s: hidden is %v; want %v", tt.earlier, tt.pattern, got, tt.hidden)
		}
	}
}
