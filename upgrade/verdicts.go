package upgrade

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"holdfast/internal/auth"
)

const (
	verdictsBytes = 16 << 20 // of what is remembered; beyond it the oldest is forgotten
	verdictCost   = 512      // bytes of one, besides its strings
	verdictsEvery = time.Minute
)

var errNotAsked = errors.New("upgrade: whoever asked the app did not come back")

// verdicts remembers for a while to whom the app has said yes, and asks it once where several ask the same at once.
// A no is not remembered, as whoever has just logged in must not be told what was so before, nor is a failure. Any
// goroutine may call it.
//
// What is remembered is found by everything that the app is asked with, so that whatever it looks at, it has seen. Only
// a hash of that is kept, with a salt that is this process's own.
type verdicts struct {
	age   time.Duration // of an answer at most
	bytes int           // at most
	ask   func(auth.Request) (auth.Result, error)
	about func(list []string, channel string) bool // a question for the list is about the channel
	log   *slog.Logger
	salt  [32]byte

	mu     sync.Mutex                                   // guards what follows
	known  map[uint64]map[[sha256.Size]byte]*remembered // by credential, 0 for none, and by question
	order  list.List                                    // of what is remembered, the oldest first
	size   int
	evicts int64
	told   int64 // of evicts, in the log
	toldAt time.Time
	hits   int64
	misses int64
}

// remembered is what the app has answered, or is being asked.
type remembered struct {
	key        [sha256.Size]byte
	credential uint64
	channels   []string
	size       int

	donec chan struct{} // closed when there is an answer: what follows is not written any more

	v       auth.Result
	err     error
	expires time.Time // zero: it does not

	place   *list.Element // nil: not remembered, or not yet; guarded by verdicts.mu
	until   time.Time     // the same
	dropped bool          // while it was asked; the same
}

// newVerdicts remembers nothing yet.
func newVerdicts(age time.Duration, ask func(auth.Request) (auth.Result, error), log *slog.Logger) *verdicts {
	c := &verdicts{
		age: age, bytes: verdictsBytes, ask: ask, about: slices.Contains[[]string], log: log, known: map[uint64]map[[sha256.Size]byte]*remembered{},
	}
	_, _ = rand.Read(c.salt[:]) // it does not fail
	return c
}

// answer returns what the app says, or has said. credential is of the question's cookie.
func (c *verdicts) answer(q auth.Request, credential uint64) (auth.Result, error) {
	key := c.keyOf(&q)
	c.mu.Lock()
	a := c.known[credential][key]
	if a != nil && a.place != nil && !time.Now().Before(a.until) {
		c.remove(a)
		a = nil
	}
	if a != nil {
		c.hits++
		c.mu.Unlock()
		<-a.donec
		v := a.v // without Set-Cookie: that is for whoever asked, and may be a session of its own
		if !a.expires.IsZero() {
			v.Expires = max(time.Until(a.expires), 1)
		}
		return v, a.err
	}
	c.misses++
	a = &remembered{
		key: key, credential: credential, channels: q.Channels, donec: make(chan struct{}), err: errNotAsked,
	}
	if c.known[credential] == nil {
		c.known[credential] = map[[sha256.Size]byte]*remembered{}
	}
	c.known[credential][key] = a
	c.mu.Unlock()
	defer c.settle(a) // also if asking panics: others wait
	v, err := c.ask(q)
	a.v, a.err = v, err
	a.v.SetCookie = nil
	return v, err
}

// settle lets those who wait have the answer, and remembers it if it is a yes.
func (c *verdicts) settle(a *remembered) {
	now, age := time.Now(), c.age
	if e := a.v.Expires; e > 0 {
		a.expires, age = now.Add(e), min(age, e)
	}
	c.mu.Lock()
	switch {
	case a.dropped:
	case a.err != nil || !a.v.Allowed:
		c.remove(a)
	default:
		a.until, a.size = now.Add(age), verdictCost+len(a.v.User)
		for _, list := range [][]string{a.channels, a.v.Channels} {
			for _, name := range list {
				a.size += len(name) + 16
			}
		}
		a.place = c.order.PushBack(a)
		c.size += a.size
		c.makeRoom(now)
	}
	c.mu.Unlock()
	close(a.donec)
}

// makeRoom forgets what is old, and what is too much.
func (c *verdicts) makeRoom(now time.Time) {
	for e := c.order.Front(); e != nil; e = c.order.Front() {
		a := e.Value.(*remembered)
		if now.Before(a.until) {
			if c.size <= c.bytes {
				break
			}
			c.evicts++
		}
		c.remove(a)
	}
	if c.evicts > c.told && now.Sub(c.toldAt) >= verdictsEvery {
		c.log.Warn("the app is asked more often than push.authorize_cache says: what is remembered of it is full",
			"verdicts", c.evicts-c.told, "bytes", c.bytes)
		c.told, c.toldAt = c.evicts, now
	}
}

// remove is for a holder of mu.
func (c *verdicts) remove(a *remembered) {
	of := c.known[a.credential]
	if of[a.key] == a {
		if delete(of, a.key); len(of) == 0 {
			delete(c.known, a.credential)
		}
	}
	if a.place != nil {
		c.order.Remove(a.place)
		c.size -= a.size
		a.place = nil
	}
	a.dropped = true
}

// dropCredential forgets what was said of a session, also what the app is just being asked.
func (c *verdicts) dropCredential(credential uint64) {
	if c == nil || credential == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.known[credential] {
		c.remove(a)
	}
}

// dropWhat forgets what the app has said of a user, of a channel or of both, an empty one being any, and all that it is
// just being asked: of that nobody knows yet whom it names.
func (c *verdicts) dropWhat(user, channel string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.known {
		for _, a := range of {
			if a.place == nil || (user == "" || a.v.User == user) && (channel == "" || c.about(a.channels, channel)) {
				c.remove(a)
			}
		}
	}
}

// dropQuestion forgets what the app has said to the same client, whatever channels it wanted.
func (c *verdicts) dropQuestion(q *auth.Request, credential uint64, user string) {
	if c == nil {
		return
	}
	c.dropCredential(credential)
	if user != "" {
		c.dropWhat(user, "")
		return
	}
	for _, name := range q.Channels {
		c.dropWhat("", name)
	}
}

// keyOf hashes a question. Its channels are a set.
func (c *verdicts) keyOf(q *auth.Request) (key [sha256.Size]byte) {
	h := sha256.New()
	_, _ = h.Write(c.salt[:])
	var length [8]byte
	add := func(s string) {
		binary.LittleEndian.PutUint64(length[:], uint64(len(s)))
		_, _ = h.Write(length[:])
		_, _ = h.Write([]byte(s))
	}
	for _, s := range [...]string{
		q.Host, q.Cookie, q.Authorization, q.UserAgent, q.AcceptLanguage, q.Proto, q.ClientAddr, q.ForwardedFor,
	} {
		add(s)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(q.Channels))) {
		add(name)
	}
	h.Sum(key[:0])
	return key
}

// counts are for metrics.
func (c *verdicts) counts() (hits, misses, evicted int64) {
	if c == nil {
		return 0, 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits, c.misses, c.evicts
}
