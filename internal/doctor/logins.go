package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/inspect"
)

// checkLogins looks at cookies, and at what the app answers to authorization requests.
func (v *visit) checkLogins(ctx context.Context) {
	s := &v.server.Settings
	if s.AuthorizePath == "" || len(s.Rules) == 0 {
		v.report.skip("logins: no rule under channels has access: authorize.")
		return
	}
	cookies := v.openPage(ctx)
	v.checkCookies(cookies)
	channel := tried{name: v.Channel}
	if v.Channel == "" {
		channel = inventChannel(s.Rules)
	}
	answers, open := v.checkStranger(ctx, channel, cookies)
	if !answers {
		return
	}
	if v.Cookie == "" {
		v.report.skip("whether a user who is logged in may subscribe, and whether a lock makes that slow: -cookie.")
		return
	}
	channel.invented = channel.invented && !open
	v.checkUser(ctx, channel)
}

// tried is the channel that the app is asked about.
type tried struct {
	name     string
	invented bool // the app can't know it
	owned    bool // only the user whose name is in it gets it, whatever the app says
}

// inventChannel returns a channel of one of the rules.
func inventChannel(rules []inspect.Rule) (c tried) {
	const user = "{user}"
	match := rules[0].Match
	if i := slices.IndexFunc(rules, func(r inspect.Rule) bool { return !strings.Contains(r.Match, user) }); i >= 0 {
		match = rules[i].Match
	}
	segments := strings.Split(match, ".")
	for i, s := range segments {
		switch s {
		case "*", "**":
			segments[i], c.invented = "holdfast-doctor-"+strings.ToLower(rand.Text()[:8]), true
		case user:
			segments[i], c.owned = "holdfast-doctor", true
		}
	}
	c.name, c.invented = strings.Join(segments, "."), c.invented && !c.owned
	return c
}

// authorize asks the app about a channel as a client with a cookie would. The answer is nil if the request has not
// arrived; then it is reported.
func (v *visit) authorize(ctx context.Context, probe, channel, cookie string) *inspect.Answer {
	_, r, err := v.ask(ctx, probe, cookie, nil, "authorize", channel)
	if err != nil || r == nil || r.Authorize == nil {
		v.report.skip("what the app answers to authorization requests: the proxy has not passed the request on.")
		return nil
	}
	if sent, _ := field(r, "Cookie"); cookie != "" && sent != inspect.Hidden(cookie) {
		length, _, _ := strings.Cut(sent, ",") // the rest is for comparison, and not for a report that goes elsewhere
		if sent == "" {
			length = "none"
		}
		v.report.add(Finding{
			Kind: Broken, Check: checkCookie, Title: "The proxy removes or changes cookies on the way to the push path: logins count for nothing there.",
			Sent: fmt.Sprintf("a Cookie header of %d bytes", len(cookie)), Seen: "arrived: " + clip(length),
			Change: v.changes([]string{"no proxy_set_header Cookie in the location of " + v.server.Settings.PushPaths[0]},
				[]string{"no http-request del-header Cookie"}, []string{"no RequestHeader unset Cookie"}),
		})
	}
	return r.Authorize
}

// checkStranger looks whether the app denies a channel to clients without a login, or with an invented one. It reports
// whether the app answers, and whether it allows it.
func (v *visit) checkStranger(ctx context.Context, channel tried, cookies []setCookie) (answers, open bool) {
	path := v.server.Settings.AuthorizePath
	a := v.authorize(ctx, "stranger", channel.name, "")
	if a == nil || v.failed(a) {
		return false, false
	}
	forged := []string{}
	for _, c := range cookies {
		forged = append(forged, c.Name+"="+strings.ToLower(rand.Text()))
	}
	who := "without a login"
	if !a.Allowed && len(forged) > 0 {
		if b := v.authorize(ctx, "forger", channel.name, strings.Join(forged, "; ")); b != nil && b.Allowed {
			a, who = b, "with an invented cookie"
		}
	}
	if !a.Allowed {
		v.report.add(Finding{Kind: Fine, Check: checkOpen, Title: fmt.Sprintf("The app denies a client without a login (%d).", a.Status)})
		return true, false
	}
	f := Finding{
		Kind: Broken, Check: checkOpen, Title: "Everybody may subscribe to " + channel.name + ": the app allows it to a client " + who + ".",
		Sent: "GET " + path + "?channel=" + channel.name + " " + who, Seen: "the app allowed it",
		Change: []Change{
			{In: "the app", Lines: []string{"answer 401 without a login, 403 for a channel that is not the user's, and 204 only else"}},
			inConfig("access: public    # in the rule of the channel, if everybody is meant to"),
		},
	}
	if channel.owned && a.User == "" {
		f.Kind, f.Title = WillBite, "The app allows everything to a client "+who+". Only the {user} in the rule keeps others out."
		f.Change = f.Change[:1]
	}
	v.report.add(f)
	return true, true
}

// failed reports an authorization request that the app has not answered, or not in a way that counts.
func (v *visit) failed(a *inspect.Answer) bool {
	if a.Error == "" {
		return false
	}
	seen := a.Hint
	if seen == "" {
		seen = a.Error
	}
	f := Finding{
		Kind: Broken, Check: checkAuthorize, Title: "The app does not answer authorization requests: nobody can subscribe to " + a.Channel + ".",
		Sent: "GET " + v.server.Settings.AuthorizePath + "?channel=" + a.Channel, Seen: clip(seen),
		Change: []Change{
			inConfig("push: {authorize_path: " + v.server.Settings.AuthorizePath + "}    # is it the right path?"),
			{In: "the app", Lines: []string{"answer 204, 401 or 403, or JSON, and nothing else"}},
		},
	}
	if strings.Contains(seen, "could not be reached") {
		f.Change = []Change{inConfig("upstream: …    # does the app run, and does it listen there?")}
	}
	v.report.add(f)
	return true
}

// checkUser looks what a user who is logged in may have, and how long that takes.
func (v *visit) checkUser(ctx context.Context, channel tried) {
	a := v.authorize(ctx, "user", channel.name, v.Cookie)
	if a == nil || v.failed(a) {
		return
	}
	const slow = time.Second
	took := time.Duration(a.Millis) * time.Millisecond
	if took > slow { // perhaps by chance
		if again := v.authorize(ctx, "user-again", channel.name, v.Cookie); again != nil && again.Error == "" {
			took = min(took, time.Duration(again.Millis)*time.Millisecond)
		}
	}
	f := Finding{Kind: Fine, Check: checkAuthorize, Sent: "GET " + v.server.Settings.AuthorizePath + "?channel=" + channel.name + " with the cookie"}
	switch {
	case v.Channel != "" && !a.Allowed:
		f.Kind, f.Title, f.Seen = Broken, "The app denies "+channel.name+" to the user of the cookie.", fmt.Sprintf("status %d", a.Status)
		f.Change = []Change{{In: "the app", Lines: []string{"answer 204 for a channel that is the user's"}}, {In: "doctor", Lines: []string{"is the cookie that of a user who is logged in now?"}}}
	case channel.invented && a.Allowed:
		f.Kind, f.Title, f.Seen = WillBite, "The app allows a channel that does not exist: it may not look at the channel at all, and let every user have those of others.", channel.name+" was allowed"
		f.Change = []Change{{In: "the app", Lines: []string{"compare the parameter channel with what the user may see"}}}
	case took > slow:
		f.Kind, f.Title, f.Seen = WillBite, "Authorization requests are slow: each subscription waits for one.", fmt.Sprintf("%d ms", took.Milliseconds())
		f.Change = []Change{{In: "the app", Lines: []string{"a small script that only looks at the session"}}, inConfig("push: {authorize_cache: 30s}")}
	default:
		what := "denies " + channel.name
		if a.Allowed {
			what = "allows " + channel.name
		}
		f.Title = fmt.Sprintf("The app answers a user who is logged in, in %d ms: it %s.", took.Milliseconds(), what)
	}
	v.report.add(f)
	if v.Channel == "" {
		v.report.skip("whether the app allows what it should: -channel NAME, of one that the user may have.")
	}
	v.checkLock(ctx, channel.name, took)
}
