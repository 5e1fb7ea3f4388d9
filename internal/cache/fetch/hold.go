package fetch

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"strconv"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// A poll is held if its page has the answer already. Pages are not known, but those that look alike are counted: by address,
// User-Agent, language and the URL that they poll from. What was given to one of them is one poll's that is held. So
//
//   - a page gets its answer at once if all that were given it have polled since, and so are held, or if they have not polled
//     for a while;
//   - a page that was just loaded gets its answer at once;
//   - a new answer is given to all polls that come within settleTime, each after shortHold at most: the poll may be another
//     page's that came before that of the one that was given it, or the response may have been lost;
//   - from then on, polls are held for as long as the rule says.
const (
	settleTime = 5 * time.Second  // since a page got an answer first, until all that look like it have it
	shortHold  = time.Second      // until then; not zero, so that a page that polls again at once does not do so all the time
	loadTime   = 5 * time.Second  // since a page was loaded, until it has polled
	gapTime    = 10 * time.Second // between an answer and the next poll of a page; up to twice that is taken for it
)

// HoldQuery is a request that could be answered from memory.
type HoldQuery struct {
	Client netip.Addr
	Fields []http1.Field
	IsHead bool
	Before Before
}

// Before is how a request was held before: until when it may be, and the sum of the answer for which it was. Zero: it was not.
type Before interface {
	Was() (until time.Time, had uint64)
}

// HoldFor returns for how long a request is held before it gets an answer; 0: it gets it now, which is noted.
func (c *Cache) HoldFor(a *Answer, q *HoldQuery, now time.Time) time.Duration {
	if a.rule == nil || a.rule.Hold <= 0 || q.IsHead || !a.IsFresh(now) || a.Status() >= 500 {
		return 0
	}
	k := keyOf(pageOf(q.Client, q.Fields), &a.key)
	n, sum := c.given.get(k).at(now), a.Sum()
	has := n.sum == sum && n.waits() > 0
	until, had := q.Before.Was()
	d := time.Duration(0)
	switch {
	case had != 0:
		if had == sum {
			d = until.Sub(now)
		}
	case a.collapsed || lacks(a, q.Fields): // it came before the answer did
	case has:
		if d = a.rule.Hold; now.Sub(n.since) < cmp.Or(c.Settle, settleTime) {
			d = shortHold
		}
	case n.sum == 0 && a.Unchanged(q.Fields): // it was given it before this process began, or long ago
		d = shortHold
	}
	if d > 0 && had == 0 && now.Sub(c.given.get(clientOf(q.Client, q.Fields)).last) < loadTime {
		d = 0
	}
	d = min(d, a.rule.Hold, preferred(q.Fields, d))
	if d > 0 && (!has || had != 0 || c.given.take(k, sum, now)) {
		return d
	}
	c.given.gave(k, sum, now)
	return 0
}

// lacks reports whether a client says that it has another answer: it is not one of those that were given this one, but has their
// address.
func lacks(a *Answer, fields []http1.Field) bool {
	_, n := headers.Value(fields, "if-none-match")
	return n > 0 && !a.Unchanged(fields)
}

// preferred returns how long the client wants to wait at most (RFC 7240 §4.3); d if it does not say.
func preferred(fields []http1.Field, d time.Duration) time.Duration {
	v, n := headers.Value(fields, "prefer")
	if n == 0 {
		return d
	}
	seconds, err := strconv.Atoi(http1.PreferredWait(string(v)))
	if err != nil || seconds > 1<<20 {
		return d
	}
	return time.Duration(seconds) * time.Second
}

var clientSeed = maphash.MakeSeed()

// clientOf returns what stands for a browser.
func clientOf(addr netip.Addr, fields []http1.Field) uint64 { return sumOf(addr, fields, "user-agent") }

// pageOf returns what stands for the pages that look alike: of one URL, in one browser, or in several that are the same to us.
func pageOf(addr netip.Addr, fields []http1.Field) uint64 {
	return sumOf(addr, fields, "user-agent", "accept-language", "referer")
}

func sumOf(addr netip.Addr, fields []http1.Field, names ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(clientSeed)
	b := addr.As16()
	_, _ = h.Write(b[:])
	for _, name := range names {
		value, _ := headers.Value(fields, name)
		_, _ = h.Write(value)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// keyOf returns what stands for a page's polls of a key.
func keyOf(page uint64, k *cache.Key) uint64 {
	return maphash.Bytes(clientSeed, append(strconv.AppendUint(make([]byte, 0, 40), page, 36), k[:]...))
}

// visit notes that a request may load a page. It is not for those that are held.
func (c *Cache) visit(h *http1.Head, q *request.Request, now time.Time) {
	if !c.Rules.Holds() || string(h.Method) != "GET" {
		return
	}
	dest, n := headers.Value(h.Fields, "sec-fetch-dest")
	accept, _ := headers.Value(h.Fields, "accept")
	if n > 0 && !http1.IsPageDest(dest) || n == 0 && !http1.HasToken(accept, "text/html") {
		return
	}
	c.given.put(clientOf(q.Client.Addr(), h.Fields), note{last: now}, now)
}
