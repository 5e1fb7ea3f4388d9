package auth

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/internal/channel"
)

var (
	testRules = channel.Compile([]channel.Rule{
		{Match: "mine.{user}", Access: channel.Authorize},
		{Match: "sealed.mine.{user}", Access: channel.Token},
		{Match: "public.**", Access: channel.Public, Wildcards: true},
		{Match: "user.**", Access: channel.Authorize, Wildcards: true},
		{Match: "sealed.**", Access: channel.Token},
		{Match: "signed.**", Access: channel.Token, Wildcards: true},
		{Match: "nobody.**"},
		{Match: "single.**", Access: channel.Authorize},
	})
	testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func names(list ...string) []string { return list }

func yes(user string, channels ...string) *Result {
	return &Result{Allowed: true, User: user, Channels: channels}
}

func grant(user string, channels ...string) *TokenGrant {
	return &TokenGrant{User: user, Channels: channels, ExpiresAt: testNow.Add(time.Second)}
}

// TestDecide is the specification of who may subscribe. A query with a Result is asked about what its Asked says or,
// without one, about all its channels.
func TestDecide(t *testing.T) {
	atLimit := func(user string) bool { return user == "anna" }
	own := grant("anna")
	for _, tt := range []struct {
		name  string
		query Query
		want  string // as text has it
	}{
		{"nothing", Query{}, "granted [] to "},
		{"public", Query{Channels: names("public.a")}, "granted [public.a] to "},
		{"public pattern", Query{Channels: names("public.a.*")}, "granted [public.a.*] to "},
		{"order and duplicates are kept", Query{Channels: names("public.b", "public.a", "public.b")}, "granted [public.b public.a public.b] to "},
		{"bad name", Query{Channels: names("public.a", "a b")}, `400 bad channel name: ' ' at byte 2; want letters, digits and any of ._-:@/=+~ (a b)`},
		{"no rule", Query{Channels: names("public.a", "x")}, "403 no rule for this channel (x)"},
		{"pattern without a rule", Query{Channels: names("x.*")}, "403 no rule allows this pattern (x.*)"},
		{"pattern over several rules", Query{Channels: names("**")}, "403 no rule allows this pattern (**)"},
		{"rule without wildcards", Query{Channels: names("single.*")}, "403 no rule allows this pattern (single.*)"},
		{"rule without access", Query{Channels: names("nobody.a"), Result: yes("anna"), Grant: grant("anna", "**")}, "403 not allowed (nobody.a) to anna"},
		{"as many as one may name", Query{Channels: names("public.a", "public.b"), Max: 2}, "granted [public.a public.b] to "},
		{"more than one may name", Query{Channels: names("public.a", "public.b"), Max: 1}, "400 more than 1 channels"},

		{"the app decides", Query{Channels: names("public.a", "user.b", "user.b", "user.c.*")}, "ask [user.b user.c.*]"},
		{"the app says yes", Query{Channels: names("public.a", "user.b"), Result: yes("anna")}, "granted [public.a user.b] to anna"},
		{"the app names nobody", Query{Channels: names("user.b"), Result: yes("")}, "granted [user.b] to "},
		{"nobody is logged in", Query{Channels: names("public.a", "user.b"), Result: &Result{Status: 401}}, "401 not logged in"},
		{"the app says no", Query{Channels: names("public.a", "user.b"), Result: &Result{Status: 403}}, "403 not allowed"},
		{"an answer without a status", Query{Channels: names("user.b"), Result: &Result{}}, "403 not allowed"},
		{"a no with a user", Query{Channels: names("mine.anna"), Result: &Result{User: "anna"}}, "403 not allowed"},
		{"the app allows some", Query{Channels: names("user.a", "public.c", "user.b"), Result: yes("anna", "user.b")}, "granted [public.c user.b] to anna"},
		{"the app allows an empty list", Query{Channels: names("user.a"), Result: &Result{Allowed: true, Channels: []string{}}}, "403 not allowed"},
		{"an empty list beside what is public", Query{Channels: names("user.a", "public.c"), Result: &Result{Allowed: true, Channels: []string{}}}, "granted [public.c] to "},
		{"the app allows another channel", Query{Channels: names("user.a"), Result: yes("anna", "user.b")}, "403 not allowed"},
		{"the app allows one more", Query{Channels: names("user.a"), Result: yes("anna", "user.a", "user.b", "public.c", "x")}, "granted [user.a] to anna"},
		{"the app allows a wider pattern", Query{Channels: names("user.a"), Result: yes("anna", "user.*")}, "403 not allowed"},
		{"the app names parts of a pattern", Query{Channels: names("user.a.**"), Result: yes("anna", "user.a.1", "user.a.b.*", "user.c", "user.a..x")}, "granted [user.a.1 user.a.b.*] to anna"},
		{"the app names too many parts", Query{Channels: names("user.a.**"), Max: 1, Result: yes("anna", "user.a.1", "user.a.2")}, "403 more than 1 channels"},
		{"what was not asked for", Query{Channels: names("user.a", "user.b"), Asked: names("user.b"), Result: yes("anna")}, "granted [user.b] to anna"},
		{"only what was not asked for", Query{Channels: names("user.a"), Asked: names("user.b"), Result: yes("anna", "user.a")}, "403 not allowed"},
		{"what is held is not asked for", Query{Channels: names("user.a", "user.b"), Held: names("user.a")}, "ask [user.b]"},
		{"all is held", Query{Channels: names("user.a", "signed.b", "mine.bert"), Held: names("mine.bert", "signed.b", "user.a")}, "granted [user.a signed.b mine.bert] to "},
		{"what is held has a rule, too", Query{Channels: names("x"), Held: names("x")}, "403 no rule for this channel (x)"},

		{"one's own", Query{Channels: names("mine.anna"), Result: yes("anna")}, "granted [mine.anna] to anna"},
		{"one's own, escaped", Query{Channels: names("mine.a%2Eb"), Result: yes("a.b")}, "granted [mine.a%2Eb] to a.b"},
		{"another's", Query{Channels: names("public.a", "mine.bert"), Result: yes("anna")}, "403 this channel is another user's (mine.bert) to anna"},
		{"another's, named by the app", Query{Channels: names("mine.bert", "user.a"), Result: yes("anna", "mine.bert")}, "403 this channel is another user's (mine.bert) to anna"},
		{"another's, left out by the app", Query{Channels: names("mine.bert", "user.a"), Result: yes("anna", "user.a")}, "granted [user.a] to anna"},
		{"in other letters", Query{Channels: names("mine.ANNA"), Result: yes("anna")}, "403 this channel is another user's (mine.ANNA) to anna"},
		{"a user's, of nobody", Query{Channels: names("mine.anna"), Result: yes("")}, "403 this channel is another user's (mine.anna)"},
		{"every user's", Query{Channels: names("mine.*"), Result: yes("anna")}, "403 no rule allows this pattern (mine.*)"},
		{"below a user's", Query{Channels: names("mine.anna.x"), Result: yes("anna")}, "403 no rule for this channel (mine.anna.x)"},

		{"no token", Query{Channels: names("signed.a"), Result: yes("anna")}, "401 a token is missing: send Authorization: Bearer, or token= in the URL (signed.a)"},
		{"token", Query{Channels: names("signed.a", "public.b"), Grant: grant("anna", "signed.a")}, "granted [signed.a public.b] to anna"},
		{"token with a pattern", Query{Channels: names("signed.a.b", "signed.a.*"), Grant: grant("anna", "signed.a.*")}, "granted [signed.a.b signed.a.*] to anna"},
		{"token for less", Query{Channels: names("signed.a.**"), Grant: grant("anna", "signed.a.*")}, "403 the token does not allow this channel (signed.a.**) to anna"},
		{"token for another", Query{Channels: names("signed.a", "signed.b"), Grant: grant("anna", "signed.a")}, "403 the token does not allow this channel (signed.b) to anna"},
		{"token for nothing", Query{Channels: names("signed.a"), Grant: &TokenGrant{User: "anna", Channels: []string{}, ExpiresAt: testNow.Add(1)}}, "403 the token does not allow this channel (signed.a) to anna"},
		{"token of nobody", Query{Channels: names("signed.a"), Grant: grant("", "signed.a")}, "granted [signed.a] to "},
		{"token is no answer of the app", Query{Channels: names("user.a"), Grant: grant("anna", "**")}, "ask [user.a]"},
		{"token in its last moment", Query{Channels: names("signed.a"), Grant: &TokenGrant{ExpiresAt: testNow.Add(1), Channels: names("**")}}, "granted [signed.a] to "},
		{"token at its end", Query{Channels: names("signed.a"), Grant: &TokenGrant{ExpiresAt: testNow, Channels: names("**")}}, "401 the token has expired"},
		{"token at its end, not needed", Query{Channels: names("public.a"), Grant: &TokenGrant{ExpiresAt: testNow}}, "401 the token has expired"},
		{"token without an end", Query{Channels: names("signed.a"), Grant: &TokenGrant{Channels: names("**")}}, "401 the token has expired"},
		{"token without a list, one's own", Query{Channels: names("sealed.mine.anna"), Grant: own}, "granted [sealed.mine.anna] to anna"},
		{"token without a list, another's", Query{Channels: names("sealed.mine.bert"), Grant: own}, "403 the token does not allow this channel (sealed.mine.bert) to anna"},
		{"token without a list, nobody's", Query{Channels: names("signed.a"), Grant: own}, "403 the token does not allow this channel (signed.a) to anna"},
		{"token without a list or a user", Query{Channels: names("sealed.mine.anna"), Grant: grant("")}, "403 the token does not allow this channel (sealed.mine.anna)"},
		{"token that lists another's", Query{Channels: names("sealed.mine.bert"), Grant: grant("anna", "**")}, "403 this channel is another user's (sealed.mine.bert) to anna"},
		{"token of nobody that lists a user's", Query{Channels: names("sealed.mine.bert"), Grant: grant("", "**")}, "403 this channel is another user's (sealed.mine.bert)"},

		{"token and app", Query{Channels: names("signed.a", "user.b"), Grant: grant("anna", "signed.a"), Asked: names("user.b"), Result: yes("anna")}, "granted [signed.a user.b] to anna"},
		{"token and app of two users", Query{Channels: names("signed.a", "user.b"), Grant: grant("anna", "signed.a"), Asked: names("user.b"), Result: yes("bert")}, "403 the token and the login are not the same user's"},
		{"token of a user, app of nobody", Query{Channels: names("signed.a", "user.b"), Grant: grant("anna", "signed.a"), Asked: names("user.b"), Result: yes("")}, "403 the token and the login are not the same user's"},
		{"token of nobody, app of a user", Query{Channels: names("signed.a", "user.b"), Grant: grant("", "signed.a"), Asked: names("user.b"), Result: yes("bert")}, "403 the token and the login are not the same user's"},
		{"token that expired while the app was asked", Query{Channels: names("user.b"), Grant: &TokenGrant{ExpiresAt: testNow}, Result: yes("")}, "401 the token has expired"},

		{"known user", Query{Channels: names("user.b"), User: "anna", Fixed: true, Result: yes("anna")}, "granted [user.b] to anna"},
		{"login is another's now", Query{Channels: names("user.b"), User: "anna", Fixed: true, Result: yes("bert")}, "401 the login is another user's now; connect again"},
		{"login is nobody's now", Query{Channels: names("user.b"), User: "anna", Fixed: true, Result: yes("")}, "401 the login is another user's now; connect again"},
		{"nobody's login is somebody's now", Query{Channels: names("user.b"), Fixed: true, Result: yes("anna")}, "401 the login is another user's now; connect again"},
		{"whom the app names first", Query{Channels: names("user.b"), Result: yes("anna")}, "granted [user.b] to anna"},
		{"another token of the same user", Query{Channels: names("signed.a"), User: "anna", Fixed: true, Grant: grant("anna", "signed.a")}, "granted [signed.a] to anna"},
		{"token of another user", Query{Channels: names("signed.a"), User: "anna", Fixed: true, Grant: grant("bert", "signed.a")}, "403 the token is another user's; connect again"},
		{"token of another user, nothing to open", Query{User: "anna", Fixed: true, Grant: grant("bert", "**")}, "403 the token is another user's; connect again"},
		{"token of a user on nobody's connection", Query{User: "", Fixed: true, Grant: grant("bert", "**")}, "403 the token is another user's; connect again"},

		{"limit, by the app", Query{Channels: names("user.b"), AtLimit: atLimit, Result: yes("anna")}, "429 too many connections of this user to anna"},
		{"limit, by a token", Query{Channels: names("signed.a"), AtLimit: atLimit, Grant: grant("anna", "**")}, "429 too many connections of this user to anna"},
		{"limit, by a token, before the app is asked", Query{Channels: names("user.a"), AtLimit: atLimit, Grant: grant("anna")}, "429 too many connections of this user to anna"},
		{"another's limit", Query{Channels: names("user.b"), AtLimit: atLimit, Result: yes("bert")}, "granted [user.b] to bert"},
		{"nobody has no limit", Query{Channels: names("public.a"), AtLimit: atLimit}, "granted [public.a] to "},

		{"the app subscribes", Query{Channels: names("user.a", "signed.b", "public.c", "mine.anna"), User: "anna", Server: true}, "granted [user.a signed.b public.c mine.anna] to anna"},
		{"the app subscribes, another's", Query{Channels: names("user.a", "mine.bert"), User: "anna", Server: true}, "403 this channel is another user's (mine.bert) to anna"},
		{"the app subscribes nobody to a user's", Query{Channels: names("mine.bert"), Server: true}, "403 this channel is another user's (mine.bert)"},
		{"the app subscribes where no rule is", Query{Channels: names("x"), Server: true}, "403 no rule for this channel (x)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := tt.query
			q.Now = testNow
			if q.Result != nil && q.Asked == nil {
				q.Asked = q.Channels
			}
			before := fmt.Sprint(q.Channels, q.Held, q.Asked, q.Result)
			if got := text(Decide(testRules, &q)); got != tt.want {
				t.Errorf("%s; want %s", got, tt.want)
			}
			if after := fmt.Sprint(q.Channels, q.Held, q.Asked, q.Result); after != before {
				t.Errorf("the query was changed from %s to %s", before, after)
			}
		})
	}
}

// text is a decision in words.
func text(d Decision) (s string) {
	switch d.Outcome {
	case Granted:
		return fmt.Sprintf("granted %v to %s", d.Channels, d.User)
	case Ask:
		return fmt.Sprint("ask ", d.Channels)
	}
	s = fmt.Sprint(d.Status, " ", d.Err)
	if d.Channel != "" {
		s += " (" + d.Channel + ")"
	}
	if d.User != "" {
		s += " to " + d.User
	}
	return s
}

// TestDecideGrantsNothingUnknown: rules that are missing, and a Decision that nobody made, let nobody in.
func TestDecideGrantsNothingUnknown(t *testing.T) {
	if d := Decide(nil, &Query{Channels: names("public.a"), Result: yes("anna"), Server: true}); d.Outcome != Refused || d.Err != ErrNoRule {
		t.Errorf("without rules: %s", text(d))
	}
	if (Decision{}).Outcome != Refused {
		t.Error("the zero Decision does not refuse")
	}
	if err := maxChannels(7); !errors.Is(err, ErrMaxChannels) || errors.Is(err, ErrOwner) {
		t.Errorf("%v is not known by its kind", err)
	}
}

// TestNarrow: what is not allowed any more is left, unless the app was not asked about it, and what is left of a pattern
// is joined.
func TestNarrow(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		held, asked, allowed []string
		join, leave          []string
	}{
		{"all is allowed", names("public.c", "user.a"), names("user.a"), names("user.a"), nil, nil},
		{"one is not", names("public.c", "user.a", "user.b"), names("user.a", "user.b"), names("user.b"), nil, names("user.a")},
		{"none is", names("public.c", "user.a"), names("user.a"), nil, nil, names("user.a")},
		{"not asked about", names("user.a", "user.b"), names("user.a"), names(), nil, names("user.a")},
		{"parts of a pattern", names("user.a.**"), names("user.a.**"), names("user.a.1", "user.a.2"), names("user.a.1", "user.a.2"), names("user.a.**")},
		{"fewer parts", names("user.a.1", "user.a.2"), names("user.a.**"), names("user.a.2"), nil, names("user.a.1")},
		{"more parts are not joined", names("user.a.1"), names("user.a.**"), names("user.a.1", "user.a.2"), nil, nil},
		{"the pattern again", names("user.a.1"), names("user.a.**"), names("user.a.**"), nil, nil},
	} {
		join, leave := Narrow(tt.held, tt.asked, tt.allowed)
		if !slices.Equal(join, tt.join) || !slices.Equal(leave, tt.leave) {
			t.Errorf("%s: join %v, leave %v", tt.name, join, leave)
		}
	}
}
