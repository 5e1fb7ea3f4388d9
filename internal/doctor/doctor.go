// Package doctor finds out whether Holdfast works from where its clients are. It sends requests to the front address, as
// a browser does, and asks Holdfast by its API how they arrived. It sends the app nothing but a visit of one page and,
// with a login, authorization requests; nobody else receives what it publishes.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/inspect"
)

// MaxWait is the most of Options.Wait.
const MaxWait = inspect.Lifetime - 5*time.Minute

// Options say what to examine.
type Options struct {
	URL      string        // of the app, as browsers have it
	API      string        // of the API listener: http://host:port or unix:/path
	AppAPI   string        // where the app publishes; empty: at API
	Token    string        // hooks.token
	Cookie   string        // of a user who is logged in; empty: logins are not tested
	Channel  string        // that this user may have; empty: one that does not exist
	Page     string        // path of a slow page; empty: that of URL
	Wait     time.Duration // how long connections are silent
	Insecure bool          // any certificate is accepted
}

// visit is one examination.
type visit struct {
	Options
	page   *url.URL
	front  *browser
	server *session                   // nil: there is no API
	quiet  *session                   // of connections that get nothing
	seen   map[string]inspect.Request // how requests arrived, by name
	report *Report
	kind   frontKind
	local  string // this end of the connection of the first request
}

// Run examines a set-up. An error means that the options are wrong.
func Run(ctx context.Context, o Options) (*Report, error) {
	page, err := url.Parse(o.URL)
	if err != nil || page.Host == "" || page.Scheme != "http" && page.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as https://www.example.com/", o.URL)
	}
	if o.Wait < time.Second || o.Wait > MaxWait {
		return nil, fmt.Errorf("a wait of %v; want 1s to %v", o.Wait, MaxWait)
	}
	shown, login := page.Redacted(), page.User
	if page.User = nil; page.Path == "" {
		page.Path = "/"
	}
	v := &visit{
		Options: o, page: page, seen: map[string]inspect.Request{},
		front:  newBrowser(&url.URL{Scheme: page.Scheme, Host: page.Host, User: login}, o.Insecure),
		report: &Report{URL: shown, Front: "nothing recognized in front", Findings: []Finding{}, NotTested: []string{}},
	}
	defer v.front.close()
	if v.examine(ctx); ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	v.report.sort()
	return v.report, nil
}

// examine makes all checks that are possible.
func (v *visit) examine(ctx context.Context) {
	v.beginSessions(ctx)
	if v.server == nil {
		v.reachWithoutAPI(ctx)
		return
	}
	defer v.endSessions(ctx)
	v.checkAPI(ctx)
	v.checkFiles()
	if !v.checkReach(ctx) {
		return
	}
	silent := v.beginSilence(ctx)
	held := v.beginHeld(ctx)
	v.deliver(ctx, held)
	v.checkRequests(ctx)
	v.checkForged(ctx)
	v.checkLogins(ctx)
	v.awaitSilence(ctx, silent)
	v.endHeld(ctx, held)
}

// query returns the query of a request to the push path.
func query(s *session, probe string, more ...string) url.Values {
	q := url.Values{"doctor": {s.Secret}, "probe": {probe}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// pushURL returns the URL of a request to the push path that is named probe.
func (v *visit) pushURL(s *session, probe string, more ...string) string {
	return v.front.url(s.Settings.PushPaths[0], query(s, probe, more...))
}

// ask sends a request to the push path that is answered at once, and returns the response and how it arrived; nil: it
// did not arrive.
func (v *visit) ask(ctx context.Context, probe, cookie string, h http.Header, more ...string) (*answer, *inspect.Request, error) {
	a, err := v.front.get(ctx, v.pushURL(v.server, probe, append(more, "wait", "0")...), cookie, h)
	if err != nil {
		return nil, nil, err
	}
	v.refresh(ctx)
	if r, ok := v.seen[probe]; ok {
		return a, &r, nil
	}
	return a, nil, nil
}

// refresh asks how the requests arrived.
func (v *visit) refresh(ctx context.Context) {
	if list, err := v.server.seen(ctx); err == nil {
		v.seen = list
	}
}

// field returns the values of a field of a request, joined; and whether it is there.
func field(r *inspect.Request, name string) (value string, ok bool) {
	for _, f := range r.Fields {
		if strings.EqualFold(f[0], name) {
			if ok {
				value += ", "
			}
			value, ok = value+f[1], true
		}
	}
	return value, ok
}
