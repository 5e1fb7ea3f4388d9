package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/wiretest"
)

const eventsKey = "0123456789abcdef"

// toldApp is an app that is told of events, and lets in everybody as the user that the cookie names.
type toldApp struct {
	t      *testing.T
	socket string // where it listens: nobody else takes that while it is away
	server *httptest.Server
	forged atomic.Int64 // calls with another signature

	mu   sync.Mutex
	seen map[string]bool
	list []appcall.Event
	down bool
	newc chan struct{} // holds one: there is more
}

func newToldApp(t *testing.T) *toldApp {
	a := &toldApp{t: t, socket: filepath.Join(t.TempDir(), "app"), seen: make(map[string]bool), newc: make(chan struct{}, 1)}
	a.start()
	t.Cleanup(func() { a.server.Close() })
	return a
}

func (a *toldApp) start() {
	a.t.Helper()
	ln, err := net.Listen("unix", a.socket)
	if err != nil {
		a.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push/events", a.events)
	mux.HandleFunc("GET /push/authorize", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		c, _ := r.Cookie("user")
		fmt.Fprintf(w, `{"user":%q}`, c.Value)
	})
	a.server = &httptest.Server{Listener: ln, Config: &http.Server{Handler: mux}}
	a.server.Start()
}

func (a *toldApp) events(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var at int64
	fmt.Sscanf(r.Header.Get(appcall.SignatureField), "t=%d", &at)
	if appcall.Sign(eventsKey, time.Unix(at, 0), body) != r.Header.Get(appcall.SignatureField) {
		a.forged.Add(1)
		w.WriteHeader(403)
		return
	}
	var batch struct {
		Events []struct {
			ID string
			appcall.Event
		}
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		a.t.Errorf("%v: %s", err, body)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		w.WriteHeader(500)
		return
	}
	for _, e := range batch.Events {
		if !a.seen[e.ID] {
			a.seen[e.ID] = true
			a.list = append(a.list, e.Event)
		}
	}
	select {
	case a.newc <- struct{}{}:
	default:
	}
}

// await waits for n events, and returns all there are as words.
func (a *toldApp) await(n int) string {
	a.t.Helper()
	late := time.After(time.Minute)
	for {
		a.mu.Lock()
		var words []string
		for _, e := range a.list {
			words = append(words, strings.Join(strings.Fields(e.Type+" "+e.Channel+" "+e.User), " "))
		}
		a.mu.Unlock()
		if len(words) >= n {
			return strings.Join(words, ", ")
		}
		select {
		case <-a.newc:
		case <-late:
			a.t.Fatalf("only %q was told", words)
		}
	}
}

// serveTold runs Holdfast in front of the app until the function it returns is called.
func serveTold(t *testing.T, a *toldApp, more string) (*Server, func()) {
	t.Helper()
	s, _, stop := serve(t, "listen: 127.0.0.1:0\nupstream: http+unix:"+a.socket+
		"\nhooks: {listen: 127.0.0.1:0}\ntimeouts: {drain: 1s}\npush: {authorize_path: /push/authorize}\n"+more, io.Discard)
	return s, stop
}

// stream is a held event stream.
type stream struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

// hold holds channels as a user, and returns when the hold has begun.
func hold(t *testing.T, s *Server, user string, channels ...string) *stream {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprintf(c, "GET /_push?protocol=holdfast.v1&channel=%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCookie: user=%s\r\n\r\n",
		strings.Join(channels, "&channel="), s.Addr(), user)
	st := &stream{c, bufio.NewReader(c), t}
	st.until(`"hello"`)
	return st
}

// until reads up to a line that has the text.
func (s *stream) until(text string) (line string) {
	s.t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("no %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

func wantTold(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("told: %q, want %q", got, want)
	}
}

func TestOccupancyEvents(t *testing.T) {
	a := newToldApp(t)
	s, stop := serveTold(t, a, `
events: {url: /push/events, key: `+eventsKey+`, types: [occupied, vacated], grace: 200ms, delay: 1ms}
channels: [{match: "room.*", access: public, occupancy_events: true}, {match: "**", access: public}]
`)
	one := hold(t, s, "", "room.a", "news")
	two := hold(t, s, "", "room.a")
	wantTold(t, a.await(2), "start, occupied room.a")
	one.Close()
	two.Close()
	wantTold(t, a.await(3), "start, occupied room.a, vacated room.a")

	// The app fails, goes away and comes back.
	a.mu.Lock()
	a.down = true
	a.mu.Unlock()
	hold(t, s, "", "room.b")
	a.server.CloseClientConnections()
	a.server.Close()
	hold(t, s, "", "room.c")
	a.mu.Lock()
	a.down = false
	a.mu.Unlock()
	a.start()
	wantTold(t, a.await(5), "start, occupied room.a, vacated room.a, occupied room.b, occupied room.c")
	stop()
	if got := a.await(7); !strings.Contains(got, "vacated room.b") || !strings.Contains(got, "vacated room.c") {
		t.Errorf("at the end: %q", got)
	}
}

// Who has no key cannot tell the app anything, and in an internal route nobody reaches the path at all, by no
// spelling of it that means the same.
func TestForgedEventsAreRejected(t *testing.T) {
	for _, internal := range []bool{false, true} {
		a := newToldApp(t)
		more := "events: {url: /push/events, key: " + eventsKey + ", types: [online]}\n"
		if internal {
			more += "routes: [{match: /push/events, upstream: \"http+unix:" + a.socket + "\", internal: true}]\n"
		}
		s, _ := serveTold(t, a, more)
		wantTold(t, a.await(1), "start")
		body := `{"events":[{"id":"x","type":"online","user":"mallory"}]}`
		for _, path := range []string{"/push/events", "/push//events", "/push/%65vents", "/a/../push/events"} {
			c := wiretest.Dial(t, s.Addr().String())
			c.Send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
				path, appcall.SignatureField, appcall.Sign("another key, or none", time.Now(), []byte(body)), len(body), body))
			resp, _ := c.Response("POST")
			switch {
			case internal && path == "/push/events" && resp.StatusCode != 404, resp.StatusCode < 300, path == "/push/events" && !internal && resp.StatusCode != 403:
				t.Errorf("internal %v: %s is answered %d", internal, path, resp.StatusCode)
			}
		}
		wantTold(t, a.await(1), "start")
		if internal && a.forged.Load() > 0 {
			t.Errorf("the app was reached %d times", a.forged.Load())
		}
	}
}

func TestUserEvents(t *testing.T) {
	a := newToldApp(t)
	s, stop := serveTold(t, a, `
events: {url: /push/events, key: `+eventsKey+`, types: [connect, disconnect, online, offline], grace: 200ms, delay: 1ms}
channels: [{match: "open.*", access: public}, {match: "**", access: authorize}]
`)
	first := hold(t, s, "ann", "room")
	wantTold(t, a.await(3), "start, connect ann, online ann")
	hold(t, s, "ann", "room") // loaded again before the first one is gone
	first.Close()
	hold(t, s, "", "open.a")
	hold(t, s, "bob", "room", "open.a").Close()
	got := a.await(10)
	for _, want := range []string{"start, connect ann, online ann, connect ann, ", "disconnect ann", "connect, ", "connect bob, online bob, ", "disconnect bob", "offline bob"} {
		if !strings.Contains(got, want) {
			t.Errorf("told: %q, want %q", got, want)
		}
	}
	if strings.Contains(got, "offline ann") || strings.Contains(got, "online,") {
		t.Errorf("told: %q", got)
	}
	a.mu.Lock()
	ids := make(map[string]string) // connection → what has been told of it
	for _, e := range a.list {
		if e.Connection == "" {
			continue
		}
		ids[e.Connection] += e.Type + " "
		if e.Transport != "sse" || e.Type == "connect" && len(e.Channels) == 0 || e.Type == "disconnect" && e.Reason != "client_gone" || time.Since(e.At) > time.Hour {
			t.Errorf("%+v", e)
		}
	}
	a.mu.Unlock()
	if len(ids) != 4 {
		t.Errorf("%d connections: %v", len(ids), ids)
	}
	stop()
	got = a.await(13)
	if strings.Count(got, "disconnect") != 4 || strings.Count(got, "offline ann") != 1 {
		t.Errorf("at the end: %q", got)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.list[len(a.list)-1]; last.Type != "offline" {
		t.Errorf("the last one is %+v", last)
	}
}

// users asks the API listener who is in a channel.
func users(t *testing.T, s *Server, channel string) string {
	t.Helper()
	c := wiretest.Dial(t, s.HooksAddr().String())
	c.Send("GET /channels/" + channel + "/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	_, body := c.Response("GET")
	return strings.TrimSpace(body)
}

func TestPresence(t *testing.T) {
	a := newToldApp(t)
	s, _ := serveTold(t, a, `
events: {grace: 200ms}
channels:
- {match: "room.*", access: authorize, presence: channel}
- {match: "desk.*", access: authorize, presence: api}
- {match: "**", access: authorize}
`)
	ann := hold(t, s, "ann", "room.1", "desk.1", "news")
	if line := ann.until(`"join"`); !strings.Contains(line, `"channel":"room.1","event":"join","data":{"user":"ann"}`) {
		t.Errorf("her own: %s", line)
	}
	bob := hold(t, s, "bob", "room.1")
	if line := ann.until(`"join"`); !strings.Contains(line, `"data":{"user":"bob"}`) {
		t.Errorf("the other's: %s", line)
	}
	wantTold(t, users(t, s, "room.1"), `{"users":[{"user":"ann","connections":1},{"user":"bob","connections":1}],"total":2}`)
	wantTold(t, users(t, s, "desk.1"), `{"users":[{"user":"ann","connections":1}],"total":1}`)
	if got := users(t, s, "news"); !strings.Contains(got, "presence is off for this channel") {
		t.Errorf("news: %s", got)
	}
	again := hold(t, s, "bob", "room.1")
	bob.Close()
	again.Close()
	if line := ann.until(`room.1`); !strings.Contains(line, `"event":"leave","data":{"user":"bob"}`) {
		t.Errorf("after him: %s", line)
	}
	wantTold(t, users(t, s, "room.1"), `{"users":[{"user":"ann","connections":1}],"total":1}`)
}
