package session

import (
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/heldrecord"
)

// Record returns what another process restores; nil if there is no session.
func (s *Session[C]) Record() *heldrecord.Session {
	if s == nil {
		return nil
	}
	return &heldrecord.Session{
		Told: s.Told, User: s.user, Credentials: s.Credentials(), Grant: (*heldrecord.Grant)(s.Grant),
		Ask: (*heldrecord.Request)(s.ask), Asking: s.asked != notAsked,
		Expires: s.expires, Failing: s.failing, NextHeartbeat: s.NextHeartbeat,
	}
}

// Restore returns the session of another process's connection. A response to an authorization request in progress never
// comes, so it is sent again.
func Restore[C any](x *Index[C], conn C, r *heldrecord.Session, now time.Time) *Session[C] {
	s := &Session[C]{
		Conn: conn, Told: r.Told, Grant: (*auth.TokenGrant)(r.Grant), ask: (*auth.Request)(r.Ask),
		expires: r.Expires, failing: r.Failing, NextHeartbeat: r.NextHeartbeat,
	}
	if r.Asking {
		s.expires = now
	}
	if r.User != "" {
		x.SetUser(s, r.User)
	}
	x.SetCredentials(s, r.Credentials)
	return s
}
