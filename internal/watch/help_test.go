package watch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channelurl"
	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// request is one that the app was sent.
type request struct {
	at    time.Duration // since the test began
	path  string
	known appcall.Validators
}

// world is a watcher with its hub, its app and its log, in a bubble of synctest.
type world struct {
	t       *testing.T
	hub     *hub.Hub
	watcher *Watcher
	began   time.Time

	mu      sync.Mutex
	answer  func(path string, known appcall.Validators) (appcall.Page, error)
	asked   []request
	asking  map[string]bool // paths, now
	most    int             // at a time
	members map[string]*member
	log     bytes.Buffer
}

// member is a subscriber that writes down what it receives.
type member struct {
	membership hub.Membership
	mu         sync.Mutex
	got        []string
}

func (m *member) Membership() *hub.Membership { return &m.membership }

func (m *member) Deliver(batch []*hub.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range batch {
		kind := ""
		if b.JSON {
			kind = "JSON "
		}
		m.got = append(m.got, kind+string(b.Data))
	}
}

// run runs f in a world whose app answers as it says. The watcher is stopped behind it.
func run(t *testing.T, o Options, rules string, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, asking: map[string]bool{}, members: map[string]*member{}, began: time.Now()}
		w.hub = hub.New(hub.Options{
			Rule:  func(name string) (hub.History, bool) { return w.history(name) },
			Watch: func(name string) bool { return w.watcher.Wants(name) },
		})
		w.hub.OnOccupancy(func() { w.watcher.Occupied(w.hub.TakeOccupancy()) })
		for line := range strings.Lines(rules) {
			if fields := strings.Fields(line); len(fields) > 0 {
				o.Rules = append(o.Rules, w.rule(len(o.Rules), fields))
			}
		}
		if o.InFlight == 0 {
			o.InFlight = 16
		}
		if o.MaxChannels == 0 {
			o.MaxChannels = 1000
		}
		o.Last, o.Renew, o.Publish = w.hub.Last, w.hub.Renew, w.hub.PublishOne
		o.Log = slog.New(slog.NewTextHandler(lockedWriter{w}, nil))
		w.watcher = New(o)
		ctx, cancel := context.WithCancel(t.Context())
		donec := make(chan bool)
		go func() { w.watcher.Serve(ctx); close(donec) }()
		f(w)
		cancel()
		<-donec
		if s := w.watcher.Stats(); s.InFlight != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// history keeps two messages for a minute, of channels that do not begin with "bare".
func (w *world) history(name string) (hub.History, bool) {
	if strings.HasPrefix(name, "bare") {
		return hub.History{}, true
	}
	return hub.History{Messages: 2, Age: time.Minute}, true
}

// rule reads "pattern url every data", and "cookies" if requests have a login.
func (w *world) rule(i int, fields []string) Rule {
	w.t.Helper()
	r := Rule{Key: fmt.Sprintf("watch[%d]", i), Get: w.get, Cookies: len(fields) > 4}
	pattern, err := channelurl.ParsePattern(fields[0])
	if err == nil {
		r.URL, err = pattern.Parse(fields[1])
	}
	if err == nil {
		r.Every, err = time.ParseDuration(fields[2])
	}
	if err == nil {
		r.Data, err = ParseData(fields[3])
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

type lockedWriter struct{ *world }

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

func (w *world) get(path string, known appcall.Validators) (appcall.Page, error) {
	w.mu.Lock()
	w.asked = append(w.asked, request{time.Since(w.began), path, known})
	if w.asking[path] {
		w.t.Errorf("%s is asked twice at a time", path)
	}
	w.asking[path] = true
	w.most = max(w.most, len(w.asking))
	answer := w.answer
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.asking, path)
		w.mu.Unlock()
	}()
	return answer(path, known)
}

// answers makes the app answer so from now on.
func (w *world) answers(f func(path string, known appcall.Validators) (appcall.Page, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

// says makes the app answer every request with this text.
func (w *world) says(text string) {
	w.answers(func(string, appcall.Validators) (appcall.Page, error) { return page(200, text), nil })
}

func page(status int, body string) appcall.Page {
	return appcall.Page{Status: status, Body: []byte(body), MediaType: "text/html"}
}

// hold makes somebody hold a channel, who has the channel's name.
func (w *world) hold(channel string) *member {
	m := new(member)
	w.hub.Lane(0).Join(m, []string{channel}, 0, false)
	w.members[channel] = m
	return m
}

func (w *world) leave(channel string) {
	w.hub.Lane(0).Leave(w.members[channel])
	delete(w.members, channel)
}

// pass lets time go by, and delivers what was published.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	for w.hub.Lane(0).Step(100) {
	}
}

// requests returns how many there were since the last call.
func (w *world) requests() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.asked
	w.asked = nil
	return list
}

// logged returns what was logged since the last call.
func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.log.String()
	w.log.Reset()
	return text
}

func (m *member) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.got, "|")
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
