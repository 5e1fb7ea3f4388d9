package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
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
	channel, invented := v.Channel, false
	if channel == "" {
		channel, invented = inventChannel(s.Rules[0].Match)
	}
	answers, open := v.checkStranger(ctx, channel, cookies)
	if !answers {
		return
	}
	if v.Cookie == "" {
		v.report.skip("whether a user who is logged in may subscribe, and whether a lock makes that slow: -cookie.")
		return
	}
	v.checkUser(ctx, channel, invented && !open)
}

// inventChannel returns a channel of a rule, and whether it is one that the app can't know.
func inventChannel(match string) (name string, invented bool) {
	const unknown = "holdfast-doctor"
	segments := strings.Split(match, ".")
	for i, s := range segments {
		switch s {
		case "*", "**":
			segments[i], invented = unknown+"-"+strings.ToLower(rand.Text()[:8]), true
		case "{user}": // Holdfast compares it with the user
			return strings.ReplaceAll(strings.ReplaceAll(match, "{user}", unknown), "*", unknown), false
		}
	}
	return strings.Join(segments, "."), invented
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
		if sent == "" {
			sent = "none"
		}
		v.report.add(Finding{
			Kind: Broken, Check: checkCookie, Title: "The proxy removes or changes cookies on the way to the push path: logins count for nothing there.",
			Sent: "a Cookie header: " + inspect.Hidden(cookie), Seen: "arrived: " + clip(sent),
			Change: v.changes([]string{"no proxy_set_header Cookie in the location of " + v.server.Settings.PushPaths[0]},
				[]string{"no http-request del-header Cookie"}, []string{"no RequestHeader unset Cookie"}),
		})
	}
	return r.Authorize
}

// checkStranger looks whether the app denies a channel to clients without a login, or with an invented one. It reports
// whether the app answers, and whether it allows it.
func (v *visit) checkStranger(ctx context.Context, channel string, cookies []setCookie) (answers, open bool) {
	path := v.server.Settings.AuthorizePath
	a := v.authorize(ctx, "stranger", channel, "")
	if a == nil || v.failed(a) {
		return false, false
	}
	forged := []string{}
	for _, c := range cookies {
		forged = append(forged, c.Name+"="+strings.ToLower(rand.Text()))
	}
	who := "without a login"
	if !a.Allowed && len(forged) > 0 {
		if b := v.authorize(ctx, "forger", channel, strings.Join(forged, "; ")); b != nil && b.Allowed {
			a, who = b, "with an invented cookie"
		}
	}
	if !a.Allowed {
		v.report.add(Finding{Kind: Fine, Check: checkOpen, Title: fmt.Sprintf("The app denies a client without a login (%d).", a.Status)})
		return true, false
	}
	v.report.add(Finding{
		Kind: Broken, Check: checkOpen, Title: "Everybody may subscribe to " + channel + ": the app allows it to a client " + who + ".",
		Sent: "GET " + path + "?channel=" + channel + " " + who, Seen: "the app allowed it",
		Change: []Change{
			{"the app", []string{"answer 401 without a login, 403 for a channel that is not the user's, and 204 only else"}},
			inConfig("access: public    # in the rule of the channel, if everybody is meant to"),
		},
	})
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
	v.report.add(Finding{
		Kind: Broken, Check: checkAuthorize, Title: "The app does not answer authorization requests: nobody can subscribe to " + a.Channel + ".",
		Sent: "GET " + v.server.Settings.AuthorizePath + "?channel=" + a.Channel, Seen: clip(seen),
		Change: []Change{
			inConfig("push: {authorize_path: " + v.server.Settings.AuthorizePath + "}    # is it the right path?"),
			{"the app", []string{"answer 204, 401 or 403, or JSON, and nothing else"}},
		},
	})
	return true
}

// checkUser looks what a user who is logged in may have, and how long that takes.
func (v *visit) checkUser(ctx context.Context, channel string, invented bool) {
	a := v.authorize(ctx, "user", channel, v.Cookie)
	if a == nil || v.failed(a) {
		return
	}
	f := Finding{Kind: Fine, Check: checkAuthorize, Sent: "GET " + v.server.Settings.AuthorizePath + "?channel=" + channel + " with the cookie"}
	const slow = time.Second
	switch took := time.Duration(a.Millis) * time.Millisecond; {
	case v.Channel != "" && !a.Allowed:
		f.Kind, f.Title, f.Seen = Broken, "The app denies "+channel+" to the user of the cookie.", fmt.Sprintf("status %d", a.Status)
		f.Change = []Change{{"the app", []string{"answer 204 for a channel that is the user's"}}, {"doctor", []string{"is the cookie that of a user who is logged in now?"}}}
	case invented && a.Allowed:
		f.Kind, f.Title, f.Seen = WillBite, "The app allows a channel that does not exist: it may not look at the channel at all, and let every user have those of others.", channel+" was allowed"
		f.Change = []Change{{"the app", []string{"compare the parameter channel with what the user may see"}}}
	case took > slow:
		f.Kind, f.Title, f.Seen = WillBite, "Authorization requests are slow: each subscription waits for one.", fmt.Sprintf("%v", took)
		f.Change = []Change{{"the app", []string{"a small script that only looks at the session"}}, inConfig("push: {authorize_cache: 30s}")}
	default:
		what := "denies one that does not exist"
		if a.Allowed {
			what = "allows it"
		}
		f.Title = fmt.Sprintf("The app answers a user who is logged in, in %d ms: it %s.", a.Millis, what)
	}
	v.report.add(f)
	if v.Channel == "" {
		v.report.skip("whether the app allows what it should: -channel NAME, of one that the user may have.")
	}
	v.checkLock(ctx, channel, time.Duration(a.Millis)*time.Millisecond)
}

const (
	slowPage  = 500 * time.Millisecond // a page that takes less shows no lock
	lockDelay = 100 * time.Millisecond // until the page has begun its session
	maxPage   = 20 * time.Second
)

// checkLock looks whether an authorization request waits for another request of the same session, which takes usual
// before.
func (v *visit) checkLock(ctx context.Context, channel string, usual time.Duration) {
	target, err := pageBeside(v.page, v.Page)
	if err != nil {
		v.report.skip("a lock of the session: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxPage)
	defer cancel()
	tookc := make(chan time.Duration, 1)
	go func() {
		started := time.Now()
		_, err := v.front.get(ctx, target.String(), v.Cookie, http.Header{"Accept": {"text/html"}})
		if err != nil {
			tookc <- 0
			return
		}
		tookc <- time.Since(started)
	}()
	time.Sleep(lockDelay)
	a := v.authorize(ctx, "lock", channel, v.Cookie)
	took := <-tookc
	if a == nil {
		return
	}
	waited := time.Duration(a.Millis) * time.Millisecond
	f := Finding{
		Kind: WillBite, Check: checkLock, Title: "Authorization waits while another request of the same user runs: the app locks the session.",
		Sent: "GET " + target.Path + ", and an authorization request while it ran",
		Seen: fmt.Sprintf("the page took %d ms, authorization %d ms, and %d ms alone", took.Milliseconds(), waited.Milliseconds(), usual.Milliseconds()),
		Change: []Change{
			{"the app, in PHP", []string{"session_write_close();    // in slow pages, once they have read the session", "session_start(['read_and_close' => true]);    // in the script of push.authorize_path"}},
		},
	}
	switch {
	case a.Error != "":
		f.Kind, f.Seen = Broken, clip(a.Hint)
	case took < slowPage:
		v.report.skip("a lock of the session: the page took only %d ms. -page PATH of a slow one, such as a poll.", took.Milliseconds())
		return
	case waited < usual+(took-lockDelay)/2:
		f = Finding{Kind: Fine, Check: checkLock, Title: "Authorization does not wait for other requests of the same user."}
	}
	v.report.add(f)
}
