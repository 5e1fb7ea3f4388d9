package presence

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/throttle"
)

// The types of events.
const (
	Occupied = "occupied" // a channel has a subscriber
	Vacated  = "vacated"  // it has had none for the grace period
	Online   = "online"   // a user has a connection
	Offline  = "offline"  // the user has had none for the grace period
	Join     = "join"     // a user has a connection in a channel
	Leave    = "leave"    // the user has had none in it for the grace period
)

// Event is a change of a channel, a user, or a user in a channel.
type Event struct {
	Type          string
	At            time.Time // of the arrival or departure
	Channel, User string
}

// Options are the properties of a Tracker. Neither Notify nor Publish may block or call the Tracker. Both are called in the
// order of the events, from any goroutine.
type Options struct {
	Grace time.Duration // zero: departures make an event at once

	Occupancy func() []hub.Occupancy         // returns what has changed; see Tracker.Occupancy
	Users     bool                           // whether online and offline are events
	Present   func(channel string) bool      // reports whether users are tracked in the channel; nil: in none
	Notify    func(Event)                    // takes events of channels and of users; nil: drops them
	Publish   func(e Event) (published bool) // takes events of users in channels; false: not now. Nil: drops them

	Log *slog.Logger // nil: no log
}

const (
	maxLeaving     = 1 << 17 // in their grace period; past this the oldest expires early
	maxUnpublished = 10_000  // joins and leaves that could not be published; past this the oldest is lost

	slice  = 256                   // events before others get the lock
	coarse = 50 * time.Millisecond // between two checks of grace periods
	retry  = time.Second           // between two tries to publish what could not be
)

// subject is a channel, a user, or a user in a channel.
type subject struct{ channel, user string }

// member is a user who is online, or a user in a channel.
type member struct {
	connections int
	leaving     *list.Element // in Tracker.leaving, when there is no connection
}

// pendingLeave is a subject in its grace period.
type pendingLeave struct {
	subject
	kind string    // of the event
	at   time.Time // when it left
}

// Tracker tracks which channels have subscribers, which users have connections, and which users are in which channels.
type Tracker struct {
	o     Options
	log   *slog.Logger
	wakec chan struct{} // holds one: look again

	// mu guards what follows. Options.Notify and Publish are called with it held, so that the events of one subject are
	// in order; the locks of the hub and the event sender come after it.
	mu          sync.Mutex
	leaving     list.List                // of *pendingLeave, by at
	channels    map[string]*list.Element // in leaving, of Vacated
	users       map[string]*member
	rosters     map[string]map[string]*member // channel → user
	unpublished []Event                       // to publish, before all others
	ended       bool                          // by Close: nothing has a grace period or is published
	held, moved bool                          // see Hold
	stats       Stats                         // but for what the throttles count
	turns       uint64                        // how often Members has released the lock

	expiredEarly throttle.Throttle
	lost         throttle.Throttle // joins and leaves that were not published
}

// Stats are the numbers of a Tracker. The last two only grow.
type Stats struct {
	Users   int // online
	Members int // users in channels
	Leaving int // in their grace period

	ExpiredEarly uint64 // before their grace period was over, as too many were in theirs
	Unpublished  uint64 // joins and leaves that were not published
}

// New returns a Tracker. It starts nothing.
func New(o Options) *Tracker {
	if o.Present == nil {
		o.Present = func(string) bool { return false }
	}
	if o.Notify == nil {
		o.Notify = func(Event) {}
	}
	if o.Publish == nil {
		o.Publish = func(Event) bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Tracker{
		o: o, log: o.Log, wakec: make(chan struct{}, 1),
		channels: make(map[string]*list.Element),
		users:    make(map[string]*member),
		rosters:  make(map[string]map[string]*member),
	}
}

// Occupancy is to be called when Options.Occupancy has something.
func (t *Tracker) Occupancy() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, o := range t.o.Occupancy() {
		leaving := t.channels[o.Channel]
		switch {
		case o.Was: // it has been occupied, and is not in its grace period
		case leaving != nil:
			t.cancelGraceLocked(leaving)
			delete(t.channels, o.Channel)
		default:
			t.o.Notify(Event{Type: Occupied, At: now, Channel: o.Channel})
		}
		if !o.Is {
			t.channels[o.Channel] = t.startGraceLocked(&pendingLeave{subject{channel: o.Channel}, Vacated, now})
		}
	}
	t.flushLocked()
}

// Begin counts a connection of a user and its channels. A connection without a user is ignored.
func (t *Tracker) Begin(user string, channels []string) {
	if user == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.o.Users {
		t.addLocked(t.users, subject{user: user}, Online, now)
	}
	t.joinLocked(user, channels, now)
}

// Change counts the channels that a user's connection has joined and left.
func (t *Tracker) Change(user string, join, leave []string) {
	if user == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.joinLocked(user, join, now)
	t.leaveLocked(user, leave, now)
	t.flushLocked()
}

// End removes a connection of a user, and its channels, from the counts.
func (t *Tracker) End(user string, channels []string) {
	if user == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.leaveLocked(user, channels, now)
	if t.o.Users {
		t.removeLocked(t.users, subject{user: user}, Offline, now)
	}
	t.flushLocked()
}

func (t *Tracker) joinLocked(user string, channels []string, now time.Time) {
	for _, channel := range channels {
		if !t.o.Present(channel) {
			continue
		}
		roster := t.rosters[channel]
		if roster == nil {
			roster = make(map[string]*member)
			t.rosters[channel] = roster
		}
		t.addLocked(roster, subject{channel, user}, Join, now)
	}
}

func (t *Tracker) leaveLocked(user string, channels []string, now time.Time) {
	for _, channel := range channels {
		if roster := t.rosters[channel]; roster != nil {
			t.removeLocked(roster, subject{channel, user}, Leave, now)
		}
	}
}

// addLocked counts a connection. The first one of a subject makes an event.
func (t *Tracker) addLocked(of map[string]*member, s subject, kind string, now time.Time) {
	p := of[s.user]
	if p == nil {
		p = new(member)
		of[s.user] = p
		t.countLocked(kind, 1)
		t.tellLocked(kind, s, now)
	}
	p.connections++
	if p.leaving != nil {
		t.cancelGraceLocked(p.leaving)
		p.leaving = nil
	}
}

// removeLocked takes a connection from the count. After the last one the grace period begins.
func (t *Tracker) removeLocked(of map[string]*member, s subject, kind string, now time.Time) {
	p := of[s.user]
	if p == nil || p.connections == 0 {
		return
	}
	if p.connections--; p.connections == 0 {
		p.leaving = t.startGraceLocked(&pendingLeave{s, kind, now})
	}
}

func (t *Tracker) countLocked(kind string, by int) {
	switch kind {
	case Online, Offline:
		t.stats.Users += by
	case Join, Leave:
		t.stats.Members += by
	}
}

// startGraceLocked begins a grace period.
func (t *Tracker) startGraceLocked(l *pendingLeave) *list.Element {
	e := t.leaving.PushBack(l)
	if t.leaving.Len() == 1 {
		t.wake()
	}
	return e
}

// cancelGraceLocked ends a grace period without an event.
func (t *Tracker) cancelGraceLocked(e *list.Element) { t.leaving.Remove(e) }

// flushLocked makes the events of those whose grace period is cut short.
func (t *Tracker) flushLocked() {
	for t.leaving.Len() > maxLeaving {
		if total, due := t.expiredEarly.Due(time.Now()); due {
			t.log.Warn("grace period cut short: too many channels and users in theirs; see events.grace", "limit", maxLeaving, "total", total)
		}
		t.expireLocked(t.leaving.Front())
	}
	if t.ended || t.o.Grace <= 0 {
		for t.leaving.Len() > 0 {
			t.expireLocked(t.leaving.Front())
		}
	}
}

// expireLocked makes the event of a subject whose grace period is over, and deletes the subject.
func (t *Tracker) expireLocked(e *list.Element) {
	l := t.leaving.Remove(e).(*pendingLeave)
	switch l.kind {
	case Vacated:
		delete(t.channels, l.channel)
	case Offline:
		delete(t.users, l.user)
	case Leave:
		roster := t.rosters[l.channel]
		if delete(roster, l.user); len(roster) == 0 {
			delete(t.rosters, l.channel)
		}
	}
	t.countLocked(l.kind, -1)
	t.tellLocked(l.kind, l.subject, l.at)
}

func (t *Tracker) tellLocked(kind string, s subject, at time.Time) {
	if t.moved {
		return
	}
	e := Event{kind, at, s.channel, s.user}
	if kind != Join && kind != Leave {
		t.o.Notify(e)
		return
	}
	if t.ended || len(t.unpublished) == 0 && t.o.Publish(e) {
		return
	}
	if t.unpublished = append(t.unpublished, e); len(t.unpublished) > maxUnpublished {
		t.unpublished = t.unpublished[1:]
		if total, due := t.lost.Due(time.Now()); due {
			t.log.Warn("join or leave not published: too many bytes are undelivered, or push.history_file can't be written", "total", total)
		}
	}
	t.wake()
}

func (t *Tracker) wake() {
	select {
	case t.wakec <- struct{}{}:
	default:
	}
}

// Serve makes the events of those whose grace period is over, until ctx ends.
func (t *Tracker) Serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wakec:
		case <-timer.C:
		}
		timer.Reset(t.due())
	}
}

// due makes the events of those whose grace period is over and returns when to look again.
func (t *Tracker) due() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held {
		return time.Hour
	}
	done := 0
	for ; len(t.unpublished) > 0 && done < slice && t.o.Publish(t.unpublished[0]); done++ {
		t.unpublished = t.unpublished[1:]
	}
	wait := time.Hour
	switch {
	case done == slice:
		return 0
	case len(t.unpublished) > 0:
		wait = retry
	}
	now := time.Now()
	for e := t.leaving.Front(); e != nil; e = t.leaving.Front() {
		if done++; done > slice {
			return 0
		}
		if left := e.Value.(*pendingLeave).at.Add(t.o.Grace).Sub(now); left > 0 {
			return min(wait, max(left, coarse))
		}
		t.expireLocked(e)
	}
	return wait
}

// Close ends all grace periods: each makes its event at once, as later departures do. Nothing is published any more, as
// no client is left to receive it.
func (t *Tracker) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.flushLocked()
}

// Stats may be called from any goroutine.
func (t *Tracker) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Leaving = t.leaving.Len()
	s.ExpiredEarly, s.Unpublished = uint64(t.expiredEarly.Total()), uint64(t.lost.Total())
	return s
}

// Member is a user in a channel.
type Member struct {
	User        string
	Connections int // zero: in the grace period
}

// Count returns how many users are in a channel.
func (t *Tracker) Count(channel string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rosters[channel])
}

// membersSlice is how many users Members visits before it releases the lock for others, event loops among them.
const membersSlice = 1024

// Members returns the first limit users of a channel by name, and how many there are. The list is no snapshot: users may
// come and go while it is made.
func (t *Tracker) Members(channel string, limit int) (list []Member, total int) {
	t.mu.Lock()
	roster := t.rosters[channel]
	list = make([]Member, 0, len(roster))
	for user, p := range roster {
		if list = append(list, Member{user, p.connections}); len(list)%membersSlice == 0 {
			t.turns++
			t.mu.Unlock()
			t.mu.Lock()
		}
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.User, b.User) })
	// A user that has left and come back meanwhile can be in the list twice.
	list = slices.CompactFunc(list, func(a, b Member) bool { return a.User == b.User })
	total = len(list)
	return list[:min(limit, total)], total
}
