// Package fetch has the requests that rules of the cache are about, from the look for a stored response to the storing of the
// app's. It does no I/O: the proxy asks it what to do, and tells it what the app has answered.
//
//	Cache.Find ── entry ──► the client
//	   │ Fetch
//	Fetch.Begin ─ Exchange.Serve ──► the client
//	   │    └──── Exchange.Await ──► Fetch.Wake, with the same ends
//	Exchange.Ask ──► the app
//	   ├─ Replace: an entry goes to the client instead of the response
//	   └─ Judge, Head, Add, Complete: the response goes to the client, and is kept if it may be
package fetch

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// Cache is the rules and what is stored by them.
type Cache struct {
	Rules *rules.Set
	Store *cache.Store
	Wait  time.Duration // how long a request waits for another's fetch before it goes to the app itself

	EndsSession http1.PathSet // a request to one of these ends its session
	Excludes    http1.PathSet // no rule is about a request to one of these

	// Pending bounds the bytes of requests that wait and of responses that come, until they are stored: what does not fit is
	// not waited for, and not stored. 0: 16 MB.
	Pending int64
	// Changed is called when a request may have changed what another process stores, too, before its client has a response;
	// nil: there is none. Set it before use.
	Changed func()
	// Settle is how long after an answer is new to a client polls are held shortly only. 0: 5 seconds.
	Settle time.Duration

	pending atomic.Int64

	given   given
	results [results]atomic.Int64
	once    sync.Once // guards the making of counts
	counts  map[*rules.Rule]*ruleCounts
}

// Fetch is a request that a rule is about and for which nothing fresh is stored.
type Fetch struct {
	c    *Cache
	x    Exchange
	post func(func(live bool, now time.Time)) bool
	rule *rules.Rule
	key  cache.Key
	raw  []byte // the request's head, as it came
	head http1.Head
	req  cache.Request

	place   *cache.Place
	flight  *cache.Flight // it leads; nil: not
	ticket  *cache.Ticket // it waits; nil: not
	stale   *cache.Entry  // that the app is asked about, or that answers if the app fails; nil: none
	again   bool          // it has waited before
	late    bool          // its body came after Find
	begun   bool
	until   time.Time // it waits for others at most until then
	held    int64     // bytes that count in Cache.pending
	page    uint64    // what stands for the page, where the rule holds polls
	changes bool      // it may change something, see mayChange
	asks    bool      // the app is asked about stale
	strips  bool      // the app is not told what the client has

	fwd    cache.Forward // why the app is asked
	why    cache.Reason  // why what it answers is not kept
	status int           // of the app's response, if that is not the client's
	answer recording
}

// Exchange is the request's connections. Its methods are called on their loop.
type Exchange interface {
	Serve(a Answer, fields []http1.Field) // answers the client
	Await(d time.Duration)                // waits for Fetch.Wake, or for so long
	Ask(head, body []byte)                // sends the request to the app
}

// view returns what the cache looks at of a request.
func view(h *http1.Head, q *request.Request) cache.Request {
	r := cache.RequestOf(h)
	r.HTTPS, r.Host, r.Port, r.Trusted = q.HTTPS, q.Host, q.ForwardedPort(), q.Trusted
	return r
}

// Find looks up a request, by the rules of its scope. body is what there is of its body, and whole says that this is all. It
// returns what answers it, with a fresh entry, or a Fetch, or neither where no rule is about the request. It does not allocate
// but for a Fetch, and for what is noted of a page.
func (c *Cache) Find(scope *rules.Scope, h *http1.Head, q *request.Request, body []byte, whole bool, now time.Time) (Answer, *Fetch) {
	if scope == nil {
		return Answer{}, nil
	}
	r := view(h, q)
	rule := scope.Match(&r)
	if rule == nil || c.EndsSession.Has(h.Path) || c.Excludes.Has(h.Path) { // the app has to know
		return Answer{}, nil
	}
	if rule.Hold <= 0 {
		c.visit(h, q, now)
	}
	r.Body, r.Whole = body, whole
	key, why := rule.Key(&r)
	if why == cache.None && c.isDue(rule, &r, now) {
		why = cache.PassDue
	}
	if why == cache.None {
		if e, state := c.Store.Find(key, h.Fields, now); state == cache.Fresh && accepts(rule, h.Fields, e, now) {
			return Answer{Entry: e, rule: rule, key: key, head: h.Raw, body: body}, nil
		}
	}
	f := &Fetch{c: c, rule: rule, key: key, why: why, raw: bytes.Clone(h.Raw)}
	if f.head.Parse(f.raw, http1.Limits{Bytes: len(f.raw), Fields: len(h.Fields)}) != nil { // it was let in before
		return Answer{}, nil
	}
	f.req = view(&f.head, q)
	f.req.Host, f.req.Body, f.req.Whole = bytes.Clone(q.Host), bytes.Clone(body), whole
	if rule.Hold > 0 {
		f.page = pageOf(q.Client.Addr(), h.Fields)
	}
	return Answer{}, f
}

// isDue reports whether a request of a session has to go to the app because none has for so long, and notes that it does.
func (c *Cache) isDue(rule *rules.Rule, r *cache.Request, now time.Time) bool {
	pass, ok := rule.PassKey(r)
	return ok && c.Store.Due(pass, rule.Place(r), rule.Pass, now)
}

// accepts reports whether the client takes a fresh entry, where the rule lets it say so.
func accepts(rule *rules.Rule, fields []http1.Field, e *cache.Entry, now time.Time) bool {
	if !rule.HonorClient {
		return true
	}
	w := cache.WishOf(fields)
	return w.Accepts(e, now)
}

// NeedsBody reports whether the request's body, of up to most bytes, has to be waited for, as it is a part of the key.
func (f *Fetch) NeedsBody(most int) bool {
	return f.why == cache.HasBody && f.rule.HasBody() && !f.req.Whole && f.head.Length > 0 && f.head.Length <= int64(min(f.rule.MaxBody, most))
}

// BodyRead completes the request by its body.
func (f *Fetch) BodyRead(body []byte) {
	f.req.Body, f.req.Whole, f.late = bytes.Clone(body), true, true
	if f.key, f.why = f.rule.Key(&f.req); !f.hold(len(body)) {
		f.why = cache.NoRoom
	}
}

// Begin has the request answered: from what is stored, by what another fetches, or by the app. post runs a function on the
// loop of the exchange: live says that the request is still there. It reports false if the loop has ended.
func (f *Fetch) Begin(x Exchange, post func(func(live bool, now time.Time)) bool, now time.Time) {
	f.x, f.post = x, post
	if !f.begun {
		f.begun, f.changes = true, f.mayChange(now)
		if f.why == cache.None && f.late && f.c.isDue(f.rule, &f.req, now) { // Find did not know the key
			f.why = cache.PassDue
		}
	}
	switch {
	case f.why != cache.None:
		f.fwd = cache.FwdBypass
	case f.req.IsHead(): // its response is of no use to others
		f.fwd, f.why = cache.FwdMethod, cache.OtherMethod
	case f.joins(now):
		return
	}
	f.Ask()
}

// joins reports whether the request is answered, or waits. If not, it is one that fetches.
func (f *Fetch) joins(now time.Time) bool {
	if f.place == nil {
		f.place = f.rule.Place(&f.req)
	}
	ask := cache.Ask{Key: f.key, Fields: f.req.Fields, Place: f.place, Waiter: f, Again: f.again}
	if e, _ := f.c.Store.Find(f.key, f.req.Fields, now); e != nil && !e.IsFresh(now) && e.MayUpdate(now) {
		ask.Waiter = nil
	}
	turn := f.c.Store.Begin(&ask, now)
	switch {
	case turn.Role == cache.Leader:
		f.lead(turn.Flight, turn.Entry)
	case turn.Role == cache.Wait:
		f.ticket = turn.Ticket
		if f.until.IsZero() {
			f.until = now.Add(f.c.Wait)
		}
		f.x.Await(max(f.until.Sub(now), time.Millisecond))
		return true
	case turn.Role == cache.Hit && accepts(f.rule, f.req.Fields, turn.Entry, now):
		f.x.Serve(f.answered(turn.Entry, f.again, now), f.req.Fields)
		return true
	case turn.Role == cache.Busy && turn.Entry != nil && turn.Entry.MayUpdate(now):
		a := f.answerOf(turn.Entry)
		a.result = Updating
		f.x.Serve(a, f.req.Fields)
		return true
	default:
		f.fwd = cache.FwdRequest
	}
	return false
}

// Ask sends the request to the app.
func (f *Fetch) Ask() {
	if f.flight == nil && !f.strips {
		f.c.of(f.rule).passed[f.why].Add(1)
	}
	if f.rule.Hold > 0 { // what it gets may be another answer than what is stored
		f.c.given.forget(keyOf(f.page, &f.key))
	}
	head, body := f.request()
	if f.flight == nil { // it is not asked again
		f.req.Body = nil
	}
	f.x.Ask(head, body)
}

// hold counts bytes that are kept while the request is in progress. It reports false if there is no room for them.
func (f *Fetch) hold(n int) bool {
	most := f.c.Pending
	if most == 0 {
		most = 16 << 20
	}
	if f.c.pending.Add(int64(n)) > most {
		f.c.pending.Add(int64(-n))
		return false
	}
	f.held += int64(n)
	return true
}

// lead makes the request the one that fetches.
func (f *Fetch) lead(flight *cache.Flight, stale *cache.Entry) {
	f.flight, f.stale, f.fwd = flight, stale, cache.FwdURIMiss
	if stale != nil {
		f.fwd, f.asks = cache.FwdStale, stale.HasConditions()
	}
}

// Wake implements cache.Waiter. Any goroutine may call it.
func (f *Fetch) Wake(r cache.Result) {
	if !f.post(func(live bool, now time.Time) { f.woken(r, live, now) }) {
		f.woken(r, false, time.Now())
	}
}

// woken goes on with a request that has waited. live says that its client is there.
func (f *Fetch) woken(r cache.Result, live bool, now time.Time) {
	switch {
	case !live && r.Outcome == cache.Lead:
		f.c.Store.HandOver(r.Flight, now)
		return
	case !live:
		return
	}
	f.ticket = nil
	switch r.Outcome {
	case cache.Answer:
		f.x.Serve(f.answered(r.Entry, true, now), f.req.Fields)
	case cache.Again:
		f.again = true
		f.Begin(f.x, f.post, now)
	case cache.Lead:
		f.lead(r.Flight, r.Entry)
		f.Ask()
	default:
		f.fwd, f.why = cache.FwdURIMiss, r.Reason
		f.Ask()
	}
}

// StopWaiting has a request go to the app that waits too long. It reports false if it does not wait.
func (f *Fetch) StopWaiting() bool {
	if f.ticket == nil {
		return false
	}
	if f.c.Store.Leave(f.ticket) { // or else it is woken just now
		f.ticket, f.fwd, f.why = nil, cache.FwdURIMiss, cache.WaitedLong
		f.Ask()
	}
	return true
}

// request returns the head and the body that the app is sent. A request that fetches for others asks about the stale entry,
// not about what its own client has.
func (f *Fetch) request() (head, body []byte) {
	// Nobody waits for one that is fetched alone: the app may tell its client that nothing has changed.
	if f.strips = f.flight != nil && (f.asks || !f.flight.IsAlone()); !f.strips {
		return f.raw, f.req.Body
	}
	line := bytes.IndexByte(f.raw, '\n') + 1
	b := append(make([]byte, 0, len(f.raw)+128), f.raw[:line]...)
	for l := range bytes.Lines(f.raw[line : len(f.raw)-2]) {
		if name, _, _ := bytes.Cut(l, []byte(":")); !cache.IsCondition(name) {
			b = append(b, l...)
		}
	}
	if f.asks {
		b = f.stale.AppendConditions(b)
	}
	return append(b, "\r\n"...), f.req.Body
}

// Asks reports whether the app was asked if what is stored has changed.
func (f *Fetch) Asks() bool { return f.asks }

// Replace looks at the app's response before anything of it is passed on. It returns what is to be done instead of that, once
// the app's part has ended; nil: nothing. The fields include those that go no further.
func (f *Fetch) Replace(a *http1.Answer, now time.Time) func() {
	switch {
	case f.flight == nil:
	case a.Status == 304 && f.asks && a.Has("set-cookie"): // the client has to get it, and not with a response that is kept
		f.asks = false
		return f.Ask
	case a.Status == 304 && f.asks:
		e, v := f.stale.Refresh(&f.rule.Policy, &f.req, a.Fields, now)
		f.asks = false
		switch {
		case e != nil:
			f.finish(e, now)
		case v.Reason == cache.OtherThan:
			return f.Ask
		default:
			e = f.stale
			f.abandon(v.Reason, v.Pass(), now)
		}
		return func() {
			a := f.answerOf(e)
			a.validated, a.fwd = true, f.fwd
			f.x.Serve(a, f.req.Fields)
		}
	case a.Status >= 500 && f.stale != nil && f.stale.MayFail(now):
		return f.Instead(now)
	}
	return nil
}

// Instead returns what is to be done if the app has failed; nil: nothing. Those who wait are told in any case.
func (f *Fetch) Instead(now time.Time) func() {
	if f.flight == nil {
		return nil
	}
	e := f.c.Store.Fail(f.flight, now)
	f.flight, f.why, f.answer.on = nil, cache.Failed, false
	f.c.of(f.rule).refused[cache.Failed].Add(1)
	if e == nil { // there is none, or it was invalidated while the app was asked
		return nil
	}
	return func() {
		a := f.answerOf(e)
		a.result = Stale
		f.x.Serve(a, f.req.Fields)
	}
}

func (f *Fetch) abandon(why cache.Reason, pass time.Duration, now time.Time) {
	f.c.of(f.rule).refused[why].Add(1)
	f.c.Store.Abandon(f.flight, why, pass, now)
	f.flight, f.why, f.answer.on = nil, why, false
}

// Elsewhere is called if the response is not the app's: it is not kept, and requests for it do not wait for each other.
func (f *Fetch) Elsewhere(now time.Time) {
	if f != nil && f.flight != nil {
		f.strips = false
		f.abandon(cache.Elsewhere, passElsewhere, now)
	}
}

// passElsewhere is how long it is remembered that a response is not the app's.
const passElsewhere = 2 * time.Minute

// finish stores an entry.
func (f *Fetch) finish(e *cache.Entry, now time.Time) {
	if f.rule.Hold > 0 { // before others are given it, who may be pages of the same browser
		f.c.given.gave(keyOf(f.page, &f.key), e.Sum(), now)
	}
	if f.c.Store.Finish(f.flight, e, now) {
		f.c.of(f.rule).kept.Add(1)
	}
	f.noteSeen(now)
	f.flight = nil
}

// Judge decides on a response that goes to the client, by all its fields.
func (f *Fetch) Judge(a *http1.Answer, now time.Time) {
	if f.flight == nil {
		return
	}
	f.answer = recording{Response: cache.Response{Status: a.Status, Fields: a.Fields}, came: now}
	v := cache.Judge(&f.rule.Policy, f.place, &f.req, f.answer.Response, now)
	if w := cache.WishOf(f.req.Fields); v.Reason == cache.None && f.rule.HonorClient && !w.MayKeep() {
		v.Reason = cache.NoStore
	}
	if v.Reason == cache.None && f.c.Rules.SetsSession(a.Fields) { // it is a new session's, and to nobody else
		v.Reason = cache.SetsCookie
	}
	f.answer.verdict, f.why = v, v.Reason
	switch v.Reason {
	case cache.None:
		f.answer.on = true
	case cache.Failed:
		f.answer.on, f.answer.share = true, true
	default:
		f.abandon(v.Reason, v.Pass(), now)
	}
}

// Close ends a request that is over, whatever it was doing: those who wait for it are told. answered says that a response
// had begun.
func (f *Fetch) Close(answered bool, now time.Time) {
	if f == nil {
		return
	}
	f.c.pending.Add(-f.held)
	f.held = 0
	switch {
	case f.ticket != nil:
		f.c.Store.Leave(f.ticket)
		f.ticket = nil
	case f.flight != nil && answered:
		f.c.Store.Cut(f.flight, now)
		f.flight, f.answer.on = nil, false
	case f.flight != nil:
		f.c.Store.HandOver(f.flight, now)
		f.flight = nil
	}
}

// AppendStatus adds the line of Cache-Status to a response of the app.
func (f *Fetch) AppendStatus(b []byte) []byte {
	return cache.AppendForwarded(b, f.fwd, f.status, f.why)
}
