package auth

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

	"holdfast/internal/throttle"
)

const (
	cacheBytes = 16 << 20 // of all entries; beyond it the oldest is evicted
	entryCost  = 512      // bytes of one, besides its strings
)

var errNoAnswer = errors.New("auth: the shared authorization request was aborted")

// Cache caches allowed responses of the app, and coalesces identical concurrent requests. It does not cache a denial,
// as the client may have logged in since, nor a failure. A nil Cache caches nothing, and its evictions do nothing. Any
// goroutine may call it.
//
// The key of an entry is a hash of everything that the request to the app has, so the app's response can depend on
// nothing else. The hash has a salt of this process.
type Cache struct {
	age   time.Duration // of an entry at most
	bytes int           // at most
	app   Authorizer
	log   *slog.Logger
	salt  [32]byte

	mu      sync.Mutex                              // guards what follows
	entries map[uint64]map[[sha256.Size]byte]*entry // by credential, 0 for none, and by request
	order   list.List                               // of those with an answer, the oldest first
	size    int
	evicted throttle.Throttle // early, as the cache was full
	hits    int64
	misses  int64
}

// entry is a response of the app, or a request in progress.
type entry struct {
	key        [sha256.Size]byte
	credential uint64
	channels   []string
	size       int

	donec chan struct{} // closed after the response: the following is not written any more

	result  Result
	err     error
	expires time.Time // zero: never

	place   *list.Element // nil: not cached, or not yet; guarded by Cache.mu
	until   time.Time     // the same
	dropped bool          // evicted during the request; the same
}

// NewCache returns an empty cache for the app's responses. An entry is valid for at most age.
func NewCache(age time.Duration, app Authorizer, log *slog.Logger) *Cache {
	c := &Cache{
		age: age, bytes: cacheBytes, app: app, log: log, entries: map[uint64]map[[sha256.Size]byte]*entry{},
	}
	_, _ = rand.Read(c.salt[:]) // it does not fail
	return c
}

// Authorize returns the app's response, or a cached one. credential is that of the request's cookie.
func (c *Cache) Authorize(q Request, credential uint64) (Result, error) {
	key := c.keyOf(&q)
	c.mu.Lock()
	e := c.entries[credential][key]
	if e != nil && e.place != nil && !time.Now().Before(e.until) {
		c.remove(e)
		e = nil
	}
	if e != nil {
		c.hits++
		c.mu.Unlock()
		<-e.donec
		v := e.result // without Set-Cookie, which is for the first client only
		if !e.expires.IsZero() {
			v.Expires = max(time.Until(e.expires), 1)
		}
		return v, e.err
	}
	c.misses++
	e = &entry{key: key, credential: credential, channels: q.Channels, donec: make(chan struct{}), err: errNoAnswer}
	if c.entries[credential] == nil {
		c.entries[credential] = map[[sha256.Size]byte]*entry{}
	}
	c.entries[credential][key] = e
	c.mu.Unlock()
	defer c.complete(e) // also if the request panics, as others wait
	v, err := c.app.Authorize(q)
	e.result, e.err = v, err
	e.result.SetCookie = nil
	return v, err
}

// complete gives the response to those who wait, and caches it if it allows.
func (c *Cache) complete(e *entry) {
	now, age := time.Now(), c.age
	if d := e.result.Expires; d > 0 {
		e.expires, age = now.Add(d), min(age, d)
	}
	c.mu.Lock()
	switch {
	case e.dropped:
	case e.err != nil || !e.result.Allowed:
		c.remove(e)
	default:
		e.until = now.Add(age)
		c.placeLocked(e)
		c.makeRoom(now)
	}
	c.mu.Unlock()
	close(e.donec)
}

// placeLocked makes an entry with a response the newest.
func (c *Cache) placeLocked(e *entry) {
	e.size = entryCost + len(e.result.User)
	for _, list := range [][]string{e.channels, e.result.Channels} {
		for _, name := range list {
			e.size += len(name) + 16
		}
	}
	e.place = c.order.PushBack(e)
	c.size += e.size
}

// makeRoom evicts expired entries, and the oldest beyond the limit.
func (c *Cache) makeRoom(now time.Time) {
	evicted := int64(0)
	for first := c.order.Front(); first != nil; first = c.order.Front() {
		e := first.Value.(*entry)
		if now.Before(e.until) {
			if c.size <= c.bytes {
				break
			}
			evicted++
		}
		c.remove(e)
	}
	if evicted == 0 {
		return
	}
	if total, due := c.evicted.DueOf(evicted, now); due {
		c.log.Warn("authorization cache full: entries evicted before push.authorize_cache is over", "limit", c.bytes, "total", total)
	}
}

// remove needs mu.
func (c *Cache) remove(e *entry) {
	of := c.entries[e.credential]
	if of[e.key] == e {
		if delete(of, e.key); len(of) == 0 {
			delete(c.entries, e.credential)
		}
	}
	if e.place != nil {
		c.order.Remove(e.place)
		c.size -= e.size
		e.place = nil
	}
	e.dropped = true
}

// EvictCredential evicts the entries of a session, requests in progress included.
func (c *Cache) EvictCredential(credential uint64) {
	if c == nil || credential == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries[credential] {
		c.remove(e)
	}
}

// EvictMatching evicts the entries of a user, of a channel or of both (empty: any), and all requests in progress, whose
// users are not known yet.
func (c *Cache) EvictMatching(user, channel string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.entries {
		for _, e := range of {
			if e.place == nil || (user == "" || e.result.User == user) && (channel == "" || Contains(e.channels, channel)) {
				c.remove(e)
			}
		}
	}
}

// EvictClient evicts the entries of the same client for any channels.
func (c *Cache) EvictClient(q *Request, credential uint64, user string) {
	if c == nil {
		return
	}
	c.EvictCredential(credential)
	if user != "" {
		c.EvictMatching(user, "")
		return
	}
	for _, name := range q.Channels {
		c.EvictMatching("", name)
	}
}

// keyOf hashes a request. Its channels are a set.
func (c *Cache) keyOf(q *Request) (key [sha256.Size]byte) {
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
		q.ForwardedHost, q.ForwardedPort,
	} {
		add(s)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(q.Channels))) {
		add(name)
	}
	h.Sum(key[:0])
	return key
}

// Counts are for metrics.
func (c *Cache) Counts() (hits, misses, evicted int64) {
	if c == nil {
		return 0, 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits, c.misses, c.evicted.Total()
}
