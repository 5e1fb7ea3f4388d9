package upgrade

import (
	"net/netip"
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
)

// session is who holds a connection and until when. Connections of nobody in particular have none.
type session struct {
	user       string
	told       bool // the observer knows of it
	credential uint64
	more       []uint64 // further credentials that its client sent

	grant *auth.TokenGrant // what its token is good for; the hold ends with it; nil: it has none

	ask     *auth.Request // what the app is asked again; nil: it is not
	expires time.Time     // when; zero: only when something has happened
	failing time.Time     // since when it could not be asked
	asking  bool
	again   bool      // ask once more after that
	beat    time.Time // when the next heartbeat is due, with expires

	// In the lists of its loop's register.
	sameUser, sameCredential link
}

// link is a place in a doubly linked list.
type link struct{ prev, next *held }

// register is what the connections of one loop have in common: whose they are, and the renderings that slow readers
// wait for.
type register struct {
	users       map[string]*held
	credentials map[uint64]*held
	more        map[uint64]map[*held]struct{}
	queues      *sendqueue.Memory        // of slow readers
	clients     map[*held]netip.AddrPort // who is behind the connections of trusted proxies
	date        http1.Date
}

func (x *held) register() *register { return &x.k.registers[x.c.Loop().Index] }

// initSession creates the session of a connection that has a user, a token or an authorization to renew. Otherwise it
// leaves x.session nil.
func (x *held) initSession(spec *Spec) {
	x.adopt(spec.User, spec.Ask, spec.Expires)
	if spec.Token == nil {
		return
	}
	if x.session == nil {
		x.session = new(session)
	}
	x.session.grant = spec.Token
	x.enlist(spec.Credentials)
}

// query returns what is known of a connection that wants to subscribe to more.
func (x *held) query(channels []string) auth.Query {
	q := auth.Query{
		Channels: channels, Held: x.membership.Group().Channels(), Max: x.k.o.MaxChannels, Now: x.c.Loop().Now(),
	}
	if s := x.session; s != nil {
		q.User, q.Fixed, q.Grant = s.user, s.user != "" || s.grant != nil, s.grant
	}
	return q
}

// due is when something is to be done about a session: the app is asked again, or the token ends. Zero: never.
func (s *session) due() time.Time {
	if s.grant == nil || !s.expires.IsZero() && s.expires.Before(s.grant.ExpiresAt) {
		return s.expires
	}
	return s.grant.ExpiresAt
}

// enlist notes which session of the app the connection belongs to.
func (x *held) enlist(list []uint64) {
	s, r := x.session, x.register()
	if s.credential != 0 || len(list) == 0 {
		return
	}
	c := list[0]
	for _, more := range list[1:] {
		if r.more[more] == nil {
			r.more[more] = map[*held]struct{}{}
		}
		r.more[more][x] = struct{}{}
		s.more = append(s.more, more)
	}
	s.credential = c
	if head := r.credentials[c]; head != nil {
		s.sameCredential.next, head.session.sameCredential.prev = head, x
	}
	r.credentials[c] = x
}

// adopt notes what the app has said of a connection: whose it is, and what it is asked again and when. A user stays
// the first that was named.
func (x *held) adopt(user string, ask *auth.Request, expires time.Duration) {
	if user == "" && ask == nil {
		return
	}
	if x.session == nil {
		x.session = new(session)
	}
	s, r := x.session, x.register()
	if s.user == "" && user != "" {
		s.user = user
		if head := r.users[user]; head != nil {
			s.sameUser.next, head.session.sameUser.prev = head, x
		}
		r.users[user] = x
		x.countUser(user)
	}
	if ask == nil {
		return
	}
	q := *ask
	if s.ask != nil {
		q.Channels = x.stillAsked(s.ask.Channels, q.Channels)
	}
	s.ask = &q
	x.enlist(x.k.auth.Credentials.Of([][]byte{[]byte(q.Cookie)}, nil))
	if at := x.c.Loop().Now().Add(expires); expires > 0 && (s.expires.IsZero() || at.Before(s.expires)) {
		s.expires = at
	}
}

// stillAsked returns what the app is asked about from now on: what was asked before and is still held, and what is new. So
// a client that comes and goes does not make the list grow.
func (x *held) stillAsked(before, more []string) []string {
	held := x.membership.Group().Channels()
	list := slices.Clone(more)
	for _, name := range before {
		isHeld := slices.ContainsFunc(held, func(h string) bool { return auth.Contains([]string{name}, h) })
		if isHeld && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// named is a beginning of its own: whom the app names later was nobody before.
func (x *held) named(user string, ask *auth.Request, expires time.Duration) {
	was := ""
	if x.session != nil {
		was = x.session.user
	}
	if was == "" && user != "" {
		x.ended("user_identified", func() {})
	}
	x.adopt(user, ask, expires)
	if was == "" && user != "" {
		x.begun()
	}
	if x.session != nil && !x.session.due().IsZero() {
		x.beatOn(x.c.Loop().Now())
	}
}

// forget takes the connection out of the register.
func (x *held) forget() {
	s := x.session
	if s == nil {
		return
	}
	x.session = nil
	r := x.register()
	if s.user != "" {
		x.k.users.Remove(s.user, connRef{x.c.Ref(), x.c.Loop()})
		if p := s.sameUser.prev; p != nil {
			p.session.sameUser.next = s.sameUser.next
		} else if s.sameUser.next != nil {
			r.users[s.user] = s.sameUser.next
		} else {
			delete(r.users, s.user)
		}
		if n := s.sameUser.next; n != nil {
			n.session.sameUser.prev = s.sameUser.prev
		}
	}
	for _, c := range s.more {
		if delete(r.more[c], x); len(r.more[c]) == 0 {
			delete(r.more, c)
		}
	}
	if s.credential != 0 {
		if p := s.sameCredential.prev; p != nil {
			p.session.sameCredential.next = s.sameCredential.next
		} else if s.sameCredential.next != nil {
			r.credentials[s.credential] = s.sameCredential.next
		} else {
			delete(r.credentials, s.credential)
		}
		if n := s.sameCredential.next; n != nil {
			n.session.sameCredential.prev = s.sameCredential.prev
		}
	}
}

// await sets the deadline: d from now, or the end of what the app allowed if that is earlier.
func (x *held) await(d time.Duration) {
	if s := x.session; s != nil && !s.due().IsZero() {
		now := x.c.Loop().Now()
		if s.beat = (time.Time{}); d > 0 {
			s.beat = now.Add(d)
		}
		if left := s.due().Sub(now); d <= 0 || left < d {
			d = max(left, time.Millisecond)
		}
	}
	x.c.SetDeadline(d)
}

// expired asks the app again if it is time to. It reports whether that is all that is due.
func (x *held) expired() bool {
	s := x.session
	if s == nil || s.due().IsZero() || x.answered {
		return false
	}
	now := x.c.Loop().Now()
	if !s.expires.IsZero() && !s.expires.After(now) {
		if x.form.asksAgain() { // its next request does
			x.form.conclude(x)
			return true
		}
		s.expires = now.Add(renewRetry)
		x.renew()
	}
	switch {
	case s.beat.IsZero():
		x.await(0)
	case s.beat.After(now):
		x.await(s.beat.Sub(now))
	default:
		return false
	}
	return true
}

// beatOn sets the deadline again after expires has changed.
func (x *held) beatOn(now time.Time) {
	s := x.session
	switch {
	case x.form.asksAgain(): // its wait goes on
	case s.beat.IsZero():
		x.await(jitter(x.k.o.Heartbeat))
	default:
		x.await(max(s.beat.Sub(now), time.Millisecond))
	}
}

// connRef is a connection and its loop, for other goroutines.
type connRef struct {
	ref  park.Ref
	loop *park.Loop
}

// countUser counts the connection as its user's, and closes the user's oldest if there are too many.
func (x *held) countUser(user string) {
	k := x.k
	oldest, evict := k.users.Add(user, connRef{x.c.Ref(), x.c.Loop()}, time.Now())
	if !evict {
		return
	}
	oldest.ref.Post(oldest.loop, func(c *park.Conn) {
		if x, ok := c.Handler().(*held); ok && x.session != nil && x.session.user == user {
			k.o.Log.Info("connection closed for a newer one: push.max_connections_per_user reached",
				"limit", k.o.MaxPerUser, "user", user, "transport", x.form.transport(), "client", x.client())
			x.expel(429, auth.ErrUserLimit.Error(), crowdedOut)
		}
	})
}
