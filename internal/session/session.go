// Package session keeps who holds a connection and until when: its user, the sessions of the app that its client has, its
// token, and when the app is to be asked again. An [Index] finds the connections of a user and of a credential.
package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
)

// RetryAfter is when an app that could not be asked again is asked again.
const RetryAfter = 5 * time.Second

// Session is who holds a connection and until when. Connections of nobody in particular have none, which is a nil
// Session; methods that change nothing may be called on it. All run on the connection's loop.
type Session[C any] struct {
	Conn  C    // whose session it is; never changed
	Told  bool // an observer knows of the connection
	asked asked

	user       string
	credential uint64
	more       []uint64 // further credentials that its client sent

	Grant *auth.TokenGrant // what its token is good for; the hold ends with it; nil: it has none

	ask     *auth.Request // what the app is asked again; nil: it is not
	expires time.Time     // when; zero: only when something has happened
	failing time.Time     // since when it could not be asked

	NextHeartbeat time.Time // when that is due, with Due

	// In the lists of its Index.
	sameUser, sameCredential link[C]
}

// asked is whether the app is being asked again.
type asked uint8

const (
	notAsked asked = iota
	asking
	askingOnceMore // after that
)

// link is a place in a doubly linked list.
type link[C any] struct{ prev, next *Session[C] }

// User returns the user whom the app or a token has named; empty: nobody.
func (s *Session[C]) User() string {
	if s == nil {
		return ""
	}
	return s.user
}

// Credential returns that of the connection; zero: it has none.
func (s *Session[C]) Credential() uint64 {
	if s == nil {
		return 0
	}
	return s.credential
}

// Request returns what the app is asked again; nil: it is not.
func (s *Session[C]) Request() *auth.Request {
	if s == nil {
		return nil
	}
	return s.ask
}

// Known fills in what is known of a connection that wants to subscribe to more.
func (s *Session[C]) Known(q auth.Query) auth.Query {
	if s != nil {
		q.User, q.Fixed, q.Grant = s.user, s.user != "" || s.Grant != nil, s.Grant
	}
	return q
}

// CheckToken returns why a connection that holds channels cannot continue under another token: it is another user's, or
// not good for a channel that needs one.
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

// TokenExpired reports whether the connection has a token that has.
func (s *Session[C]) TokenExpired(now time.Time) bool {
	return s != nil && s.Grant != nil && s.Grant.Expired(now)
}

// Due is when something is to be done about a session: the app is asked again, or the token ends. Zero: never.
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

// RenewalDue reports whether it is time to ask the app again. If it is, the next time is after RetryAfter.
func (s *Session[C]) RenewalDue(now time.Time) bool {
	if s.expires.IsZero() || s.expires.After(now) {
		return false
	}
	s.expires = now.Add(RetryAfter)
	return true
}

// SetRequest notes what the app is asked again, after expires if that is not zero. What was asked before is asked still,
// as far as it is among the channels held. So a client that comes and goes does not make the list grow.
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

// Allow notes that of the channels that the app was asked about, it is asked about the allowed ones from now on.
func (s *Session[C]) Allow(asked, allowed []string) {
	q := *s.ask
	more := slices.DeleteFunc(slices.Clone(q.Channels), func(name string) bool { return slices.Contains(asked, name) })
	q.Channels = append(more, allowed...)
	s.ask = &q
}

// CanAsk reports whether the app can be asked again now: there is something to ask, and it is not being asked.
func (s *Session[C]) CanAsk() bool { return s != nil && s.ask != nil && s.asked == notAsked }

// SetAsking notes whether the app is being asked.
func (s *Session[C]) SetAsking(is bool) {
	if s.asked = notAsked; is {
		s.asked = asking
	}
}

// AskOnceMore has the app asked once more, if it is just being asked: that may be answered as of before. It reports
// whether it is.
func (s *Session[C]) AskOnceMore() bool {
	if s == nil || s.asked == notAsked {
		return false
	}
	s.asked = askingOnceMore
	return true
}

// FinishAsking notes that the app was asked. It reports whether it is to be asked once more.
func (s *Session[C]) FinishAsking() (again bool) {
	again = s.asked == askingOnceMore
	s.asked = notAsked
	return again
}

// Renewal is what follows from asking the app again.
type Renewal struct {
	Status  int       // with which the connection is to be closed, 503 if the app could not be asked; 0: it goes on
	Why     string    // for the client
	Since   time.Time // when the app could not be asked for the first time
	Allowed []string  // of the channels that it was asked about
}

// Renew notes what the app has said of channels, and returns what follows. An app that can't be asked is asked again; when
// that has lasted for grace, the connection is closed.
func (s *Session[C]) Renew(r *channel.Rules, channels []string, v *auth.Result, err error, grace time.Duration, now time.Time) Renewal {
	if err != nil {
		if s.failing.IsZero() {
			s.failing = now
		}
		if now.Sub(s.failing) >= grace {
			return Renewal{Status: 503, Why: "could not be authorized again", Since: s.failing}
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
		s.expires = at // what was joined meanwhile has a time of its own, which nobody knows any more: ask about all
	}
	return Renewal{Allowed: d.Channels}
}
