package session

import (
	"errors"
	"maps"
	"math/rand"
	"slices"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
)

var now = time.Unix(1_800_000_000, 0)

// TestIndex compares an index with lists that are kept beside it.
func TestIndex(t *testing.T) {
	type conn struct {
		user        string
		credentials []uint64
	}
	x, r := NewIndex[int](), rand.New(rand.NewSource(1))
	open, sessions := map[int]conn{}, map[int]*Session[int]{}
	check := func(what string, got []int, takes func(conn) bool) {
		t.Helper()
		var want []int
		for id, c := range open {
			if takes(c) {
				want = append(want, id)
			}
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Fatalf("%s: %v; want %v", what, got, want)
		}
	}
	users := []string{"anna", "bert", "cleo"}
	for id := range 2000 {
		if ids := slices.Sorted(maps.Keys(open)); len(ids) > 12 || len(ids) > 0 && r.Intn(3) == 0 {
			old := ids[r.Intn(len(ids))]
			x.Remove(sessions[old])
			delete(open, old)
			continue
		}
		s, c := &Session[int]{Conn: id}, conn{}
		if r.Intn(4) > 0 {
			c.user = users[r.Intn(len(users))]
			x.SetUser(s, c.user)
		}
		for _, n := range r.Perm(4)[:r.Intn(4)] {
			c.credentials = append(c.credentials, uint64(n+1))
		}
		x.SetCredentials(s, c.credentials)
		x.SetCredentials(s, []uint64{99}) // is known, so this is not noted
		if len(c.credentials) == 0 {
			c.credentials = []uint64{99}
		}
		open[id], sessions[id] = c, s
		for _, user := range users {
			check(user, x.OfUser(user), func(c conn) bool { return c.user == user })
		}
		check("credentials", x.OfCredentials([]uint64{2, 7, 1}), func(c conn) bool {
			return slices.Contains(c.credentials, 1) || slices.Contains(c.credentials, 2)
		})
		for _, n := range []uint64{1, 2, 3, 4, 99} {
			check("credential", x.OfCredentials([]uint64{n}), func(c conn) bool { return slices.Contains(c.credentials, n) })
		}
	}
	for id := range open {
		x.Remove(sessions[id])
	}
	if len(x.users)+len(x.credentials)+len(x.more) > 0 {
		t.Errorf("left are %v, %v and %v", x.users, x.credentials, x.more)
	}
}

var rules = channel.Compile([]channel.Rule{{Match: "user.**", Access: channel.Authorize}})

// TestRenew: what the app says, or fails to say, of a connection of anna that holds user.a and user.b.
func TestRenew(t *testing.T) {
	const grace = 20 * time.Second
	failed := errors.New("no response")
	asked := []string{"user.a", "user.b"}
	for name, c := range map[string]struct {
		failing time.Duration // before now; negative: it is not
		result  auth.Result
		err     error
		status  int
		due     time.Duration // from now; 0: never
		allowed []string
	}{
		"as before":        {-1, auth.Result{Allowed: true, User: "anna", Expires: time.Minute}, nil, 0, time.Minute, asked},
		"without expiry":   {time.Second, auth.Result{Allowed: true, User: "anna"}, nil, 0, 0, asked},
		"fewer channels":   {-1, auth.Result{Allowed: true, User: "anna", Channels: []string{"user.b"}}, nil, 0, 0, []string{"user.b"}},
		"denied":           {-1, auth.Result{Status: 403}, nil, 403, 0, nil},
		"not logged in":    {-1, auth.Result{Status: 401}, nil, 401, 0, nil},
		"somebody else":    {-1, auth.Result{Allowed: true, User: "bert"}, nil, 401, 0, nil},
		"fails":            {-1, auth.Result{}, failed, 0, RetryAfter, nil},
		"fails still":      {grace - 1, auth.Result{}, failed, 0, RetryAfter, nil},
		"fails for long":   {grace, auth.Result{}, failed, 503, 0, nil},
		"fails, yet a yes": {grace, auth.Result{Allowed: true, User: "anna"}, failed, 503, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Session[int]{user: "anna"}
			if c.failing >= 0 {
				s.failing = now.Add(-c.failing)
			}
			r := s.Renew(rules, asked, &c.result, c.err, grace, now)
			if r.Status != c.status || !slices.Equal(r.Allowed, c.allowed) || (r.Why != "") != (c.status != 0) {
				t.Errorf("%+v; want %d, %v", r, c.status, c.allowed)
			}
			want := time.Time{}
			if c.due > 0 {
				want = now.Add(c.due)
			}
			if c.status == 0 && !s.Due().Equal(want) {
				t.Errorf("due at %v, want %v", s.Due(), want)
			}
		})
	}
}

// TestRenewAfterJoin: what is joined while the app is asked about the rest does not get the rest's time.
func TestRenewAfterJoin(t *testing.T) {
	for _, expires := range []time.Duration{0, time.Second, time.Hour} {
		s := &Session[int]{user: "anna"}
		s.SetRequest(&auth.Request{Channels: []string{"user.a"}}, nil, time.Minute, now)
		later := now.Add(time.Minute)
		if !s.RenewalDue(later) {
			t.Fatal("it is not time to ask")
		}
		s.SetRequest(&auth.Request{Channels: []string{"user.b"}}, []string{"user.a", "user.b"}, 10*time.Second, later)
		s.Renew(rules, []string{"user.a"}, &auth.Result{Allowed: true, User: "anna", Expires: expires}, nil, time.Minute, later)
		want := later.Add(RetryAfter)
		if expires == time.Second {
			want = later.Add(expires)
		}
		if !s.Due().Equal(want) {
			t.Errorf("%v: due at %v, want %v", expires, s.Due(), want)
		}
	}
}

// TestDeadline: the heartbeat, or what comes before it.
func TestDeadline(t *testing.T) {
	token := func(d time.Duration) *Session[int] {
		return &Session[int]{Grant: &auth.TokenGrant{ExpiresAt: now.Add(d)}}
	}
	for name, c := range map[string]struct {
		s       *Session[int]
		d, want time.Duration
	}{
		"nobody's":             {nil, time.Second, time.Second},
		"nothing is due":       {new(Session[int]), time.Second, time.Second},
		"heartbeat first":      {token(time.Minute), time.Second, time.Second},
		"token first":          {token(time.Second), time.Minute, time.Second},
		"no heartbeat":         {token(time.Second), 0, time.Second},
		"token is over":        {token(-time.Second), time.Minute, time.Millisecond},
		"renewal before token": {&Session[int]{Grant: token(time.Minute).Grant, expires: now.Add(3 * time.Second)}, time.Hour, 3 * time.Second},
	} {
		if got := c.s.Deadline(c.d, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestSetRequest: the app is asked about what is new and about what is held still.
func TestSetRequest(t *testing.T) {
	s := new(Session[int])
	s.SetRequest(&auth.Request{Channels: []string{"a", "b"}}, nil, time.Minute, now)
	s.SetRequest(&auth.Request{Channels: []string{"c"}}, []string{"b"}, time.Hour, now)
	if got := s.Request().Channels; !slices.Equal(got, []string{"c", "b"}) {
		t.Errorf("asked about %v", got)
	}
	if !s.Due().Equal(now.Add(time.Minute)) {
		t.Errorf("due at %v: the earlier time counts", s.Due())
	}
	s.Allow([]string{"b"}, nil)
	if got := s.Request().Channels; !slices.Equal(got, []string{"c"}) {
		t.Errorf("asked about %v", got)
	}
}

// TestAskOnceMore: what happens while the app is asked has it asked once more.
func TestAskOnceMore(t *testing.T) {
	s := &Session[int]{ask: new(auth.Request)}
	if s.AskOnceMore() || !s.CanAsk() {
		t.Error("it is not being asked")
	}
	s.Ask(now)
	if s.CanAsk() || !s.AskOnceMore() || !s.FinishAsking() || !s.CanAsk() {
		t.Error("it was to be asked once more")
	}
	if s.Asking(now) != 0 {
		t.Error("nobody is asked")
	}
	s.Ask(now)
	if n := s.Asking(now.Add(time.Minute)); n != time.Minute {
		t.Errorf("the app has been asked for %v", n)
	}
	if s.FinishAsking() {
		t.Error("once is enough")
	}
	var nobody *Session[int]
	if nobody.CanAsk() || nobody.AskOnceMore() || nobody.User() != "" || nobody.Credential() != 0 || nobody.Request() != nil || nobody.TokenExpired(now) {
		t.Error("a nil session is somebody's")
	}
}
