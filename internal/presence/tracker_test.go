package presence

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/hub"
)

// diary writes down what it is told.
type diary struct {
	mu   sync.Mutex
	list []Event
	busy bool // what is to be published is not
}

func (d *diary) tell(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, e)
}

func (d *diary) publish(e Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy {
		return false
	}
	d.list = append(d.list, e)
	return true
}

// take returns what was told since the last time.
func (d *diary) take() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var words []string
	for _, e := range d.list {
		words = append(words, strings.Join(strings.Fields(e.Type+" "+e.Channel+" "+e.User), " "))
	}
	d.list = nil
	return strings.Join(words, ", ")
}

const grace = 5 * time.Second

func begin(t *testing.T, o Options) (*Tracker, *diary) {
	d := new(diary)
	o.Notify, o.Publish = d.tell, d.publish
	r := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { r.Serve(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return r, d
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func room(channel string) bool { return strings.HasPrefix(channel, "room") }

func TestUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := begin(t, Options{Grace: grace, Users: true, Present: room})
		r.Begin("ann", []string{"room1", "news"})
		r.Begin("ann", []string{"room1", "room2"})
		r.Begin("", []string{"room1"})
		want(t, "first", d.take(), "online ann, join room1 ann, join room2 ann")
		r.End("ann", []string{"room1", "room2"})
		r.End("", []string{"room1"})
		time.Sleep(2 * grace)
		want(t, "one tab of two", d.take(), "leave room2 ann")
		r.End("ann", []string{"room1", "news"})
		time.Sleep(grace - time.Millisecond)
		r.Begin("ann", []string{"room1", "news"})
		time.Sleep(2 * grace)
		want(t, "a page loaded again", d.take(), "")
		r.Begin("ann", []string{"room3", "news2"})
		r.End("ann", []string{"room1", "news"})
		want(t, "another channel", d.take(), "join room3 ann")
		time.Sleep(2 * grace)
		want(t, "and the old one", d.take(), "leave room1 ann")
		left := time.Now()
		r.End("ann", []string{"room3", "news2"})
		time.Sleep(grace - coarse)
		want(t, "before the end of grace", d.take(), "")
		time.Sleep(2 * coarse)
		d.mu.Lock()
		for _, e := range d.list {
			if !e.At.Equal(left) {
				t.Errorf("%s at %v, went at %v", e.Type, e.At, left)
			}
		}
		d.mu.Unlock()
		want(t, "the end", d.take(), "leave room3 ann, offline ann")
		r.Begin("ann", []string{"room1", "news"})
		r.Change("ann", []string{"room2"}, []string{"room1"})
		r.Change("", []string{"room2"}, nil)
		want(t, "a change", d.take(), "online ann, join room1 ann, join room2 ann")
		time.Sleep(2 * grace)
		want(t, "its grace period", d.take(), "leave room1 ann")
		r.End("ann", []string{"news", "room2"})
		time.Sleep(2 * grace)
		want(t, "the end after a change", d.take(), "leave room2 ann, offline ann")
		r.End("ann", nil)
		r.End("bob", []string{"room1"})
		time.Sleep(2 * grace)
		want(t, "who was not there", d.take(), "")
		if len(r.users)+len(r.rosters)+r.leaving.Len() > 0 || r.Stats() != (Stats{}) {
			t.Errorf("left over: %+v", r)
		}
	})
}

func TestUsersAreNotKeptForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := begin(t, Options{Grace: grace})
		r.Begin("ann", []string{"room1"})
		if len(r.users)+len(r.rosters) > 0 {
			t.Errorf("kept: %+v", r)
		}
		r.End("ann", []string{"room1"})
		time.Sleep(2 * grace)
		want(t, "told", d.take(), "")
	})
}

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := begin(t, Options{Grace: grace, Present: room})
		for i := range 10 {
			r.Begin(fmt.Sprint(i%5), []string{"room"})
		}
		r.End("3", []string{"room"})
		r.End("3", []string{"room"})
		list, total := r.Members("room", 4)
		if want := []Member{{"0", 2}, {"1", 2}, {"2", 2}, {"3", 0}}; !slices.Equal(list, want) || total != 5 {
			t.Errorf("%v of %d", list, total)
		}
		time.Sleep(2 * grace)
		if list, total := r.Members("room", 100); len(list) != 4 || total != 4 || r.Stats().Members != 4 || r.Count("room") != 4 {
			t.Errorf("later: %v of %d", list, total)
		}
		if list, total := r.Members("other", 100); len(list) != 0 || total != 0 {
			t.Errorf("other: %v of %d", list, total)
		}
	})
}

func TestNoGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := begin(t, Options{Users: true, Present: room})
		for range 2 {
			r.Begin("ann", []string{"room"})
			r.End("ann", []string{"room"})
		}
		want(t, "told", d.take(), strings.TrimSuffix(strings.Repeat("online ann, join room ann, leave room ann, offline ann, ", 2), ", "))
	})
}

// At the end everybody in the grace period is told of, and nothing is published.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := begin(t, Options{Grace: grace, Users: true, Present: room})
		r.Begin("ann", []string{"room"})
		r.Begin("bob", nil)
		r.End("ann", []string{"room"})
		d.take()
		r.Close()
		r.End("bob", nil)
		want(t, "told", d.take(), "offline ann, offline bob")
	})
}

// What could not be published comes later, in order, and when there is too much of it the oldest is lost.
func TestUnpublishedAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, d := begin(t, Options{Grace: grace, Present: room, Log: slog.New(slog.NewTextHandler(&log, nil))})
		d.busy = true
		r.Begin("a", []string{"room"})
		time.Sleep(retry / 2)
		d.mu.Lock()
		d.busy = false
		d.mu.Unlock()
		r.Begin("b", []string{"room"})
		r.End("b", []string{"room"})
		want(t, "with the next one", d.take(), "join room a, join room b")
		time.Sleep(2 * grace)
		want(t, "later", d.take(), "leave room b")

		d.mu.Lock()
		d.busy = true
		d.mu.Unlock()
		for i := range maxUnpublished + 3 {
			r.Begin(fmt.Sprint(i), []string{"room"})
		}
		d.mu.Lock()
		d.busy = false
		d.mu.Unlock()
		time.Sleep(time.Minute)
		text := d.take()
		if n := strings.Count(text, "join"); n != maxUnpublished || !strings.HasPrefix(text, "join room 3, ") || r.Stats().Unpublished != 3 {
			t.Errorf("%d published, first %.20q, %+v", n, text, r.Stats())
		}
		if strings.Count(log.String(), "leave not published") != 1 {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// Past the bound a grace period is cut short.
func TestGraceIsCutShortPastTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, d := begin(t, Options{Grace: time.Hour, Users: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range maxLeaving + 2 {
			r.Begin(fmt.Sprint(i), nil)
			d.list = nil
			r.End(fmt.Sprint(i), nil)
		}
		want(t, "told", d.take(), "offline 1")
		if s := r.Stats(); s.ExpiredEarly != 2 || s.Leaving != maxLeaving || s.Users != maxLeaving {
			t.Errorf("%+v", s)
		}
		if strings.Count(log.String(), "cut short") != 1 {
			t.Errorf("log:\n%s", log.String())
		}
		// When they are due together, they are told of in slices, and all.
		time.Sleep(2 * time.Hour)
		if n := strings.Count(d.take(), "offline"); n != maxLeaving || r.leaving.Len() > 0 {
			t.Errorf("%d told, %d left", n, r.leaving.Len())
		}
	})
}

// counter is the smallest subscriber.
type counter struct{ membership hub.Membership }

func (c *counter) Membership() *hub.Membership { return &c.membership }
func (c *counter) Deliver([]*hub.Message)      {}

func watched(h **hub.Hub, lanes int, o Options) (Options, func(r *Tracker)) {
	*h = hub.New(hub.Options{Lanes: lanes, Watch: room})
	o.Occupancy = (*h).TakeOccupancy
	return o, func(r *Tracker) { (*h).OnOccupancy(r.Occupancy) }
}

func TestOccupancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h *hub.Hub
		o, wire := watched(&h, 1, Options{Grace: grace})
		r, d := begin(t, o)
		wire(r)
		var a, b counter
		l := h.Lane(0)
		l.Join(&a, []string{"room", "news"}, 0, false)
		l.Join(&b, []string{"room"}, 0, false)
		want(t, "held", d.take(), "occupied room")
		l.Leave(&a)
		l.Leave(&b)
		time.Sleep(grace - time.Millisecond)
		l.Join(&a, []string{"room"}, 0, false)
		time.Sleep(2 * grace)
		want(t, "held again in time", d.take(), "")
		l.Leave(&a)
		time.Sleep(grace / 2)
		l.Join(&a, []string{"room"}, 0, false)
		l.Leave(&a)
		time.Sleep(grace - coarse)
		want(t, "the grace period begins again", d.take(), "")
		time.Sleep(2 * coarse)
		want(t, "empty", d.take(), "vacated room")
		l.Join(&a, []string{"room"}, 0, false)
		l.Leave(&a)
		r.Close()
		want(t, "at the end", d.take(), "occupied room, vacated room")
		if len(r.channels) > 0 {
			t.Errorf("left over: %v", r.channels)
		}
	})
}

// Whatever many lanes do at a time, coming and going alternate for each channel, and in the end what was
// told is so.
func TestAlternation(t *testing.T) {
	const lanes, steps, channels, users = 4, 3000, 3, 10
	for _, period := range []time.Duration{0, time.Millisecond} {
		var h *hub.Hub
		o, wire := watched(&h, lanes, Options{Grace: period, Users: true, Present: room})
		r, d := begin(t, o)
		wire(r)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var group sync.WaitGroup
		var over atomic.Bool
		hasty := make(chan struct{})
		go func() { // looks more often than Serve does
			defer close(hasty)
			for !over.Load() {
				r.due()
			}
		}()
		for i := range lanes {
			group.Go(func() {
				l, random := h.Lane(i), rand.New(rand.NewPCG(seed, uint64(i)))
				type conn struct {
					counter
					user     string
					channels []string
				}
				var conns [2]conn
				leave := func(c *conn) {
					if c.user != "" {
						l.Leave(c)
						r.End(c.user, c.channels)
						c.user = ""
					}
				}
				for range steps {
					c := &conns[random.IntN(len(conns))]
					if c.user != "" {
						leave(c)
						continue
					}
					c.user = fmt.Sprint("u", random.IntN(users))
					c.channels = nil
					for n := range channels {
						if random.IntN(6) == 0 {
							c.channels = append(c.channels, fmt.Sprint("room", n))
						}
					}
					l.Join(c, c.channels, 0, false)
					r.Begin(c.user, c.channels)
				}
				if i%2 == 0 {
					for n := range conns {
						leave(&conns[n])
					}
				}
			})
		}
		group.Wait()
		over.Store(true)
		<-hasty
		r.Close()

		came := map[string]string{Vacated: Occupied, Offline: Online, Leave: Join}
		there := make(map[Event]bool) // by what was told when they came
		for _, e := range d.list {
			key, comes := Event{e.Type, time.Time{}, e.Channel, e.User}, true
			if of, goes := came[e.Type]; goes {
				key.Type, comes = of, false
			}
			if there[key] == comes {
				t.Fatalf("%s %s%s is told twice", e.Type, e.Channel, e.User)
			}
			there[key] = comes
		}
		if len(d.list) < 100 {
			t.Errorf("only %d events were told", len(d.list))
		}
		for n := range channels {
			name := fmt.Sprint("room", n)
			if i, _ := h.Channel(name); there[Event{Type: Occupied, Channel: name}] != (i.Subscribers > 0) {
				t.Errorf("%s has %d subscribers; told was the other", name, i.Subscribers)
			}
		}
	}
}

// TestMembersOfALargeChannel: a list lets others have the lock, has everybody who stays, and nobody twice.
func TestMembersOfALargeChannel(t *testing.T) {
	const stay = 5000
	r := New(Options{Present: func(string) bool { return true }})
	for i := range stay {
		r.Begin(fmt.Sprint("stays ", i), []string{"a"})
	}
	stopc, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stopc:
				return
			default:
			}
			user := fmt.Sprint("goes ", i%50)
			r.Begin(user, []string{"a"})
			r.End(user, []string{"a"})
		}
	}()
	for range 20 {
		before := r.turns
		list, total := r.Members("a", 2*stay)
		if total != len(list) || total < stay || total > stay+50 {
			t.Errorf("%d of %d users", len(list), total)
		}
		stays := 0
		for i, m := range list {
			if strings.HasPrefix(m.User, "stays") {
				stays++
			}
			if i > 0 && list[i-1].User >= m.User {
				t.Errorf("%q follows %q", m.User, list[i-1].User)
			}
		}
		if n := r.turns - before; stays != stay || n < stay/membersSlice {
			t.Errorf("%d users of %d, with the lock released %d times", stays, stay, n)
		}
	}
	close(stopc)
	<-stopped
}
