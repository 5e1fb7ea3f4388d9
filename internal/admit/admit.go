// Package admit decides what a request gets before anything is asked for it: a refusal, a redirect, or its way to the push path, an
// app or a file. Where a login has to be verified first, the connection waits for a worker.
package admit

import (
	"errors"
	"net/netip"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

// Options of a Gate.
type Options struct {
	Sites *route.Sites
	Owns  func(path []byte) bool // reports whether a path is Holdfast's own; nil: none is

	RedirectHTTPS bool   // redirects a client that used plain http, as a trusted proxy says, to https
	HTTPSPort     uint16 // of these redirects; 0: the scheme's

	Logins int // verified at once; 0: 1
}

// PushHandler serves the requests that are Holdfast's own.
type PushHandler interface {
	// Owns reports whether a path, as sent and without the query, is Holdfast's own.
	Owns(path []byte) bool

	// Serve takes over c, on its loop, with a request whose head has passed the strict check. The request is valid
	// during the call only. Proxy.Resume gives the connection back for its next request.
	Serve(c *park.Conn, r *request.Request)
}

// Gate decides about the requests of one proxy.
type Gate struct {
	o    Options
	pool *park.Pool

	Counts *access.Counts // refusals by their reason
}

// maxLogins is how many logins may wait for a worker.
const maxLogins = 256

// New returns a gate on the poller. It starts nothing.
func New(p *park.Poller, o Options) *Gate {
	return &Gate{o: o, pool: p.NewPool(max(o.Logins, 1), maxLogins), Counts: new(access.Counts)}
}

// With returns a gate with other options, which has the counts and the workers of g.
func (g *Gate) With(o Options) *Gate { return &Gate{o: o, pool: g.pool, Counts: g.Counts} }

// Verdict is a decision. It has a Refusal, an Attempt, an Answer, or none of them: then the request has what its route has, or is for
// the push path.
type Verdict struct {
	Route   *route.Route
	Own     bool            // the request is for the push path
	Refusal *http1.Refusal  // after which the connection closes
	Details []any           // for its line in the log
	Attempt *access.Attempt // has to be verified first: see Gate.Wait
	Answer  *Answer
	User    string // who has logged in; empty: nobody
}

// Answer is a response of Holdfast's own.
type Answer struct {
	Status int
	After  time.Duration // Retry-After; 0: none
	Fields []byte        // more lines for the head
	Why    error         // for the log
	Denied bool          // it is a refusal; otherwise a redirect
	User   string        // who has failed to log in
}

// Details are more for the line of a refusal in the log.
func (a *Answer) Details(h *http1.Head) []any {
	details := []any{"path", string(h.Path[:min(len(h.Path), 200)])}
	if a.User != "" {
		details = append(details, "user", a.User[:min(len(a.User), 64)])
	}
	return details
}

var (
	errRedirected = errors.New("redirected")
	errNoHost     = errors.New("no Host, or no path, to redirect to")
	errDenied     = errors.New("path that deny of the configuration names")
)

// Judge decides about a request of c, and counts it against the limits of its route. done is the result of an earlier verdict's
// Attempt; nil: there was none.
func (g *Gate) Judge(c *park.Conn, h *http1.Head, q *request.Request, now time.Time, done *access.Result) (v Verdict) {
	site, refusal := g.o.Sites.Find(h.Host, q.Host)
	if refusal != nil {
		return Verdict{Refusal: refusal, Details: []any{"host", string(h.Host), "forwarded_host", string(h.Forwarding[http1.ForwardedHost])}}
	}
	v.Route = site.Rest()
	limits := v.Route.Settings
	insecure := g.isInsecure(c, h, q)
	switch v.Own = !insecure && g.o.Owns != nil && site.Push && g.o.Owns(h.Path); {
	case insecure:
	case v.Own:
		v.Route, v.Refusal = site.Find(h.Path)
	default:
		if v.Route, v.Refusal = site.Open(h.Path); v.Refusal == nil {
			limits = v.Route.Settings
		}
	}
	if done == nil {
		if over := limits.Refuses(h.Length, q.Client.Addr(), now); over != nil {
			v.Refusal = over
		}
	}
	switch {
	case v.Refusal != nil:
		v.Route = site.Rest()
	case insecure:
		v.Answer = g.toHTTPS(h, q)
	case !g.denied(&v, h) && !g.closed(&v, h, q.Client.Addr(), now, done) && !v.Own:
		v.Answer = redirect(v.Route, h)
	}
	return v
}

// isInsecure reports whether a request by plain http is to be redirected. c is marked if its listener redirects. On others
// only a trusted proxy can say that a client used plain http, as a redirect could lead back here.
func (g *Gate) isInsecure(c *park.Conn, h *http1.Head, q *request.Request) bool {
	return !(q.Declared && q.HTTPS) && (park.Marked(c) || g.o.RedirectHTTPS && q.Declared && h.Path[0] == '/')
}

func (g *Gate) toHTTPS(h *http1.Head, q *request.Request) *Answer {
	if location := route.HTTPSLocation(h, q.Host, g.o.HTTPSPort); location != nil {
		return &Answer{Status: route.RedirectStatus(h.Method), Fields: location, Why: errRedirected}
	}
	return &Answer{Status: 400, Why: errNoHost}
}

// denied answers as if there were nothing, if the path is one that Deny has. The push path is none of the app's, so no pattern that
// leaves the app's own paths is about it.
func (g *Gate) denied(v *Verdict, h *http1.Head) bool {
	if v.Own || v.Route.Deny == nil || !v.Route.Deny.Denies(h.Path) {
		return false
	}
	g.Counts.Add(access.Denied)
	v.Answer = &Answer{Status: 404, Why: errDenied, Denied: true}
	return true
}

// closed reports whether the client may not have an answer of the route, or not yet.
func (g *Gate) closed(v *Verdict, h *http1.Head, client netip.Addr, now time.Time, done *access.Result) bool {
	rules := v.Route.Access
	if rules == nil {
		return false
	}
	result := access.Result{}
	if done != nil {
		result = *done
	} else if result, v.Attempt = rules.Decide(h, client, now); v.Attempt != nil {
		return true
	}
	if v.User = result.User; result.Refusal == nil {
		return false
	}
	g.Counts.Add(result.Why)
	v.User = ""
	v.Answer = &Answer{
		Status: result.Refusal.Status, After: result.Refusal.After, Fields: result.Challenge,
		Why: errors.New(result.Refusal.Reason), Denied: true, User: result.User,
	}
	return true
}

// Permit decides whether the client of a request may also have what another route has, to which the app redirects it within the
// proxy. By post, it calls next with the refusal, if it is one: soon, or when a worker has verified a login.
func (g *Gate) Permit(from, to *route.Route, h *http1.Head, client netip.Addr, now time.Time,
	post func(func(live bool, now time.Time)) bool, next func(why *http1.Refusal)) {
	decided := func(r access.Result) {
		if r.Refusal != nil {
			g.Counts.Add(r.Why)
		}
		post(func(live bool, _ time.Time) {
			if live {
				next(r.Refusal)
			}
		})
	}
	if to.Access == from.Access { // it was let in
		decided(access.Result{})
	} else if result, attempt := to.Access.Decide(h, client, now); attempt == nil {
		decided(result)
	} else if !g.verify(attempt, decided) {
		decided(busy)
	}
}

// redirect answers a request to a route that redirects, or to one whose path lacks its slash.
func redirect(r *route.Route, h *http1.Head) *Answer {
	switch {
	case r.Redirect != "":
		return &Answer{Status: r.RedirectStatus(h.Method), Fields: r.Location(h), Why: errRedirected}
	case r.LacksSlash(h):
		return &Answer{Status: 301, Fields: route.SlashLocation(h), Why: errRedirected}
	}
	return nil
}
