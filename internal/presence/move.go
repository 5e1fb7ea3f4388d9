package presence

import (
	"container/list"
	"maps"
	"slices"
	"time"

	"holdfast/internal/plainval"
)

// Version is the version of what Export appends.
const Version = 1

// Export appends what another Tracker imports: who is there, who is in the grace period, and what is not published yet.
// How many connections each has is not in it, as they are counted again when they move. Nobody may come or go meanwhile.
func (t *Tracker) Export(b []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := plainval.Encoder{B: b}
	e.Strings(present(t.users))
	e.Uint(uint64(len(t.rosters)))
	for _, channel := range slices.Sorted(maps.Keys(t.rosters)) {
		e.String(channel)
		e.Strings(present(t.rosters[channel]))
	}
	e.Uint(uint64(t.leaving.Len()))
	for l := t.leaving.Front(); l != nil; l = l.Next() {
		p := l.Value.(*pendingLeave)
		encode(&e, Event{p.kind, p.at, p.channel, p.user})
	}
	e.Uint(uint64(len(t.unpublished)))
	for _, v := range t.unpublished {
		encode(&e, v)
	}
	return e.B
}

// present returns who has a connection.
func present(of map[string]*member) []string {
	names := []string{}
	for user, p := range of {
		if p.connections > 0 {
			names = append(names, user)
		}
	}
	slices.Sort(names)
	return names
}

func encode(e *plainval.Encoder, v Event) {
	e.String(v.Type)
	e.Time(v.At)
	e.String(v.Channel)
	e.String(v.User)
}

func decode(d *plainval.Decoder) Event { return Event{d.String(), d.Time(), d.String(), d.String()} }

// Import continues with what Export has appended, as far as the options track it. Then call Begin for each connection
// that has moved, which makes no event for who was there, and Adopted after the last one.
func (t *Tracker) Import(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := plainval.NewDecoder(b)
	for _, user := range d.Strings() {
		t.importLocked(subject{user: user}, Online)
	}
	for range d.Count() {
		channel := d.String()
		for _, user := range d.Strings() {
			t.importLocked(subject{channel, user}, Join)
		}
	}
	last := time.Time{}
	for range d.Count() {
		v := decode(d)
		if v.At.Before(last) {
			d.Fail("departures that are not in order")
		}
		last = v.At
		t.importLeaveLocked(v, d)
	}
	for range d.Count() {
		v := decode(d)
		if v.Type != Join && v.Type != Leave {
			d.Fail("an event %.20q that is not published", v.Type)
		}
		t.unpublished = append(t.unpublished, v)
	}
	return d.End()
}

// importLocked adds a subject without connections, and returns it; nil if it is not tracked.
func (t *Tracker) importLocked(s subject, kind string) *member {
	of := t.users
	switch {
	case s.channel == "" && !t.o.Users, s.channel != "" && !t.o.Present(s.channel):
		return nil
	case s.channel != "":
		if of = t.rosters[s.channel]; of == nil {
			of = make(map[string]*member)
			t.rosters[s.channel] = of
		}
	}
	if of[s.user] == nil {
		of[s.user] = new(member)
		t.countLocked(kind, 1)
	}
	return of[s.user]
}

// importLeaveLocked adds a subject in its grace period.
func (t *Tracker) importLeaveLocked(v Event, d *plainval.Decoder) {
	l := &pendingLeave{subject{v.Channel, v.User}, v.Type, v.At}
	begin := map[string]string{Offline: Online, Leave: Join}[v.Type]
	switch {
	case v.Type == Vacated:
		t.channels[v.Channel] = t.startGraceLocked(l)
	case begin == "":
		d.Fail("a departure %.20q", v.Type)
	default:
		if p := t.importLocked(l.subject, begin); p != nil && p.leaving == nil {
			p.leaving = t.startGraceLocked(l)
		}
	}
}

// Hold makes no event of what is due until Release.
func (t *Tracker) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
}

// Release ends Hold. moved means that another Tracker has imported what this one has: it makes no events any more.
func (t *Tracker) Release(moved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held, t.moved = false, moved
	if moved {
		t.unpublished = nil
	}
	t.wake()
}

// Adopted begins the grace period of those whose connections have not moved.
func (t *Tracker) Adopted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	leave := func(p *member, s subject, kind string) {
		if p.connections == 0 && p.leaving == (*list.Element)(nil) {
			p.leaving = t.startGraceLocked(&pendingLeave{s, kind, now})
		}
	}
	for user, p := range t.users {
		leave(p, subject{user: user}, Offline)
	}
	for channel, roster := range t.rosters {
		for user, p := range roster {
			leave(p, subject{channel, user}, Leave)
		}
	}
	t.flushLocked()
	t.wake()
}
