package watch

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/hub"
)

// TestChanges: each change is published once.
func TestChanges(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		for _, text := range []string{"a", "a", "b", "", "b", "b"} {
			w.says(text)
			w.pass(20 * second)
		}
		want(t, "received", m.text(), "a|b||b")
		s := w.watcher.Stats()
		want(t, "changes", s.Changes, 4)
	})
}

// TestData: what is compared and published.
func TestData(t *testing.T) {
	for _, c := range []struct{ data, kind, first, second, want string }{
		{"body", "text/html", " <b>1</b>\n", " <b>2</b>\n", " <b>1</b>\n| <b>2</b>\n"},
		{"body", "application/json", ` {"n": 1} `, `{"n": 1}`, `JSON {"n": 1}`},
		{"body", "application/problem+json", `1`, `2`, `JSON 1|JSON 2`},
		{"body", "application/json", `{"n": 1`, `{"n": 2}`, `JSON {"n": 2}`},
		{"body", "text/plain", `1`, `2`, `1|2`},
		{"body", "", "\xff\x00", "\xff\x01", "\xff\x00|\xff\x01"},
		{"json", "text/html", `{"n": 1}`, "<form>log in</form>", `JSON {"n": 1}`},
		{"json", "", "", "null", `JSON null`},
		{"/state", "", `{"state": "x", "at": 1}`, `{"state": "x", "at": 2}`, `x`},
		{"/state", "", `{"state": "\u00e9"}`, `{"state": ""}`, "é|"},
		{"/state/0", "", `{"state": [1]}`, `{"state": [2]}`, `JSON 1|JSON 2`},
		{"/state", "", `{"state": 1}`, `{"at": 2}`, `JSON 1`},
		{"/state", "", `{"state": 1}`, `{"state": 2, "state": 3}`, `JSON 1`},
		{"/state", "", "{\"state\": 1}", "<b>Notice</b>: x", `JSON 1`},
	} {
		run(t, Options{}, "p.{id} /p?id={id} 10s "+c.data, func(w *world) {
			var m *member
			for _, text := range []string{c.first, c.second} {
				w.answers(func(string, appcall.Validators) (appcall.Page, error) {
					return appcall.Page{Status: 200, Body: []byte(text), MediaType: c.kind}, nil
				})
				if m == nil {
					m = w.hold("p.1")
				}
				w.pass(5 * time.Minute)
			}
			want(t, fmt.Sprintf("%s of %q and %q", c.data, c.first, c.second), m.text(), c.want)
		})
	}
}

// TestValidators: they are sent when there is a value that they belong to, and 304 and 204 are no change.
func TestValidators(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		tagged := func(tag string) func(string, appcall.Validators) (appcall.Page, error) {
			return func(_ string, known appcall.Validators) (appcall.Page, error) {
				if known.ETag == tag {
					return appcall.Page{Status: 304}, nil
				}
				p := page(200, "value "+tag)
				p.Validators.ETag = tag
				return p, nil
			}
		}
		w.answers(tagged(`"1"`))
		m := w.hold("p.1")
		w.pass(50 * second)
		list := w.requests()
		if list[0].known.ETag != "" || list[1].known.ETag != `"1"` {
			t.Errorf("sent %+v", list)
		}
		w.answers(tagged(`"2"`))
		w.pass(50 * second)
		w.answers(func(_ string, known appcall.Validators) (appcall.Page, error) { return appcall.Page{Status: 204}, nil })
		w.pass(50 * second)
		w.answers(func(_ string, known appcall.Validators) (appcall.Page, error) { return page(500, ""), nil })
		w.pass(50 * second)
		w.requests()
		w.says(`value "2"`) // without a tag now
		w.pass(2 * time.Minute)
		list = w.requests()
		if list[0].known.ETag != `"2"` || list[1].known.ETag != "" {
			t.Errorf("after failures %+v", list)
		}
		want(t, "received", m.text(), `value "1"|value "2"`)
	})
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.answers(func(_ string, known appcall.Validators) (appcall.Page, error) { return appcall.Page{Status: 304}, nil })
		w.hold("p.1")
		w.pass(second)
		want(t, "304 without a validator", w.watcher.Stats().Failures[BadStatus], 1)
	})
}

// TestHistory: the value is there for later subscribers as long as the channel is watched, and is not published again when the
// channel is watched anew.
func TestHistory(t *testing.T) {
	run(t, Options{}, "{k}.{id} /p?id={id}&k={k} 10s body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		for range 30 { // history keeps a message for a minute
			w.pass(20 * second)
			w.hub.Sweep(time.Now())
		}
		kept, _ := w.hub.Last("p.1")
		if kept == nil || string(kept.Data) != "a" {
			t.Errorf("kept is %+v", kept)
		}
		w.leave("p.1")
		w.pass(restTime + second) // what the watcher knows is gone, and history has it still: nobody swept
		again := w.hold("p.1")
		w.pass(30 * second)
		want(t, "received", m.text()+", again "+again.text(), "a, again ")
		w.hub.Sweep(time.Now())
		if kept, _ := w.hub.Last("p.1"); kept == nil {
			t.Error("it is not renewed when the channel is watched anew")
		}
		w.leave("p.1")
		w.pass(time.Hour)
		w.hub.Sweep(time.Now())
		late := w.hold("p.1")
		w.pass(0)
		want(t, "received when history has nothing", late.text(), "a")

		bare := w.hold("bare.1")
		w.pass(time.Minute)
		w.leave("bare.1")
		w.pass(2 * restTime)
		bare2 := w.hold("bare.1")
		w.pass(time.Minute)
		want(t, "received without history", bare.text()+" "+bare2.text(), "a a")
	})
}

// TestHistoryLostWhileFailing: a value that got too old while the app failed is published again, as nobody could find it.
func TestHistoryLostWhileFailing(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		w.pass(30 * second)
		w.answers(func(string, appcall.Validators) (appcall.Page, error) { return page(500, ""), nil })
		w.pass(5 * time.Minute)
		w.hub.Sweep(time.Now())
		w.says("a")
		w.pass(5 * time.Minute)
		want(t, "received", m.text(), "a|a")
	})
}

// TestHistoryOthersFollow: a value that has left the history behind messages of others is there again for later subscribers. Those
// who have it do not get it again, and it does not drive out the others' messages each time.
func TestHistoryOthersFollow(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 5s body", func(w *world) {
		w.says("state")
		m := w.hold("p.1")
		w.pass(12 * second)
		newest := func() string {
			kept, _ := w.hub.Last("p.1")
			return string(kept.Data)
		}
		w.publish("p.1", "event")
		want(t, "newest", newest(), "event")
		for range 14 { // what is older than a minute leaves the history
			w.pass(5 * second)
			w.hub.Sweep(time.Now())
		}
		want(t, "after a minute", newest(), "state")
		w.publish("p.1", "1")
		w.publish("p.1", "2") // of two messages that the history has
		w.pass(30 * second)
		want(t, "behind two others", newest(), "state")
		want(t, "received", m.text(), "state|event|1|2")
		stored := 0
		for range 120 {
			w.publish("p.1", "3")
			w.publish("p.1", "4")
			w.pass(5 * second)
			if newest() == "state" {
				stored++
			}
		}
		if stored > 10 || stored < 3 {
			t.Errorf("among many other messages it was stored %d times", stored)
		}
		want(t, "received of it", strings.Count(m.text(), "state"), 1)
		w.says("new")
		w.pass(30 * second)
		if got := m.text(); !strings.HasSuffix(got, "|4|new") {
			t.Errorf("received %s", got)
		}
		want(t, "changes", w.watcher.Stats().Changes, 2)
	})
}

// TestFailures: holders are told nothing, the reason is counted, and the log has one line with the likely cause and one when
// it is over.
func TestFailures(t *testing.T) {
	status := func(code int) func() (appcall.Page, error) {
		return func() (appcall.Page, error) { return page(code, "oh"), nil }
	}
	fails := func(err error) func() (appcall.Page, error) {
		return func() (appcall.Page, error) { return appcall.Page{}, fmt.Errorf("%w: details", err) }
	}
	for _, c := range []struct {
		reason, logged string
		answer         func() (appcall.Page, error)
	}{
		{Unreachable, "could not be reached: details; see upstream", fails(appcall.ErrUnreachable)},
		{TimedOut, "push.watch_timeout", fails(appcall.ErrTimeout)},
		{Cut, "cut off or not understood", fails(appcall.ErrCut)},
		{TooLarge, "push.watch_max_reply", fails(appcall.ErrTooLarge)},
		{Redirected, "a login, or a Host, goes into as", status(302)},
		{Denied, "a login for the request goes into as", status(401)},
		{Denied, "status 403", status(403)},
		{NotFound, "status 404", status(404)},
		{NotFound, "status 410", status(410)},
		{BadStatus, "status 500", status(500)},
		{BadStatus, "status 206", status(206)},
		{BadContent, "compressed", func() (appcall.Page, error) {
			p := page(200, "x")
			p.Encoded = true
			return p, nil
		}},
		{Cut, "as a crash would", func() (appcall.Page, error) { return appcall.Page{Status: 200, EndedByClose: true}, nil }},
	} {
		run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
			w.says("a")
			m := w.hold("p.1")
			w.pass(30 * second)
			w.answers(func(string, appcall.Validators) (appcall.Page, error) { return c.answer() })
			w.pass(10 * time.Minute)
			s := w.watcher.Stats()
			if s.Failures[c.reason] < 9 || s.Failures[c.reason] > 20 || s.Failing != 1 {
				t.Errorf("%s: %+v", c.reason, s)
			}
			log := w.logged()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, `msg="watched URL failed; retrying" key=watch[0] channel=p.1 reason=`+c.reason+" ") || !strings.Contains(log, c.logged) {
				t.Errorf("%s: logged %s", c.reason, log)
			}
			w.says("b")
			w.pass(3 * time.Minute)
			if log := w.logged(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `msg="watched URL is back" key=watch[0] channel=p.1`) {
				t.Errorf("%s: logged %s", c.reason, log)
			}
			want(t, c.reason+" failing after it", w.watcher.Stats().Failing, 0)
			want(t, c.reason+" received", m.text(), "a|b")
		})
	}
}

// TestCutOnce: a connection that the app closes just when it is used is no failure.
func TestCutOnce(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		var n atomic.Int64
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			if n.Add(1)%2 == 1 {
				return appcall.Page{}, appcall.ErrCut
			}
			return page(200, "a"), nil
		})
		m := w.hold("p.1")
		w.pass(100 * second)
		s := w.watcher.Stats()
		want(t, "failures", s.Failures[Cut], 0)
		want(t, "requests", s.Requests, 22)
		want(t, "received and logged", m.text()+w.logged(), "a")
	})
}

// TestBackoff: a channel that fails is asked after twice the interval, four times and so on, up to a minute.
func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		every  string
		within [][2]time.Duration // of the first waits
	}{
		{"2s", [][2]time.Duration{{3 * second, 4 * second}, {6 * second, 8 * second}, {12 * second, 16 * second}, {24 * second, 32 * second}, {45 * second, 60 * second}, {45 * second, 60 * second}}},
		{"40s", [][2]time.Duration{{45 * second, 60 * second}, {45 * second, 60 * second}}},
		{"2h", [][2]time.Duration{{90 * time.Minute, 120 * time.Minute}, {90 * time.Minute, 120 * time.Minute}}},
	} {
		run(t, Options{}, "p.{id} /p?id={id} "+c.every+" body", func(w *world) {
			w.answers(func(string, appcall.Validators) (appcall.Page, error) { return page(500, ""), nil })
			w.hold("p.1")
			w.pass(10 * time.Hour)
			list := w.requests()
			for i, d := range c.within {
				if got := list[i+1].at - list[i].at; got < d[0] || got > d[1] {
					t.Errorf("every %s: wait %d was %v, want %v", c.every, i, got, d)
				}
			}
		})
	}
}

// TestRetryAfter: the app says when, up to five minutes.
func TestRetryAfter(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 2s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			p := page(503, "")
			p.RetryAfter = time.Hour
			return p, nil
		})
		w.hold("p.1")
		w.pass(21 * time.Minute)
		want(t, "requests", len(w.requests()), 5)
	})
}

// TestAppComesBack: an app that could not be reached by any channel is asked for all of them within the interval when it is
// back, and not all at once.
func TestAppComesBack(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body\nq.{id} /q?id={id} 10s body", func(w *world) {
		w.answers(func(path string, _ appcall.Validators) (appcall.Page, error) {
			if strings.HasPrefix(path, "/q") {
				return page(404, ""), nil
			}
			return appcall.Page{}, appcall.ErrUnreachable
		})
		const channels = 100
		for i := range channels {
			w.hold(fmt.Sprint("p.", i))
			w.hold(fmt.Sprint("q.", i))
		}
		w.pass(10 * time.Minute)
		if log := w.logged(); strings.Count(log, "\n") != 2 {
			t.Errorf("logged: %s", log)
		}
		want(t, "failing", w.watcher.Stats().Failing, 2*channels)
		w.requests()
		w.pass(time.Minute)
		if n := len(w.requests()); n > 3*2*channels/2 {
			t.Errorf("%d requests a minute while it fails", n)
		}
		w.answers(func(path string, _ appcall.Validators) (appcall.Page, error) {
			if strings.HasPrefix(path, "/q") {
				return page(404, ""), nil
			}
			return page(200, "a"), nil
		})
		for w.pass(second); w.watcher.Stats().Changes == 0; w.pass(second) { // the first notices
		}
		w.requests()
		w.pass(10 * second)
		want(t, "failing", w.watcher.Stats().Failing, channels)
		worst := map[time.Duration]int{}
		for _, r := range w.requests() {
			if strings.HasPrefix(r.path, "/p") {
				worst[r.at.Truncate(second)]++
			}
		}
		for at, n := range worst {
			if n > channels/2 {
				t.Errorf("%d requests in second %v", n, at)
			}
		}
	})
}

// TestManyFail: the log has a line a minute for each rule and reason, not one for each channel.
func TestManyFail(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 1s body", func(w *world) {
		w.says("a")
		for i := range 200 {
			w.hold(fmt.Sprint("p.", i))
		}
		for range 10 {
			w.pass(2 * second)
			w.answers(func(string, appcall.Validators) (appcall.Page, error) { return page(500, ""), nil })
			w.pass(2 * second)
			w.says("a")
		}
		if log := w.logged(); strings.Count(log, "\n") != 2 {
			t.Errorf("logged: %s", log)
		}
	})
}

// TestPublishRefused: a change that the hub does not take is published later.
func TestPublishRefused(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		var taken atomic.Bool
		publish := w.watcher.o.Publish
		w.watcher.o.Publish = func(d hub.Draft) (hub.Receipt, error) {
			if !taken.Load() {
				return hub.Receipt{}, errors.New("too much")
			}
			return publish(d)
		}
		m := w.hold("p.1")
		w.pass(second)
		want(t, "counted", w.watcher.Stats().Failures[Unpublished], 1)
		taken.Store(true)
		w.pass(2 * maxBackoff)
		want(t, "received", m.text(), "a")
	})
}

// publish is what the app does by itself.
func (w *world) publish(channel, text string) {
	w.t.Helper()
	if _, err := w.hub.PublishOne(hub.Draft{Channels: []string{channel}, Data: []byte(text)}); err != nil {
		w.t.Fatal(err)
	}
}

// TestDirectPublish: a message of the app goes beside the requests, puts the next one off, and is not published again.
func TestDirectPublish(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		w.pass(60 * second)
		w.says("b")
		w.publish("p.1", "b")
		w.requests()
		w.pass(60 * second)
		if n := len(w.requests()); n != 5 {
			t.Errorf("%d requests in six intervals, want 5", n)
		}
		want(t, "received", m.text(), "a|b")
		for range 10 * 60 { // a message in each second must not keep it from being asked
			w.publish("p.1", "note")
			w.pass(second)
		}
		if n := len(w.requests()); n < 11 || n > 13 {
			t.Errorf("%d requests in 60 intervals, want one in five", n)
		}
		if got := m.text(); strings.Count(got, "b") != 1 || strings.Count(got, "note") != 600 {
			t.Errorf("received %s", got)
		}
		w.says("c")
		w.pass(60 * second)
		if got := m.text(); !strings.HasSuffix(got, "note|c") {
			t.Errorf("received %s", got)
		}
	})
}

// TestChanged: the app says that its state has changed, and is asked at once, also for what is on its way.
func TestChanged(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 1h body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		w.pass(2 * time.Hour)
		w.requests()
		for _, text := range []string{"b", "c"} {
			w.says(text)
			w.publish("p.1", "changed")
			w.watcher.Changed("p.1")
			w.pass(0)
			want(t, "requests", len(w.requests()), 1)
		}
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			time.Sleep(3 * second)
			return page(200, "c"), nil
		})
		w.watcher.Changed("p.1")
		w.pass(second)
		w.says("d")
		w.watcher.Changed("p.1")
		w.pass(second)
		want(t, "requests while one is on its way", len(w.requests()), 1)
		w.pass(second)
		want(t, "requests behind it", len(w.requests()), 1)
		want(t, "received", m.text(), "a|changed|b|changed|c|d")

		w.leave("p.1")
		w.watcher.Changed("p.1")
		w.watcher.Changed("p.2")
		w.says("e")
		w.pass(second)
		want(t, "requests for nobody", len(w.requests()), 0)
		again := w.hold("p.1")
		w.pass(0)
		want(t, "received at once", again.text(), "e")
	})
}

// TestOldAnswer: an answer that was made before a message that the app has published meanwhile is not published after it.
func TestOldAnswer(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.says("a")
		m := w.hold("p.1")
		w.pass(30 * second)
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			time.Sleep(3 * second)
			return page(200, "b"), nil
		})
		for w.requests(); len(w.requests()) == 0; w.pass(second) {
		}
		w.says("c")
		w.publish("p.1", "c")
		w.pass(60 * second)
		want(t, "received", m.text(), "a|c")

		// One who publishes all the time cannot keep the value back.
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			w.publish("p.1", "note")
			return page(200, "d"), nil
		})
		w.requests()
		w.pass(60 * second)
		if got := m.text(); strings.Count(got, "|d") != 1 {
			t.Errorf("received %s", got)
		}
	})
}

// TestHints: what an operator should know, once: each request begins a session; the value is never the same.
func TestHints(t *testing.T) {
	run(t, Options{}, "p.{id} /p?id={id} 10s body", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			p := page(200, time.Now().String())
			p.SetsCookie = true
			return p, nil
		})
		w.hold("p.1")
		w.pass(50 * second)
		if log := w.logged(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "may begin a session") {
			t.Errorf("logged: %s", log)
		}
		w.pass(10 * time.Minute)
		if log := w.logged(); len(regexp.MustCompile("changes with every request").FindAllString(log, -1)) != 1 {
			t.Errorf("logged: %s", log)
		}
	})
	run(t, Options{}, "p.{id} /p?id={id} 10s body cookies", func(w *world) {
		w.answers(func(string, appcall.Validators) (appcall.Page, error) {
			p := page(200, "a")
			p.SetsCookie = true
			return p, nil
		})
		w.hold("p.1")
		w.pass(10 * time.Minute)
		want(t, "logged", w.logged(), "")
	})
}
