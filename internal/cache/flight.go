package cache

import (
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/linked"
)

// Flight is a fetch that others may wait for. Who leads it ends it by exactly one of Store.Finish, Share, Fail, Abandon, Cut
// and HandOver, also if the app fails or the client goes away; a second end does nothing.
type Flight struct {
	key   flightKey
	names []string // by which the variant is told from others
	place *Place
	stale *item // what may answer if it fails; nil: nothing

	seq     uint64   // the number of the last invalidation when it began
	checked uint64   // that of the last of which it is known not to be about this one
	own     []uint64 // those that its own request has caused, of which none is about it
	began   time.Time
	alone   bool // nobody waits for it
	behind  bool // another has taken its place in the table: nothing is kept of what it brings
	done    bool
	cut     bool // a response to it has been

	waiting linked.List[*Ticket] // those who wait, in their order
	node    linked.Node[*Flight] // in flightTable.all
}

// flightKey is what a fetch is for: a key, and if it is known what its responses vary by, a variant.
type flightKey struct{ line, variant Key }

// flightTable is what is being fetched.
type flightTable struct {
	byKey map[flightKey]*Flight // those that may be waited for
	all   linked.List[*Flight]  // by seq
}

// IsAlone reports whether nobody waits for it, now and later.
func (f *Flight) IsAlone() bool { return f.alone }

// Waiter is a request that waits for another's fetch. Wake is called once, from whatever goroutine ends the fetch and with
// no mutex held, and must not block: it posts the result to the request's loop. It is not called after Leave has returned
// true.
type Waiter interface{ Wake(Result) }

// Outcome is what a waiter is told to do.
type Outcome uint8

// The outcomes.
const (
	Answer Outcome = iota // give the client the entry
	Lead                  // fetch it, as the leader of the flight: the one before has gone away
	Again                 // look again with Ask.Again: what came is for other requests, or older than a change
	Alone                 // ask the app without waiting for anybody
)

// Result is what a waiter is woken with.
type Result struct {
	Outcome Outcome
	Entry   *Entry  // with Answer, and maybe stale; with Lead it is what can be validated, or nil
	Flight  *Flight // with Lead
	Reason  Reason  // of Alone
}

// Ticket is a waiter's place in a flight.
type Ticket struct {
	waiter Waiter
	flight *Flight // nil: it has left, or is woken
	seq    uint64  // the number of the last invalidation when it came
	again  bool
	node   linked.Node[*Ticket]
}

// Role is what Begin tells a request to do.
type Role uint8

// The roles.
const (
	Hit    Role = iota // give the client the entry, which is stale if the app has just failed
	Leader             // fetch it; the entry is what can be validated, or nil. If that fails, Store.Fail says what to do
	Wait               // the waiter will be woken
	Busy               // somebody fetches it, and the request does not wait
)

// Turn is what Begin returns.
type Turn struct {
	Role   Role
	Entry  *Entry
	Flight *Flight // of a Leader
	Ticket *Ticket // of who waits, for Leave
}

// Ask is a request that was not answered by Find.
type Ask struct {
	Key    Key
	Fields []http1.Field // of the request, for Vary
	Place  *Place
	Waiter Waiter // nil: it does not wait, as it has a stale entry
	Again  bool   // it has waited before: when it is woken, it is told Alone instead of Again
}

// Begin looks up a request once more, and lets it wait for a fetch or lead one.
func (s *Store) Begin(a *Ask, now time.Time) Turn {
	s.mu.Lock()
	defer s.unlock()
	var e *Entry
	state := Miss
	it := s.find(a.Key, a.Fields, now)
	if it != nil {
		it.used = true
		e, state = it.entry, it.state(now)
	}
	switch {
	case state == Fresh:
		s.stats.Hits++
		return Turn{Role: Hit, Entry: e}
	case e != nil && now.Before(it.retry) && e.MayFail(now):
		s.stats.Busy++
		return Turn{Role: Hit, Entry: e}
	}
	f := &Flight{key: flightKey{line: a.Key}, place: a.Place, stale: it, seq: s.seq, checked: s.seq, began: now, alone: state == Pass}
	if l := s.lines[a.Key]; l != nil && len(l.specs) > 0 {
		f.names = l.specs[0].names
		f.key.variant = s.hasher.variant(f.names, a.Fields)
	}
	if other := s.flights.byKey[f.key]; other != nil && !f.alone {
		switch {
		case now.Sub(other.began) > s.o.FlightAge || s.isChanged(other):
			s.leaveBehind(other)
		case a.Waiter == nil:
			s.stats.Busy++
			return Turn{Role: Busy, Entry: e}
		case other.waiting.Len() < s.o.MaxWaiters:
			s.stats.Waits++
			return Turn{Role: Wait, Ticket: other.add(a.Waiter, s.seq, a.Again)}
		default:
			s.stats.Crowded++
			f.alone = true
		}
	}
	if !f.alone {
		s.flights.byKey[f.key] = f
	} else {
		s.stats.Alone++
	}
	s.flights.add(f)
	s.stats.Fetches++
	return Turn{Role: Leader, Entry: e, Flight: f}
}

// add puts a flight behind all others.
func (t *flightTable) add(f *Flight) {
	f.node.Value = f
	t.all.Add(&f.node)
}

// oldest returns the flight that began first, or nil.
func (t *flightTable) oldest() *Flight {
	if n := t.all.First(); n != nil {
		return n.Value
	}
	return nil
}

// leaveBehind takes a flight out of the table: who comes from now on does not wait for it.
func (s *Store) leaveBehind(f *Flight) {
	if !f.alone && !f.behind {
		delete(s.flights.byKey, f.key)
	}
	f.behind = true
}

// add adds a waiter.
func (f *Flight) add(w Waiter, seq uint64, again bool) *Ticket {
	t := &Ticket{waiter: w, flight: f, seq: seq, again: again}
	t.node.Value = t
	f.waiting.Add(&t.node)
	return t
}

// first returns the one who has waited longest, or nil.
func (f *Flight) first() *Ticket {
	if n := f.waiting.First(); n != nil {
		return n.Value
	}
	return nil
}

// remove takes a waiter out.
func (f *Flight) remove(t *Ticket) {
	f.waiting.Remove(&t.node)
	t.flight = nil
}

// Leave takes a waiter out whose client has gone, or who does not wait any longer. It reports false if it is too late: Wake
// was called, or is about to be. Somebody who is told Lead then has to end the flight all the same.
func (s *Store) Leave(t *Ticket) bool {
	s.mu.Lock()
	defer s.unlock()
	if t.flight == nil {
		return false
	}
	t.flight.remove(t)
	s.stats.Left++
	return true
}

// HandOver is for a leader that goes away before there is a response: the one who has waited longest leads from now on. It
// reports false if nobody waits; then the flight has ended.
func (s *Store) HandOver(f *Flight, now time.Time) bool {
	s.mu.Lock()
	t := f.first()
	if f.done || t == nil {
		s.end(f)
		s.unlock()
		return false
	}
	f.remove(t)
	s.flights.all.Remove(&f.node)
	f.seq, f.checked, f.began, f.own = s.seq, s.seq, now, nil
	s.flights.add(f)
	s.log.trim(s.flights.oldest())
	s.stats.HandedOver++
	var e *Entry
	f.stale = s.lines[f.key.line].at(f.names, f.key.variant) // what it was may be for the fields of the one before
	if f.stale != nil && !s.isDead(f.stale, now) {
		e = f.stale.entry
	}
	s.unlock()
	t.waiter.Wake(Result{Outcome: Lead, Flight: f, Entry: e})
	return true
}

// Cut is for a leader whose response has ended before its end, because of the app or of its client. Once in a flight somebody
// else tries, so that a client that goes away does not send all who wait to the app. The second time they ask it themselves.
func (s *Store) Cut(f *Flight, now time.Time) {
	s.mu.Lock()
	again := f.cut
	f.cut = true
	s.unlock()
	if again {
		s.Abandon(f, Incomplete, 0, now)
		return
	}
	s.HandOver(f, now)
}

// Place returns what the flight is about, for Judge.
func (f *Flight) Place() *Place { return f.place }

// end takes a flight out of all tables. It returns those who have waited, in their order. It is for a holder of the mutex.
func (s *Store) end(f *Flight) []*Ticket {
	if f.done {
		return nil
	}
	s.leaveBehind(f)
	f.done = true
	s.flights.all.Remove(&f.node)
	s.log.trim(s.flights.oldest())
	list := make([]*Ticket, 0, f.waiting.Len())
	for t := f.first(); t != nil; t = f.first() {
		f.remove(t)
		list = append(list, t)
	}
	return list
}

// Finish ends a flight with an entry. It reports whether that is kept: not if something that it is about was invalidated
// meanwhile, nor if its verdict was that it may not be. Those who wait are given it, but for those for whom it is not.
func (s *Store) Finish(f *Flight, e *Entry, now time.Time) (kept bool) {
	if !e.mayKeep {
		s.Abandon(f, Failed, 0, now)
		return false
	}
	s.mu.Lock()
	if f.done {
		s.unlock()
		return false
	}
	changed := s.firstChange(f, e)
	why := None
	switch {
	case changed != 0:
		why = Changed
	case f.behind:
		why = Superseded
	default:
		seq := f.seq
		if len(f.own) > 0 { // no other has been about it
			seq = s.seq
		}
		it := &item{entry: e, place: e.place, seq: seq, began: f.began, size: e.size()}
		why = s.put(it, f.key.line, e.vary, e.variant, now)
	}
	s.stats.count(why)
	list := s.end(f)
	s.unlock()
	wake(list, func(t *Ticket) Result { return f.resultFor(t, e, changed, now) })
	return why == None
}

// resultFor returns what a waiter does with an entry. changed is the first invalidation that was about it; 0: there was none.
func (f *Flight) resultFor(t *Ticket, e *Entry, changed uint64, now time.Time) Result {
	switch mine := f.brings(e) && (changed == 0 || t.seq < changed); {
	case !mine && !t.again:
		return Result{Outcome: Again}
	case !mine:
		return Result{Outcome: Alone, Reason: Changed}
	case !e.IsFresh(now): // it is to be validated for each
		return Result{Outcome: Alone, Reason: NotFresh}
	}
	return Result{Outcome: Answer, Entry: e}
}

// brings reports whether an entry is for all who wait: it does not vary, or by what they were told apart by.
func (f *Flight) brings(e *Entry) bool {
	return len(e.vary) == 0 || sameNames(e.vary, f.names) && e.variant == f.key.variant
}

// Share ends a flight with a response that is not kept and that those who wait are given all the same: an error of the app,
// which each of them would get too. They are not if Verdict.MayShare was false.
func (s *Store) Share(f *Flight, e *Entry, now time.Time) {
	if !e.mayShare {
		s.Abandon(f, Failed, 0, now)
		return
	}
	s.mu.Lock()
	if f.done {
		s.unlock()
		return
	}
	changed := s.firstChange(f, e)
	s.stats.count(Failed)
	list := s.end(f)
	s.unlock()
	wake(list, func(t *Ticket) Result {
		if !f.brings(e) || changed != 0 && t.seq >= changed {
			return Result{Outcome: Alone, Reason: Failed}
		}
		return Result{Outcome: Answer, Entry: e}
	})
}

// Fail ends a flight because the app has failed before a response was passed on. It returns the stale entry that may be given
// to the client instead, which those who wait are given too, and those who come within a second: an app that fails by taking
// its time would have each of them wait. Without one, nil, those who wait ask the app themselves.
func (s *Store) Fail(f *Flight, now time.Time) *Entry {
	s.mu.Lock()
	if f.done {
		s.unlock()
		return nil
	}
	var e *Entry
	if it := f.stale; it != nil && it.entry != nil && it.entry.MayFail(now) && s.firstChange(f, it.entry) == 0 {
		e, it.retry = it.entry, now.Add(passTimeError)
	}
	s.stats.count(Failed)
	list := s.end(f)
	s.unlock()
	wake(list, func(*Ticket) Result {
		if e == nil || !f.brings(e) {
			return Result{Outcome: Alone, Reason: Failed}
		}
		return Result{Outcome: Answer, Entry: e}
	})
	return e
}

// Abandon ends a flight whose response is not kept: those who wait ask the app themselves, at once. For as long as pass,
// see Verdict.Pass, nobody waits for a response of this key; a stale entry of it that may answer if the app fails stays.
func (s *Store) Abandon(f *Flight, why Reason, pass time.Duration, now time.Time) {
	s.mu.Lock()
	if f.done {
		s.unlock()
		return
	}
	if pass > 0 && !f.behind && s.firstChange(f, nil) == 0 {
		s.mark(f, why, pass, now)
	}
	s.stats.count(why)
	list := s.end(f)
	s.unlock()
	wake(list, func(*Ticket) Result { return Result{Outcome: Alone, Reason: why} })
}

// mark remembers that requests of a flight's key are not to wait for each other.
func (s *Store) mark(f *Flight, why Reason, pass time.Duration, now time.Time) {
	if old := s.lines[f.key.line].at(f.names, f.key.variant); why == Failed && old != nil && old.entry != nil && !s.isDead(old, now) {
		return
	}
	it := &item{place: f.place, until: now.Add(pass), why: why, seq: f.seq, began: f.began, size: f.place.size() + entryCost}
	s.put(it, f.key.line, f.names, f.key.variant, now)
}

func wake(list []*Ticket, result func(*Ticket) Result) {
	for _, t := range list {
		t.waiter.Wake(result(t))
	}
}
