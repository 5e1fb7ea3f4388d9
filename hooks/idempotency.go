package hooks

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"holdfast/internal/hub"
	"holdfast/internal/throttle"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotent-Replayed"

	maxKey = 255 // bytes

	defaultKeyAge  = 10 * time.Minute
	defaultKeySize = 16 << 20

	// replyOverhead is the memory of a stored reply without its key and its receipts: struct, map entry, list entry.
	replyOverhead = 256
)

var (
	errKey      = errors.New("bad idempotency key")
	errKeyReuse = errors.New("idempotency key was used for another publish")
)

// keyedRequest is an idempotency key and a sum of what is published with it.
type keyedRequest struct {
	key string // empty: none
	sum [sha256.Size]byte
}

// storedReply is the response to the first publish with a key.
type storedReply struct {
	keyedRequest
	receipts []hub.Receipt
	at       time.Time
}

// receiptCost is the memory of a receipt and its Track.
const receiptCost = 32 + 96

func (g *storedReply) cost() int64 {
	return replyOverhead + int64(len(g.key)) + receiptCost*int64(cap(g.receipts))
}

// idempotencyCache stores the responses to publishes with a key, so that each is published once. Publishing does not
// wait, so it is done under the lock: a concurrent request with the same key finds the response of the first.
type idempotencyCache struct {
	// Static after construction.
	age  time.Duration
	size int64
	now  func() time.Time
	log  *slog.Logger

	replayed, reused, evicted *metrics.Counter
	evictions                 throttle.Throttle // lines in the log

	mu    sync.Mutex // guards what follows
	byKey map[string]*storedReply
	byAge []*storedReply // oldest first
	bytes int64
}

func newIdempotencyCache(age time.Duration, size int64, log *slog.Logger, set *metrics.Set) *idempotencyCache {
	if age <= 0 {
		age = defaultKeyAge
	}
	if size <= 0 {
		size = defaultKeySize
	}
	a := &idempotencyCache{
		age: age, size: size, now: time.Now, log: log, byKey: make(map[string]*storedReply),
		replayed: set.NewCounter("holdfast_idempotency_replayed_total"),
		reused:   set.NewCounter("holdfast_idempotency_conflicts_total"),
		evicted:  set.NewCounter("holdfast_idempotency_evicted_total"),
	}
	set.NewGauge("holdfast_idempotency_keys", func() float64 { a.mu.Lock(); defer a.mu.Unlock(); return float64(len(a.byAge)) })
	set.NewGauge("holdfast_idempotency_bytes", func() float64 { a.mu.Lock(); defer a.mu.Unlock(); return float64(a.bytes) })
	return a
}

// request publishes all drafts, unless a request with this key has done so.
func (a *idempotencyCache) request(c keyedRequest, drafts []hub.Draft, publish func([]hub.Draft) ([]hub.Receipt, error)) (_ []hub.Receipt, again bool, err error) {
	c.key = "r" + c.key // keys of requests and of messages are separate
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expireLocked()
	if g, err := a.findLocked(c); err != nil || g != nil {
		if err != nil {
			return nil, false, err
		}
		a.replayed.Inc()
		return g.receipts, true, nil
	}
	receipts, err := publish(drafts)
	if err != nil {
		return nil, false, err
	}
	a.storeLocked(&storedReply{keyedRequest: c, receipts: receipts, at: a.now()})
	return receipts, false, nil
}

// messages publishes the drafts without a key, and those whose key was not used yet. The keys of one batch must differ.
func (a *idempotencyCache) messages(keyed []keyedRequest, drafts []hub.Draft, publish func([]hub.Draft) ([]hub.Receipt, error)) (_ []hub.Receipt, again bool, err error) {
	receipts := make([]hub.Receipt, len(drafts))
	var fresh []int
	var news []hub.Draft
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expireLocked()
	for i, c := range keyed {
		if c.key != "" {
			c.key = "m" + c.key
			g, err := a.findLocked(c)
			if err != nil {
				return nil, false, fmt.Errorf("message %d: %w", i+1, err)
			}
			if g != nil {
				receipts[i] = g.receipts[0]
				continue
			}
		}
		fresh, news = append(fresh, i), append(news, drafts[i])
	}
	again = len(fresh) < len(drafts)
	if len(fresh) > 0 {
		got, err := publish(news)
		if err != nil {
			return nil, false, err
		}
		for j, i := range fresh {
			receipts[i] = got[j]
			if c := keyed[i]; c.key != "" {
				c.key = "m" + c.key
				a.storeLocked(&storedReply{keyedRequest: c, receipts: []hub.Receipt{got[j]}, at: a.now()})
			}
		}
	}
	a.replayed.Add(len(drafts) - len(fresh))
	return receipts, again, nil
}

// findLocked returns the response to the same publish, nil if there was none.
func (a *idempotencyCache) findLocked(c keyedRequest) (*storedReply, error) {
	g := a.byKey[c.key]
	if g != nil && g.sum != c.sum {
		a.reused.Inc()
		return nil, fmt.Errorf("%w: %q", errKeyReuse, c.key[1:])
	}
	return g, nil
}

func (a *idempotencyCache) storeLocked(g *storedReply) {
	a.byKey[g.key] = g
	a.byAge = append(a.byAge, g)
	a.bytes += g.cost()
	early := 0
	for a.bytes > a.size {
		a.evictLocked()
		early++
	}
	if early == 0 {
		return
	}
	a.evicted.Add(early)
	if total, due := a.evictions.DueOf(int64(early), g.at); due {
		a.log.Warn("idempotency keys evicted early: hooks.idempotency_size is full", "keys", len(a.byAge), "limit", a.size, "total", total)
	}
}

func (a *idempotencyCache) expireLocked() {
	for now := a.now(); len(a.byAge) > 0 && now.Sub(a.byAge[0].at) > a.age; {
		a.evictLocked()
	}
}

// evictLocked removes the oldest reply.
func (a *idempotencyCache) evictLocked() {
	g := a.byAge[0]
	a.byAge[0] = nil
	if a.byAge = a.byAge[1:]; len(a.byAge) == 0 {
		a.byAge = nil // and its array with it
	}
	delete(a.byKey, g.key)
	a.bytes -= g.cost()
}

// parseKey reads the value of an Idempotency-Key field: a string of RFC 8941 in quotes, or without quotes, as most
// callers send it.
func parseKey(values [][]byte) (string, error) {
	if len(values) > 1 {
		return "", fmt.Errorf("%w: %s is given %d times", errKey, keyHeader, len(values))
	}
	key := strings.TrimSpace(string(values[0]))
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	return key, validKey(key)
}

func validKey(key string) error {
	if len(key) < 1 || len(key) > maxKey {
		return fmt.Errorf("%w: a key has 1 to %d characters, not %d", errKey, maxKey, len(key))
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("%w %.100q: want visible ASCII without quotes and backslashes", errKey, key)
		}
	}
	return nil
}

// sumOf returns the SHA-256 of the length-prefixed parts.
func sumOf(parts ...[]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// keyedMessage returns the keyed request of one message of a batch.
func keyedMessage(key string, d *hub.Draft) keyedRequest {
	form := "text"
	if d.JSON {
		form = "json"
	}
	parts := [][]byte{[]byte(form), []byte(d.Event), d.Data}
	for _, name := range d.Channels {
		parts = append(parts, []byte(name))
	}
	return keyedRequest{key, sumOf(parts...)}
}
