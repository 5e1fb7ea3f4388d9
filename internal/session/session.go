// Package session stores the user of a held connection, the sessions of the app that its client has, its token, and
// when to authorize it again. An [Index] finds the connections of a user and of a credential.
package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
)

// NotRenewed is why a connection is closed whose authorization could not be renewed.
const NotRenewed = "could not be authorized again"

// RetryAfter is after how long a failed authorization request is repeated.
const RetryAfter = 5 * time.Second

// Session is the user, the token and the authorization of a connection. A connection without these has a nil Session;
// methods that change nothing may be called on it. All run on the connection's loop.
type Session[C any] struct {
	Conn  C    // the connection; never changed
	Told  bool // the observer was notified of the connection
	asked asked

	user       string
	credential uint64
	more       []uint64 // other credentials that its client sent

	Grant *auth.TokenGrant // of its token, with which the connection ends; nil: it has none

	ask     *auth.Request // the next authorization request; nil: none
	expires time.Time     // when to send it; zero: only after an event such as a logout
	failing time.Time     // since when these requests fail

	NextHeartbeat time.Time // when that is due, with Due

	since time.Time // when the request in progress was made

	// In the lists of its Index.
	sameUser, sameCredential link[C]
}

// asked is the state of the authorization request.
type asked uint8

const (
	notAsked asked = iota
	asking
	askingOnceMore // after that
)

// link is a place in a doubly linked list.
type link[C any] struct{ prev, next *Session[C] }

// User returns the user that the app or a token has named; empty: none.
func (s *Session[C]) User() string {
	if s == nil {
		return ""
	}
	return s.user
}

// Credentials returns all sessions of the app that the client has.
func (s *Session[C]) Credentials() []uint64 {
	if s == nil || s.credential == 0 {
		return nil
	}
	return append([]uint64{s.credential}, s.more...)
}

// Credential returns the connection's own credential; zero: it has none.
func (s *Session[C]) Credential() uint64 {
	if s == nil {
		return 0
	}
	return s.credential
}

// Request returns the next authorization request; nil: none.
func (s *Session[C]) Request() *auth.Request {
	if s == nil {
		return nil
	}
	return s.ask
}

// Known adds the session's user and token to a query for more channels.
func (s *Session[C]) Known(q auth.Query) auth.Query {
	if s != nil {
		q.User, q.Fixed, q.Grant = s.user, s.user != "" || s.Grant != nil, s.Grant
	}
	return q
}

// CheckToken returns why another token can't replace the connection's: it is another user's, or does not allow one of
// the channels.
func (s *Session[C]) CheckToken(r *channel.Rules, grant *auth.TokenGrant, channels []string, now time.Time) error {
	q := auth.Query{Grant: grant, Now: now}
	if s != nil {
		q.User, q.Fixed = s.user, s.user != "" || s.Grant != nil || s.ask != nil
	}
	for _, name := range channels {
		if auth.Access(r, name) == channel.Token {
			q.Channels = append(q.Channels, name)
		}
	}
	d := auth.Decide(r, &q)
	switch {
	case d.Outcome == auth.Granted:
		return nil
	case d.Channel != "":
		return fmt.Errorf("%.300s: %w", d.Channel, d.Err)
	}
	return d.Err
}

// TokenExpired reports whether the connection has a token that has expired.
func (s *Session[C]) TokenExpired(now time.Time) bool {
	return s != nil && s.Grant != nil && s.Grant.Expired(now)
}

// Due returns when to authorize the session again, or when its token expires, whichever is earlier. Zero: never.
func (s *Session[C]) Due() time.Time {
	if s == nil {
		return time.Time{}
	}
	if s.Grant == nil || !s.expires.IsZero() && s.expires.Before(s.Grant.ExpiresAt) {
		return s.expires
	}
	return s.Grant.ExpiresAt
}

// Deadline returns how long a connection may wait whose heartbeat is due after d, or never if d is zero: d, or until Due
// if that is earlier.
func (s *Session[C]) Deadline(d time.Duration, now time.Time) time.Duration {
	due := s.Due()
	if due.IsZero() {
		return d
	}
	if s.NextHeartbeat = (time.Time{}); d > 0 {
		s.NextHeartbeat = now.Add(d)
	}
	if left := due.Sub(now); d <= 0 || left < d {
		d = max(left, time.Millisecond)
	}
	return d
}

// Spread returns a time between half of d and d for a first heartbeat: connections that begin together have theirs apart.
func Spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d/2+1)
}

// RenewalDue reports whether it is time for an authorization request. If it is, the next time is after RetryAfter.
func (s *Session[C]) RenewalDue(now time.Time) bool {
	if s.expires.IsZero() || s.expires.After(now) {
		return false
	}
	s.expires = now.Add(RetryAfter)
	return true
}

// SetRequest sets the next authorization request, due after expires if that is not zero. Channels of the present
// request that are still held are added, and others are not, so that the list does not grow without end.
func (s *Session[C]) SetRequest(ask *auth.Request, held []string, expires time.Duration, now time.Time) {
	q := *ask
	if s.ask != nil {
		q.Channels = slices.Clone(q.Channels)
		for _, name := range s.ask.Channels {
			isHeld := slices.ContainsFunc(held, func(h string) bool { return auth.Contains([]string{name}, h) })
			if isHeld && !slices.Contains(q.Channels, name) {
				q.Channels = append(q.Channels, name)
			}
		}
	}
	s.ask = &q
	if at := now.Add(expires); expires > 0 && (s.expires.IsZero() || at.Before(s.expires)) {
		s.expires = at
	}
}

// Allow removes the channels in asked that are not in allowed from the next authorization request.
func (s *Session[C]) Allow(asked, allowed []string) {
	q := *s.ask
	more := slices.DeleteFunc(slices.Clone(q.Channels), func(name string) bool { return slices.Contains(asked, name) })
	q.Channels = append(more, allowed...)
	s.ask = &q
}

// CanAsk reports whether an authorization request can be sent now: there is one, and none is in progress.
func (s *Session[C]) CanAsk() bool { return s != nil && s.ask != nil && s.asked == notAsked }

// Ask notes that an authorization request is in progress from now on.
func (s *Session[C]) Ask(now time.Time) { s.asked, s.since = asking, now }

// Asking returns how long the authorization request in progress has taken; zero: there is none.
func (s *Session[C]) Asking(now time.Time) time.Duration {
	if s.asked == notAsked {
		return 0
	}
	return now.Sub(s.since)
}

// AskOnceMore has the authorization request repeated if one is in progress, as its response may be outdated. It reports
// whether one is.
func (s *Session[C]) AskOnceMore() bool {
	if s == nil || s.asked == notAsked {
		return false
	}
	s.asked = askingOnceMore
	return true
}

// FinishAsking notes the end of an authorization request. It reports whether to repeat it.
func (s *Session[C]) FinishAsking() (again bool) {
	again = s.asked == askingOnceMore
	s.asked = notAsked
	return again
}

// Renewal is the result of a repeated authorization.
type Renewal struct {
	Status  int       // with which to close the connection, 503 if the app failed; 0: it continues
	Why     string    // for the client
	Since   time.Time // of the first failure in a row
	Allowed []string  // of the channels in the request
}

// Renew applies the app's response about channels. After a failure the request is repeated; after grace, the connection
// is to be closed.
func (s *Session[C]) Renew(r *channel.Rules, channels []string, v *auth.Result, err error, grace time.Duration, now time.Time) Renewal {
	if err != nil {
		if s.failing.IsZero() {
			s.failing = now
		}
		if now.Sub(s.failing) >= grace {
			return Renewal{Status: 503, Why: NotRenewed, Since: s.failing}
		}
		s.expires = now.Add(min(RetryAfter, grace))
		return Renewal{Since: s.failing}
	}
	d := auth.Decide(r, &auth.Query{Channels: channels, Asked: channels, Result: v, User: s.user, Fixed: true, Now: now})
	switch {
	case d.Outcome == auth.Granted:
	case errors.Is(d.Err, auth.ErrNotLoggedIn), errors.Is(d.Err, auth.ErrLoginUser):
		return Renewal{Status: 401, Why: "not logged in any more"}
	default:
		return Renewal{Status: 403, Why: "not allowed any more"}
	}
	s.failing, s.expires = time.Time{}, time.Time{}
	if v.Expires > 0 {
		s.expires = now.Add(v.Expires)
	}
	joined := s.ask != nil && slices.ContainsFunc(s.ask.Channels, func(name string) bool { return !slices.Contains(channels, name) })
	if at := now.Add(RetryAfter); joined && (s.expires.IsZero() || at.Before(s.expires)) {
		s.expires = at // channels joined meanwhile had another time, which is not stored: authorize all of them again
	}
	return Renewal{Allowed: d.Channels}
}
