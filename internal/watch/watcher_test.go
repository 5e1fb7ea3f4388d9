package watch

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/hub"
)

const second = time.Second

// TestNobodyHolds: without a holder there is no request, and with one there is one at once.
func TestNobodyHolds(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		w.pass(time.Minute)
		want(t, "before", len(w.requests()), 0)
		m := w.hold("p.1")
		w.hold("other.1")
		w.pass(0)
		list := w.requests()
		want(t, "at once", len(list), 1)
		want(t, "path", list[0].path, "/p?id=1")
		want(t, "received", m.text(), "a")
		w.pass(10 * second)
		want(t, "the second within the interval", len(w.requests()), 1)
		w.pass(100 * second)
		want(t, "then one in each", len(w.requests()), 10)
		w.leave("p.1")
		w.pass(time.Hour)
		want(t, "after", len(w.requests()), 0)
		want(t, "published once", m.text(), "a")
		s := w.watcher.Stats()
		want(t, "stats", fmt.Sprint(s.Channels, s.Requests, s.Changes, s.Unchanged), "0 12 1 11")
		if len(w.watcher.channels) != 0 {
			t.Errorf("%d channels are left", len(w.watcher.channels))
		}
	})
}

// TestSpread: channels that are held at the same time are asked at times all over the interval.
func TestSpread(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		const channels = 200
		for i := range channels {
			w.hold(fmt.Sprint("p.", i))
		}
		w.pass(0)
		want(t, "all at once", len(w.requests()), channels)
		w.pass(20 * second)
		w.requests()
		for range 10 { // in each tenth of an interval
			w.pass(second)
			if n := len(w.requests()); n < 2 || n > 60 {
				t.Errorf("%d requests of %d in a second", n, channels)
			}
		}
		w.pass(50 * second)
		each := map[string]int{}
		for _, r := range w.requests() {
			each[r.path]++
		}
		for path, n := range each {
			if n != 5 {
				t.Errorf("%s was asked for %d times in five intervals", path, n)
			}
		}
		want(t, "channels", len(each), channels)
	})
}

// TestReloads: a holder that comes and goes causes no more requests than one that stays.
func TestReloads(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		for range 1000 {
			w.hold("p.1")
			w.pass(50 * time.Millisecond)
			w.leave("p.1")
			w.pass(50 * time.Millisecond)
		}
		if n := len(w.requests()); n > 12 {
			t.Errorf("%d requests in ten intervals", n)
		}
		w.pass(restTime + second)
		w.hold("p.1")
		w.pass(0)
		want(t, "after a long absence", len(w.requests()), 1)
	})
}

// TestBound: no more than InFlight at a time, and all channels get their turn, also those of another rule.
func TestBound(t *testing.T) {
	run(t, Options{InFlight: 4}, "p.{id} /p?id={id} 2s body\nq.{id} /q?id={id} 20s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			time.Sleep(second)
			return page(200, "a"), nil
		})
		for i := range 40 { // 20 requests a second are due, and 4 are possible
			w.hold(fmt.Sprint("p.", i))
		}
		w.hold("q.1")
		w.pass(220 * second)
		want(t, "at a time", w.most, 4)
		each := map[string]int{}
		for _, r := range w.requests() {
			each[r.path]++
		}
		least, most := math.MaxInt, 0
		for path, n := range each {
			if strings.HasPrefix(path, "/p") {
				least, most = min(least, n), max(most, n)
			}
		}
		if len(each) != 41 || most-least > 2 || least < 20 {
			t.Errorf("between %d and %d requests for each of %d channels", least, most, len(each))
		}
		if n := each["/q?id=1"]; n < 7 {
			t.Errorf("the other rule's channel was asked for %d times", n)
		}
		if s := w.watcher.Stats(); s.Late < 5*second || s.Late > 15*second || s.InFlight != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// TestSlowApp: a channel is not asked again while it is asked, and the app has a rest as long as it took.
func TestSlowApp(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 2s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			time.Sleep(3 * second)
			return page(200, "a"), nil
		})
		w.hold("p.1")
		w.pass(100 * second)
		if n := len(w.requests()); n < 19 || n > 21 { // 3 s for the answer and 2 s of rest
			t.Errorf("%d requests", n)
		}
	})
}

// TestMaxChannels: what is beyond waits until another channel has no holder or has had its turn, in its order, and one place is
// for one channel.
func TestMaxChannels(t *testing.T) {
	run(t, Options{MaxChannels: 2}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		for _, channel := range []string{"p.1", "p.2", "p.3", "p.4", "p.5"} {
			w.hold(channel)
		}
		w.pass(60 * second)
		for _, r := range w.requests() {
			if r.path != "/p?id=1" && r.path != "/p?id=2" {
				t.Errorf("%s was asked for", r.path)
			}
		}
		want(t, "stats", fmt.Sprint(w.watcher.Stats().Channels, w.watcher.Stats().Waiting), "2 3")
		if log := w.logged(); strings.Count(log, "push.watch_channels") != 1 {
			t.Errorf("logged: %s", log)
		}
		w.leave("p.3") // in line
		w.leave("p.1")
		w.pass(0)
		list := w.requests()
		want(t, "the next in line, at once", fmt.Sprint(len(list), " ", list[0].path), "1 /p?id=4")
		w.hold("p.1")
		w.pass(30 * second)
		for _, r := range w.requests() {
			if r.path != "/p?id=2" && r.path != "/p?id=4" {
				t.Errorf("%s was asked for", r.path)
			}
		}
		want(t, "stats", fmt.Sprint(w.watcher.Stats().Channels, w.watcher.Stats().Waiting), "2 2")
		for _, channel := range []string{"p.1", "p.2", "p.4", "p.5"} {
			w.leave(channel)
		}
		w.pass(0)
		// Channels that rest give their place to any that is held.
		w.hold("p.6")
		w.hold("p.7")
		w.pass(0)
		want(t, "stats", fmt.Sprint(w.watcher.Stats().Channels, w.watcher.Stats().Waiting), "2 0")
		w.leave("p.6")
		w.leave("p.7")
		w.pass(2 * restTime)
		want(t, "left", len(w.watcher.channels), 0)
	})
}

// TestFailingGivePlace: where not all channels have a place, those that fail do not keep it.
func TestFailingGivePlace(t *testing.T) {
	run(t, Options{MaxChannels: 2}, "p.{id} /p?id={id} 2s body", func(w *world) {
		w.answers(func(path string, _ appcall.Validators) (appcall.Page, error) {
			if path == "/p?id=1" {
				return page(200, "a"), nil
			}
			return page(404, ""), nil
		})
		for i := 10; i < 30; i++ {
			w.hold(fmt.Sprint("p.", i))
		}
		m := w.hold("p.1")
		w.pass(10 * second) // the first ones may have failed before anybody waited
		want(t, "received", m.text(), "a")
		w.pass(10 * time.Minute)
		each := map[string]int{}
		for _, r := range w.requests() {
			each[r.path]++
		}
		if n := each["/p?id=1"]; n < 290 {
			t.Errorf("the one that works was asked for %d times", n)
		}
		for path, n := range each {
			if path != "/p?id=1" && n > 20 {
				t.Errorf("%s was asked for %d times", path, n)
			}
		}
		s := w.watcher.Stats()
		want(t, "stats", fmt.Sprint(s.Channels, s.Waiting, s.Failing), "2 19 20")
		for i := 10; i < 30; i++ {
			w.leave(fmt.Sprint("p.", i))
		}
		w.leave("p.1")
		w.pass(2 * restTime)
		s = w.watcher.Stats()
		want(t, "in the end", fmt.Sprint(s.Channels, s.Waiting, s.Failing, len(w.watcher.channels)), "0 0 0 0")
	})
}

// TestTurns: where not all channels have a place, and the app answers to all of them, each has its turn, and the app gets no
// more requests than there are places.
func TestTurns(t *testing.T) {
	run(t, Options{MaxChannels: 4}, "p.{id} /p?id={id} 2s body", func(w *world) {
		w.says("a")
		for i := range 12 {
			w.hold(fmt.Sprint("p.", i))
		}
		const minutes = 10
		w.pass(minutes * time.Minute)
		each, last := map[string]int{}, map[string]time.Duration{}
		gap := time.Duration(0)
		list := w.requests()
		for _, r := range list {
			gap = max(gap, r.at-last[r.path])
			each[r.path]++
			last[r.path] = r.at
		}
		if most := minutes*60/2*4 + 12; len(list) > most || len(list) < most*9/10 {
			t.Errorf("%d requests; want about %d", len(list), most)
		}
		for i := range 12 {
			if n := each[fmt.Sprintf("/p?id=%d", i)]; n < len(list)/12*3/4 {
				t.Errorf("p.%d was asked for %d times of %d", i, n, len(list))
			}
		}
		if gap > 100*second { // two of three turns of 30 s are others'
			t.Errorf("a channel was not asked for during %v", gap)
		}
		want(t, "stats", fmt.Sprint(w.watcher.Stats().Channels, w.watcher.Stats().Waiting), "4 8")
	})
}

// TestNames: a channel whose name does not fit the URL is not watched, and it is counted and logged.
func TestNames(t *testing.T) {
	run(t, Options{}, "p.{id} /p/{id} 10s body\n*.{id} /q?id={id} 10s body", func(w *world) {
		w.says("a")
		for range 3 {
			w.hold("p.%2E%2E")
			w.pass(0)
			w.leave("p.%2E%2E")
		}
		want(t, "requests", len(w.requests()), 0)
		want(t, "counted", w.watcher.Stats().Failures[BadName], 3)
		if log := w.logged(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "key=watch[0] channel=p.%2E%2E") {
			t.Errorf("logged: %s", log)
		}
		w.hold("q.%2E%2E")
		w.pass(0)
		want(t, "where it fits", w.requests()[0].path, "/q?id=..")
	})
}

// TestSubscribersOfPatterns: a pattern begins no watch.
func TestSubscribersOfPatterns(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		w.hold("p.*")
		w.hold("p.**")
		w.pass(time.Minute)
		want(t, "requests", len(w.requests()), 0)
	})
}

// TestWantsCost: it is called for every channel of every subscription, on its loop.
func TestWantsCost(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body\nq.{id}.x /q?id={id} 10s body", func(w *world) {
		if n := testing.AllocsPerRun(100, func() { w.watcher.Wants("q.1.x"); w.watcher.Wants("q.1.y") }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestStop: requests in progress are waited for, and none begins any more.
func TestStop(t *testing.T) {
	run(t, Options{InFlight: 2}, "p.{id} /p?id={id} 1s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			time.Sleep(5 * second)
			return appcall.Page{}, fmt.Errorf("%w: it is over", appcall.ErrGetterStopped)
		})
		for i := range 10 {
			w.hold(fmt.Sprint("p.", i))
		}
		w.pass(second)
		want(t, "in progress", w.watcher.Stats().InFlight, 2)
	})
}

// TestPanic: an error in here costs one request.
func TestPanic(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) { panic("oh") })
		m := w.hold("p.1")
		w.pass(second)
		want(t, "counted", w.watcher.Stats().Failures[Internal], 1)
		if log := w.logged(); !strings.Contains(log, "panic=oh") {
			t.Errorf("logged: %s", log)
		}
		w.says("a")
		w.pass(2 * maxBackoff)
		want(t, "received", m.text(), "a")
	})
}

// TestOtherLane: holders of several loops are one holder.
func TestOtherLane(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		var more hub.Subscriber = new(member)
		w.hold("p.1")
		w.hub.Lane(0).Join(more, []string{"p.1", "x"}, 0, false)
		w.pass(0)
		w.leave("p.1")
		w.pass(100 * second)
		want(t, "requests", len(w.requests()), 11)
		w.hub.Lane(0).Leave(more)
		w.pass(100 * second)
		want(t, "requests", len(w.requests()), 0)
	})
}
