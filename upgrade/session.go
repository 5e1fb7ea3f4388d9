package upgrade

import (
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/park"
)

// renewRetry is after how long an app that could not be asked again is asked again.
const renewRetry = 5 * time.Second

// session is who holds a connection and until when. Connections of nobody in particular have none.
type session struct {
	user       string
	told       bool // the observer knows of it
	credential uint64
	more       []uint64 // further credentials that its client sent

	pass *Pass // what its token is good for; the hold ends with it; nil: it has none

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
	waiting     map[*byte]int // by a rendering's first byte: in how many outboxes it is
}

func (x *held) register() *register { return &x.k.registers[x.c.Loop().Index] }

// know makes the session of a connection that is somebody's.
func (x *held) know(s *Spec) {
	x.adopt(s.User, s.Ask, s.Expires)
	if s.Token == nil {
		return
	}
	if x.session == nil {
		x.session = new(session)
	}
	x.session.pass = s.Token
	x.enlist(s.credentials)
}

// due is when something is to be done about a session: the app is asked again, or the token ends. Zero: never.
func (s *session) due() time.Time {
	if s.pass == nil || !s.expires.IsZero() && s.expires.Before(s.pass.Ends) {
		return s.expires
	}
	return s.pass.Ends
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
		x.seat(user)
	}
	if ask == nil {
		return
	}
	q := *ask
	if s.ask != nil {
		q.Channels = slices.Concat(s.ask.Channels, q.Channels)
	}
	s.ask = &q
	x.enlist(x.k.credentials([][]byte{[]byte(q.Cookie)}, nil))
	if at := x.c.Loop().Now().Add(expires); expires > 0 && (s.expires.IsZero() || at.Before(s.expires)) {
		s.expires = at
	}
}

// named is a beginning of its own: whom the app names later was nobody before.
func (x *held) named(user string, ask *auth.Request, expires time.Duration) {
	was := ""
	if x.session != nil {
		was = x.session.user
	}
	if was == "" && user != "" {
		x.ended("named", func() {})
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
		x.k.crowd.leave(s.user, seat{x.c.Ref(), x.c.Loop()})
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

// renew asks the app whether the client may still hold what it holds.
func (x *held) renew() {
	s := x.session
	if s == nil || s.ask == nil || s.asking {
		return
	}
	q, k, ref, loop, user, credential := *s.ask, x.k, x.c.Ref(), x.c.Loop(), s.user, s.credential
	s.asking = k.askers.run(func() {
		v, err := k.o.Authorize(q) // not what is remembered
		if err == nil && (!v.Allowed || v.User != user) {
			k.verdicts.dropQuestion(&q, credential, user)
		}
		ref.Post(loop, func(c *park.Conn) {
			if c.Handler() == park.Handler(x) && x.session == s {
				s.asking = false
				x.renewed(v, err)
				if s.again && x.session == s {
					s.again = false
					x.renew()
				}
			}
		})
	})
}

// reconsider is renew after something has happened: what the app is just being asked may be answered as of before.
func (x *held) reconsider() {
	if s := x.session; s != nil && s.asking {
		s.again = true
		return
	}
	x.renew()
}

// endedMeanwhile looks whether the session has ended between the app's yes and the hold's beginning. It reports whether
// the hold is over with that; where the app can be asked again, it is.
func (x *held) endedMeanwhile(asked uint64) bool {
	s, k := x.session, x.k
	if s == nil || !k.endings.since(asked, append(s.more, s.credential, k.userID(s.user))...) {
		return false
	}
	if s.ask != nil {
		x.reconsider()
		return false
	}
	x.expel(403, "disconnected", disconnected)
	return true
}

// renewed does what the app has said.
func (x *held) renewed(v auth.Result, err error) {
	s, k, now := x.session, x.k, x.c.Loop().Now()
	switch {
	case err != nil:
		k.stats.authorizeErrors.Add(1)
		if s.failing.IsZero() {
			s.failing = now
		}
		k.o.Log.Error("the app could not be asked whether a client may still hold", "error", err, "user", s.user, "since", s.failing)
		if now.Sub(s.failing) >= k.o.AuthorizeGrace {
			x.expel(503, "could not be authorized again", unasked)
			return
		}
		s.expires = now.Add(min(renewRetry, k.o.AuthorizeGrace))
		x.beatOn(now)
		return
	case !v.Allowed && v.Status == 401, v.Allowed && v.User != s.user:
		x.expel(401, "not logged in any more", refused)
		return
	case !v.Allowed:
		x.expel(403, "not allowed any more", refused)
		return
	}
	s.failing, s.expires = time.Time{}, time.Time{}
	if v.Expires > 0 {
		s.expires = now.Add(v.Expires)
	}
	if v.Channels != nil && !x.narrow(v.Channels) {
		return
	}
	x.beatOn(now)
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

// narrow leaves the channels that the app was asked for and does not allow any more. It reports whether the
// connection goes on.
func (x *held) narrow(allowed []string) bool {
	var lost, join []string
	had := x.membership.Group().Channels()
	for _, c := range had {
		if x.k.within(x.session.ask.Channels, c) && !x.k.within(allowed, c) {
			lost = append(lost, c)
		}
	}
	for _, c := range allowed { // of a pattern some parts may be left
		if x.k.pattern(lost, c) != "" && !slices.Contains(had, c) {
			join = append(join, c)
		}
	}
	switch {
	case len(lost) == 0:
		return true
	case len(lost) == len(had) && len(join) == 0:
		x.expel(403, "not allowed any more", refused)
		return false
	case x.form.asksAgain():
		x.form.conclude(x)
		return false
	}
	q := *x.session.ask
	q.Channels = allowed
	x.session.ask = &q
	s := x.session
	if x.change(join, lost) != nil { // more parts than a connection may hold
		x.expel(403, "not allowed any more", refused)
		return false
	}
	return x.session == s // else it was slow, too
}

// expel ends a hold that is not allowed any more.
func (x *held) expel(status int, why string, reason dropReason) {
	x.form.close(x, closing{status: status, text: why, why: reason})
}
