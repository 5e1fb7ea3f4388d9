package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/channel"
)

// Reasons why a client may not subscribe. The texts are for the client.
var (
	ErrTokenMissing = errors.New("a token is missing: send Authorization: Bearer, or token= in the URL")
	ErrTokenExpired = errors.New("the token has expired")
	ErrTokenChannel = errors.New("the token does not allow this channel")
	ErrTokenUser    = errors.New("the token is another user's; connect again")
	ErrNotLoggedIn  = errors.New("not logged in")
	ErrNotAllowed   = errors.New("not allowed")
	ErrLoginUser    = errors.New("the login is another user's now; connect again")
	ErrTwoUsers     = errors.New("the token and the login are not the same user's")
	ErrOwner        = errors.New("this channel is another user's")
	ErrUserLimit    = errors.New("too many connections of this user")
	ErrMaxChannels  = errors.New("too many channels")
)

// Query is a request to subscribe, and everything known about the client.
type Query struct {
	Channels []string // names and patterns
	Held     []string // channels of the connection; those of Channels among them are not decided again
	Max      int      // channels that may be named at once; zero: any number

	User  string // user of the connection
	Fixed bool   // User is final, even if it is empty; false: the app may name the user

	Grant  *TokenGrant // of the client's token; nil: it has none
	Result *Result     // the app's response about Asked; nil: there was no request
	Asked  []string    // channels of an earlier Decision with the outcome Ask
	Server bool        // the app itself requests it, so neither authorization nor a token is needed

	AtLimit func(user string) bool // reports whether the user is at the limit of connections; nil: there is none
	Now     time.Time
}

// Outcome is the kind of a Decision.
type Outcome uint8

// The zero Outcome refuses, so an incomplete Decision never allows.
const (
	Refused Outcome = iota
	Ask             // send an authorization request, and decide again with its result
	Granted
)

// Decision is the result of Decide.
type Decision struct {
	Outcome  Outcome
	Channels []string // Ask: channels for the authorization request. Granted: channels that the client may subscribe to
	User     string   // Granted: the connection's user from now on; Refused: the user, for the log

	Status  int    // Refused: of HTTP
	Err     error  // Refused: one of this package's, or what Rules.Valid says
	Channel string // Refused: the channel that is the reason; empty: none in particular
}

func refused(status int, err error, channel string) Decision {
	return Decision{Status: status, Err: err, Channel: channel}
}

// Decide decides whether a client may subscribe: for a new connection, for a held one that adds channels, and when an
// authorization is renewed. It depends on its arguments only.
func Decide(r *channel.Rules, q *Query) Decision {
	if q.Max > 0 && len(q.Channels) > q.Max {
		return refused(400, maxChannels(q.Max), "")
	}
	user := q.User
	if g := q.Grant; g != nil {
		switch {
		case g.Expired(q.Now):
			return refused(401, ErrTokenExpired, "")
		case q.Fixed && g.User != user:
			return refused(403, ErrTokenUser, "")
		}
		user = g.User
	}
	ask, d := q.sort(r, user)
	if d.Err != nil {
		d.User = user
		return d
	}
	if q.Grant != nil && q.AtLimit != nil && q.AtLimit(user) {
		return Decision{Status: 429, Err: ErrUserLimit, User: user}
	}
	switch {
	case len(ask) == 0:
		return Decision{Outcome: Granted, Channels: q.Channels, User: user}
	case q.Result == nil:
		return Decision{Outcome: Ask, Channels: ask, User: user}
	}
	return q.byApp(r, user, ask)
}

// sort returns the channels that the app decides about. A Decision with an error refuses one of the others.
func (q *Query) sort(r *channel.Rules, user string) (ask []string, d Decision) {
	for _, name := range q.Channels {
		if status, err := Check(r, name); err != nil {
			return nil, refused(status, err, name)
		}
		access := Access(r, name)
		switch {
		case slices.Contains(q.Held, name), access == channel.Public && !q.Server:
			continue
		case q.Server:
		case access == channel.Token:
			switch {
			case q.Grant == nil:
				return nil, refused(401, ErrTokenMissing, name)
			case !q.Grant.Allows(r, name):
				return nil, refused(403, ErrTokenChannel, name)
			}
		case access == channel.Authorize:
			if !slices.Contains(ask, name) {
				ask = append(ask, name)
			}
			continue // the owner is checked when the app has named the user
		default:
			return nil, refused(403, ErrNotAllowed, name)
		}
		if !owns(r, user, name) {
			return nil, refused(403, ErrOwner, name)
		}
	}
	return ask, Decision{}
}

// byApp applies the app's response.
func (q *Query) byApp(r *channel.Rules, user string, ask []string) Decision {
	a := q.Result
	switch {
	case !a.Allowed && a.Status == 401:
		return refused(401, ErrNotLoggedIn, "")
	case !a.Allowed:
		return refused(403, ErrNotAllowed, "")
	case q.Fixed && a.User != q.User:
		return refused(401, ErrLoginUser, "")
	case q.Grant != nil && a.User != user:
		return refused(403, ErrTwoUsers, "")
	case q.AtLimit != nil && q.AtLimit(a.User):
		return Decision{Status: 429, Err: ErrUserLimit, User: a.User}
	}
	// A channel that needs authorization now, and was not in the request, is not allowed by the response.
	allowed := slices.DeleteFunc(slices.Clone(ask), func(name string) bool { return !slices.Contains(q.Asked, name) })
	if a.Channels != nil {
		allowed = allowedOf(r, allowed, a.Channels)
	}
	for _, name := range allowed {
		if !owns(r, a.User, name) {
			return Decision{Status: 403, Err: ErrOwner, Channel: name, User: a.User}
		}
	}
	d := Decision{Outcome: Granted, Channels: q.Channels, User: a.User}
	if len(allowed) == len(ask) && a.Channels == nil {
		return d
	}
	d.Channels = slices.DeleteFunc(slices.Clone(q.Channels), func(name string) bool {
		return slices.Contains(ask, name) && !slices.Contains(allowed, name)
	})
	for _, name := range allowed { // parts of a pattern
		if !slices.Contains(d.Channels, name) {
			d.Channels = append(d.Channels, name)
		}
	}
	switch {
	case len(d.Channels) == 0:
		return refused(403, ErrNotAllowed, "")
	case q.Max > 0 && len(d.Channels) > q.Max: // for a pattern the app may name several
		return refused(403, maxChannels(q.Max), "")
	}
	return d
}

// allowedOf returns which of the named channels were requested, by name or as a part of a pattern.
func allowedOf(r *channel.Rules, ask, named []string) (list []string) {
	for _, name := range named {
		if Access(r, name) == channel.Authorize && Contains(ask, name) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// owns reports whether the user may have the channel: it belongs to no single user, or to this one.
func owns(r *channel.Rules, user, name string) bool {
	owner, owned := r.Owner(name)
	return !owned || user != "" && owner == user
}

// maxChannels is an ErrMaxChannels that says how many are allowed.
func maxChannels(n int) error { return &countError{n} }

type countError struct{ max int }

func (e *countError) Error() string        { return fmt.Sprintf("more than %d channels", e.max) }
func (e *countError) Is(target error) bool { return target == ErrMaxChannels }

// Narrow returns the change for a connection when the app, after a new request about asked, allows only some of these
// channels: the held channels to leave, and the parts to join of a pattern that is left.
func Narrow(held, asked, allowed []string) (join, leave []string) {
	for _, name := range held {
		if Contains(asked, name) && !Contains(allowed, name) {
			leave = append(leave, name)
		}
	}
	for _, name := range allowed {
		if PatternOf(leave, name) != "" && !slices.Contains(held, name) {
			join = append(join, name)
		}
	}
	return join, leave
}
