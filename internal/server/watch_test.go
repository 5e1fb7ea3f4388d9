package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/warnings"
	"holdfast/internal/wiretest"
)

// polledApp is an app that can only be polled. It listens on a socket, where it can go away and come back.
type polledApp struct {
	t      *testing.T
	socket string
	server *httptest.Server

	mu      sync.Mutex
	state   map[string]string // of ids
	asked   []*http.Request
	respond http.HandlerFunc // instead, if not nil
}

func newPolledApp(t *testing.T) *polledApp {
	a := &polledApp{t: t, socket: filepath.Join(t.TempDir(), "app"), state: map[string]string{}}
	a.start()
	t.Cleanup(func() { a.stop() })
	return a
}

func (a *polledApp) start() {
	a.t.Helper()
	ln, err := net.Listen("unix", a.socket)
	if err != nil {
		a.t.Fatal(err)
	}
	a.server = &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(a.serve)}}
	a.server.Start()
}

func (a *polledApp) stop() {
	a.server.CloseClientConnections()
	a.server.Close()
}

func (a *polledApp) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	respond, state := a.respond, a.state[r.URL.Query().Get("id")]
	a.mu.Unlock()
	if respond != nil {
		respond(w, r)
		return
	}
	tag := `"` + state + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"state":%q,"at":%d}`, state, a.count())
}

func (a *polledApp) set(id, state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state[id] = state
}

func (a *polledApp) responds(f http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.respond = f
}

func (a *polledApp) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// urls returns what was asked for, each once.
func (a *polledApp) urls() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen, list := map[string]bool{}, []string(nil)
	for _, r := range a.asked {
		if !seen[r.RequestURI] {
			seen[r.RequestURI], list = true, append(list, r.RequestURI)
		}
	}
	return strings.Join(list, " ")
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serveWatch runs Holdfast in front of the app until the function that it returns is called.
func serveWatch(t *testing.T, a *polledApp, more string, prepare ...func(*Server)) (*Server, *logBuffer, func()) {
	t.Helper()
	log := new(logBuffer)
	s, _, stop := serve(t, "listen: 127.0.0.1:0\nupstream: http+unix:"+a.socket+
		"\nhooks: {listen: 127.0.0.1:0}\ntimeouts: {drain: 1s}\n"+more, log, prepare...)
	return s, log, stop
}

const watchParcels = `
channels: [{match: "parcel.*", access: public}, {match: "**", access: public}]
watch: [{channel: "parcel.{id}", url: "/status.php?id={id}", every: 100ms, data: /state, as: {Cookie: svc=1, Host: www.example.com}}]
`

// TestWatch is the way of a channel: nobody is asked for it before somebody holds it, changes reach all who hold it, later
// subscribers find the state in history, and an app that goes away and comes back is asked again.
func TestWatch(t *testing.T) {
	a := newPolledApp(t)
	a.set("1", "packed")
	s, log, stop := serveWatch(t, a, watchParcels)
	hold(t, s, "", "news")
	ann := hold(t, s, "", "parcel.1")
	if line := ann.until("packed"); !strings.Contains(line, `"channel":"parcel.1","data":"packed"`) {
		t.Errorf("received %s", line)
	}
	bob := hold(t, s, "", "parcel.1&last=1", "news")
	bob.until(`"data":"packed"`)
	a.set("1", "sent")
	ann.until(`"data":"sent"`)
	bob.until(`"data":"sent"`)
	if got := a.urls(); got != "/status.php?id=1" {
		t.Errorf("asked for %s", got)
	}
	a.mu.Lock()
	for i, r := range a.asked {
		if r.Method != "GET" || r.Host != "www.example.com" || r.Header.Get("Cookie") != "svc=1" || i == 1 && r.Header.Get("If-None-Match") != `"packed"` {
			t.Errorf("asked: %s %s %v", r.Method, r.Host, r.Header)
		}
	}
	a.mu.Unlock()

	a.stop()
	wiretest.Eventually(t, "the failure is seen", func() bool { return s.watcher.Stats().Failures["unreachable"]+s.watcher.Stats().Failures["cut"] > 0 })
	a.set("1", "delivered")
	a.start()
	ann.until(`"data":"delivered"`)
	for _, want := range []string{`msg="watched URL failed; retrying" key=watch[0] channel=parcel.1`, `msg="watched URL is back" key=watch[0]`} {
		wiretest.Eventually(t, want+" is logged", func() bool { return strings.Contains(log.String(), want) })
	}

	ann.Close()
	bob.Close()
	wiretest.Eventually(t, "nobody is asked for", func() bool { x := s.watcher.Stats(); return x.Channels == 0 && x.InFlight == 0 })
	n := a.count()
	again := hold(t, s, "", "parcel.2")
	again.until(`"data":""`)
	if got := a.urls(); got != "/status.php?id=1 /status.php?id=2" {
		t.Errorf("asked for %s", got)
	}
	if a.count() == n {
		t.Error("nothing was asked")
	}
	stop()
}

// TestWatchMetrics: requests and failures are counted.
func TestWatchMetrics(t *testing.T) {
	a := newPolledApp(t)
	s, _, _ := serveWatch(t, a, watchParcels)
	a.responds(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	hold(t, s, "", "parcel.1")
	wiretest.Eventually(t, "a redirect is counted", func() bool { return s.watcher.Stats().Failures["redirect"] > 0 })
	resp, err := http.Get("http://" + s.HooksAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"holdfast_watch_channels 1\n", "holdfast_watch_channels_failing 1\n", `holdfast_watch_failures_total{reason="redirect"} `, `holdfast_watch_failures_total{reason="timeout"} 0` + "\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := a.urls(); got != "/status.php?id=1" {
		t.Errorf("asked for %s: a redirect is not followed", got)
	}
}

// TestWatchHostileNames: a client reaches nothing by the name of a channel but the value of a parameter.
func TestWatchHostileNames(t *testing.T) {
	a := newPolledApp(t)
	s, log, _ := serveWatch(t, a, `
channels: [{match: "**", access: public}]
watch:
- {channel: "parcel.{id}", url: "/status.php?id={id}&mode=read", every: 100ms}
- {channel: "box.{id}", url: "/boxes/{id}/state", every: 100ms}
`)
	a.responds(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Query().Get("id")) })
	for _, c := range []struct{ channel, data, url string }{
		{"parcel.1%2526mode=write", "1&mode=write", "/status.php?id=1%26mode%3Dwrite&mode=read"},
		{"parcel.%252E%252E%252Fadmin", "../admin", "/status.php?id=..%2Fadmin&mode=read"},
		{"parcel.1%2520HTTP", "1 HTTP", "/status.php?id=1%20HTTP&mode=read"},
		{"box.a%2540b", "", "/boxes/a%40b/state"},
	} {
		st := hold(t, s, "", c.channel)
		st.until(fmt.Sprintf(`"data":%q`, c.data))
		if !strings.Contains(" "+a.urls()+" ", " "+c.url+" ") {
			t.Errorf("%s: asked for %s, want %s", c.channel, a.urls(), c.url)
		}
	}
	for _, channel := range []string{"box.%252E%252E", "box.1/admin", "box.1%252Fadmin", "box.1%253Ba=b", "box.1%255C%252E%252Fadmin"} {
		hold(t, s, "", channel)
	}
	wiretest.Eventually(t, "they are counted", func() bool { return s.watcher.Stats().Failures["name"] == 5 })
	if got := a.urls(); strings.Contains(got, "admin/") || strings.Count(got, "/boxes/") != 1 {
		t.Errorf("asked for %s", got)
	}
	if !strings.Contains(log.String(), "channel not watched: its name does not fit the URL") {
		t.Errorf("logged: %s", log)
	}
}

// TestWatchAndOccupancyEvents: both know who is there, each of its own channels.
func TestWatchAndOccupancyEvents(t *testing.T) {
	events := newToldApp(t)
	a := newPolledApp(t)
	a.set("1", "packed")
	s, _, stop := serveWatch(t, a, `
events: {url: /push/events, key: `+eventsKey+`, types: [occupied, vacated], grace: 200ms, delay: 1ms}
routes: [{match: /push, upstream: "http+unix:`+events.socket+`"}]
channels: [{match: "room.*", access: public, occupancy_events: true}, {match: "**", access: public}]
watch: [{channel: "room.{id}", url: "/status.php?id={id}", every: 100ms}, {channel: "parcel.{id}", url: "/status.php?id={id}", every: 100ms}]
`)
	one := hold(t, s, "", "room.1", "parcel.2", "parcel.1", "news")
	one.until("packed")
	wantTold(t, events.await(2), "start, occupied room.1")
	one.Close()
	wantTold(t, events.await(3), "start, occupied room.1, vacated room.1")
	wiretest.Eventually(t, "nobody is asked for", func() bool { return s.watcher.Stats().Channels == 0 })
	stop()
}

// TestWatchAtShutdown: a request in progress does not hold up the end, nor is it taken for a failure.
func TestWatchAtShutdown(t *testing.T) {
	a := newPolledApp(t)
	s, log, stop := serveWatch(t, a, "push: {watch_timeout: 60s}\n"+watchParcels)
	askedc, endc := make(chan bool, 1), make(chan bool)
	a.responds(func(w http.ResponseWriter, r *http.Request) {
		askedc <- true
		select {
		case <-endc:
		case <-r.Context().Done():
		}
	})
	hold(t, s, "", "parcel.1")
	<-askedc
	stop()
	close(endc)
	if x := s.watcher.Stats(); x.InFlight != 0 || strings.Contains(log.String(), "watched URL failed") {
		t.Errorf("%+v\n%s", x, log)
	}
}

// TestWatchWordFromTheApp: an app that says that something has changed is asked at once.
func TestWatchWordFromTheApp(t *testing.T) {
	a := newPolledApp(t)
	a.set("1", "packed")
	s, _, _ := serveWatch(t, a, `
channels: [{match: "**", access: public, history: {messages: 5}}]
watch: [{channel: "parcel.{id}", url: "/status.php?id={id}", every: 1h, data: /state}]
`)
	st := hold(t, s, "", "parcel.1")
	st.until("packed")
	for state, request := range map[string]string{
		"sent":      "POST /changed?channel=parcel.1 HTTP/1.1\r\nContent-Length: 0\r\n",
		"delivered": "POST /publish HTTP/1.1\r\nContent-Length: 22\r\n",
	} {
		body := ""
		if strings.Contains(request, "22") {
			body = `{"channel":"parcel.1"}`
		}
		a.set("1", state)
		c := wiretest.Dial(t, s.HooksAddr().String())
		c.Send(request + "Host: localhost\r\n\r\n" + body)
		if resp, text := c.Response("POST"); resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", request, resp.StatusCode, text)
		}
		st.until(`"event":"changed"`)
		st.until(`"data":"` + state + `"`)
	}
}

// TestWatchOfARoute: the URL is asked of the app of its route, with the path that this app knows.
func TestWatchOfARoute(t *testing.T) {
	main, shop := newPolledApp(t), newPolledApp(t)
	s, _, _ := serveWatch(t, main, `
external: {scheme: https}
routes: [{match: /shop, upstream: "http+unix:`+shop.socket+`", upstream_prefix: /}]
channels: [{match: "**", access: public}]
watch: [{channel: "box.{id}", url: "/shop/boxes/{id}?id={id}", every: 100ms, data: json}]
`)
	shop.set("7", "full")
	hold(t, s, "", "box.7").until(`"data":{"state":"full"`)
	if got := shop.urls(); got != "/boxes/7?id=7" || main.count() > 0 {
		t.Errorf("asked for %q, and the other app for %q", got, main.urls())
	}
	shop.mu.Lock()
	defer shop.mu.Unlock()
	if got := shop.asked[0].Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("X-Forwarded-Proto is %q", got)
	}
}

// TestWatchWarnings: what is likely not meant.
func TestWatchWarnings(t *testing.T) {
	for text, want := range map[string]string{
		`channels: [{match: "p.*", access: public}]
watch: [{channel: "p.{id}", url: "/p?id={id}"}]`: "",
		`channels: [{match: "p.*", access: public}]
watch: [{channel: "p.{id}", url: "/p?id={id}", as: {cookie: a=b}}]`: `watch[0]: the rule "p.*" of channels has "access: public": everybody sees what the login in watch[0].as sees`,
		`channels: [{match: "p.*", access: public, history: {messages: 0}}]
watch: [{channel: "p.{id}", url: "/p?id={id}", as: {Host: a}}]`: `watch[0]: the rule "p.*" of channels keeps no history: subscribers other than the first receive nothing before the next change`,
		`channels: [{match: "p.*", access: public, history: {age: 10m}}]
watch: [{channel: "p.{id}", url: "/p?id={id}", every: 10m}]`: `watch[0]: the rule "p.*" of channels has history.age 10m, less than twice watch[0].every: a subscriber in between receives nothing before the next change`,
	} {
		c, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(warnings.Watch(c), "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
