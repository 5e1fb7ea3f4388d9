package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/channel"
)

// Why a client may not subscribe. The texts are for the client.
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

// Query is a wish to subscribe, and all that is known of who has it.
type Query struct {
	Channels []string // names and patterns
	Held     []string // those of them that the connection has already are not decided about again
	Max      int      // channels that may be named at once; zero: any number

	User  string // whose the connection is
	Fixed bool   // User holds, also if it is empty and thus nobody. False: it is whose the app says first

	Grant  *TokenGrant // of the client's token; nil: it has none
	Result *Result     // what the app has answered about Asked; nil: it was not asked
	Asked  []string    // what an earlier Decision gave to Ask
	Server bool        // the app itself wants it: it is not asked, and no token is needed

	AtLimit func(user string) bool // the user has all the connections that one may have; nil: any number
	Now     time.Time
}

// Outcome is what was decided.
type Outcome uint8

// The zero Outcome refuses: nothing that is left out counts as a yes.
const (
	Refused Outcome = iota
	Ask             // the app is to be asked, and then to be decided again
	Granted
)

// Decision is what Decide answers.
type Decision struct {
	Outcome  Outcome
	Channels []string // Ask: what the app is to be asked about. Granted: what may be subscribed to
	User     string   // Granted: whose the connection is from now on; Refused: whose it would have been, for the log

	Status  int    // Refused: of HTTP
	Err     error  // Refused: one of this package's, or what Rules.Valid says
	Channel string // Refused: which channel it is about; empty: none in particular
}

func refused(status int, err error, channel string) Decision {
	return Decision{Status: status, Err: err, Channel: channel}
}

// Decide decides who may subscribe to what: for a connection that begins, for one that is held and wants more, and for
// one whose authorization is renewed. It looks at nothing but its arguments.
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
			continue // whose it may be is known when the app has named the user
		default:
			return nil, refused(403, ErrNotAllowed, name)
		}
		if !owns(r, user, name) {
			return nil, refused(403, ErrOwner, name)
		}
	}
	return ask, Decision{}
}

// byApp applies the app's answer about what it was asked.
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
	// What needs the app by now and was not asked for is not allowed by an answer about the rest.
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

// allowedOf returns which of the named channels were asked for, by name or as a part of a pattern.
func allowedOf(r *channel.Rules, ask, named []string) (list []string) {
	for _, name := range named {
		if Access(r, name) == channel.Authorize && Contains(ask, name) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// owns reports whether the name may be the user's: it is no single user's, or this one's.
func owns(r *channel.Rules, user, name string) bool {
	owner, owned := r.Owner(name)
	return !owned || user != "" && owner == user
}

// maxChannels is an ErrMaxChannels that says how many are allowed.
func maxChannels(n int) error { return &countError{n} }

type countError struct{ max int }

func (e *countError) Error() string        { return fmt.Sprintf("more than %d channels", e.max) }
func (e *countError) Is(target error) bool { return target == ErrMaxChannels }

// Narrow returns what changes for a connection when the app, asked anew about the channels asked, allows only some of
// them: which of those held are to be left, and which parts of a pattern that is left are to be joined.
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
