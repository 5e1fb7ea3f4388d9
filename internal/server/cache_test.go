package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache/fetch"
	"holdfast/internal/config"
	"holdfast/internal/warnings"
	"holdfast/internal/wiretest"
)

// absorbed is Holdfast with rules of polls in front of an app that says which request it was asked with, and for whom.
type absorbed struct {
	t   *testing.T
	app *polledApp
	s   *Server
	log *logBuffer
}

const absorbConfig = `
push: {logout: {cookies: [sid], paths: [/out]}}
channels: [{match: "**", access: public}]
polls:
- {match: /status.php, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0}
- {match: /beat, methods: [POST], key: [query, body, session], fresh: 1h, pass: 0}
- {match: /public, key: [query], shared: true, fresh: 1h, pass: 0}
- {match: /plain, key: [query], fresh: 1h, pass: 0}
`

func newAbsorbed(t *testing.T, config string, prepare ...func(*Server)) *absorbed {
	a := &absorbed{t: t, app: newPolledApp(t)}
	a.app.responds(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "no-store") // as PHP
		switch r.URL.Path {
		case "/login":
			w.Header().Set("Set-Cookie", "sid="+r.URL.Query().Get("as")+"; Path=/")
		case "/expire":
			w.Header().Set("Set-Cookie", "sid=; Max-Age=0")
		case "/error":
			w.WriteHeader(500)
		}
		who := "nobody"
		if c, err := r.Cookie("sid"); err == nil {
			who = c.Value
		}
		fmt.Fprintf(w, "%s %s%s #%d", who, r.RequestURI, body, a.app.count())
	})
	a.s, a.log, _ = serveWatch(t, a.app, config, prepare...)
	return a
}

// ask sends a request as a user, an empty name is none, and returns the body and what Cache-Status says of it.
func (a *absorbed) ask(user, method, target, body string, fields ...string) (text, status string) {
	a.t.Helper()
	c := wiretest.Dial(a.t, a.s.Addr().String())
	head := method + " " + target + " HTTP/1.1\r\nHost: app.test\r\n"
	if user != "" {
		head += "Cookie: sid=" + user + "\r\n"
	}
	for _, f := range fields {
		head += f + "\r\n"
	}
	if method == "POST" {
		head += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	c.Send(head + "\r\n" + body)
	r, text := c.Response(method)
	return text, strings.TrimPrefix(r.Header.Get("Cache-Status"), "holdfast; ")
}

// want asks and checks what came, and whether that is a hit.
func (a *absorbed) want(user, method, target, body, want string, hit bool) {
	a.t.Helper()
	text, status := a.ask(user, method, target, body)
	if text != want || strings.HasPrefix(status, "hit") != hit {
		a.t.Fatalf("%s %s of %q: %q, %q; want %q, a hit %v", method, target, user, text, status, want, hit)
	}
}

func (a *absorbed) publish(query, body string) {
	a.t.Helper()
	r, err := http.Post("http://"+a.s.HooksAddr().String()+"/publish"+query, "application/json", strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Body.Close()
	if text, _ := io.ReadAll(r.Body); r.StatusCode != 200 {
		a.t.Fatalf("publish: %d %s", r.StatusCode, text)
	}
}

// TestAbsorbedPolls: a poll is answered from memory until a publish on its channel; sessions have answers of their own, and
// end theirs by a change or a logout.
func TestAbsorbedPolls(t *testing.T) {
	a := newAbsorbed(t, absorbConfig)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #1", false)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #1", true)
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #2", false)
	a.want("ann", "GET", "/status.php?id=2", "", "ann /status.php?id=2 #3", false)

	a.publish("?channel=parcel.1", "changed") // in each way, and before the publisher has its answer
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #4", false)
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #5", false)
	a.want("ann", "GET", "/status.php?id=2", "", "ann /status.php?id=2 #3", true)
	a.publish("", `[{"channel":"other","data":1},{"channel":["x","parcel.1"],"data":2}]`)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #6", false)

	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #7", false)
	a.ask("ann", "POST", "/save", "x=1") // #8: a session sees its own change
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #9", false)
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #7", true)
	for i, out := range []string{"/out", "/expire", "/login?as=eve"} {
		a.ask("ann", "GET", out, "")
		a.want("ann", "GET", "/status.php?id=1", "", fmt.Sprintf("ann /status.php?id=1 #%d", 11+2*i), false)
	}
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #7", true)
	a.want("", "GET", "/status.php?id=1", "", "nobody /status.php?id=1 #16", false)
	a.want("", "GET", "/public", "", "nobody /public #17", false)
	a.want("ann", "GET", "/public", "", "nobody /public #17", true)
	a.want("", "GET", "/plain", "", "nobody /plain #18", false)
	a.want("ann", "GET", "/plain", "", "ann /plain #19", false) // not shared: who may be logged in gets an answer of the app
	a.want("ann", "GET", "/plain", "", "ann /plain #20", false)
	a.want("", "GET", "/plain", "", "nobody /plain #18", true)
}

// TestExcludedPaths: a rule about everything is not about what decides on logins and channels.
func TestExcludedPaths(t *testing.T) {
	a := newAbsorbed(t, "push: {authorize_path: \"/authorize?x=1\", message_path: /message, logout: {cookies: [sid], paths: [/out]}}\npolls: [{match: /, key: [session], fresh: 1h}]\n")
	for _, path := range []string{"/authorize", "/authorize?x=1", "/message", "/out"} {
		for range 2 {
			if text, status := a.ask("ann", "GET", path, ""); status != "" || text == "" {
				t.Errorf("%s: %q", path, status)
			}
		}
	}
	a.want("ann", "GET", "/x", "", "ann /x #9", false)
	a.want("ann", "GET", "/x", "", "ann /x #9", true)
}

// TestPass: of each session, one request of a shared poll goes to the app now and then, by GET and by POST.
func TestPass(t *testing.T) {
	a := newAbsorbed(t, "push: {logout: {cookies: [sid]}}\npolls: [{match: /get, shared: true, fresh: 1h, pass: 1h}, {match: /post, methods: [POST], key: [body], shared: true, fresh: 1h, pass: 1h}]\n")
	for _, poll := range [][3]string{{"GET", "/get", ""}, {"POST", "/post", "q=1"}, {"POST", "/post", strings.Repeat("x", 40<<10)}} {
		a.ask("", poll[0], poll[1], poll[2]) // stored
		for _, user := range []string{"ann" + poll[0] + fmt.Sprint(len(poll[2])), "bob" + poll[0] + fmt.Sprint(len(poll[2]))} {
			for i, want := range []string{"fwd=bypass; detail=pass_due", "hit"} {
				if _, status := a.ask(user, poll[0], poll[1], poll[2]); !strings.HasPrefix(status, want) {
					t.Errorf("%s %s, %d bytes, of %s, request %d: %q; want %q", poll[0], poll[1], len(poll[2]), user, i, status, want)
				}
			}
		}
	}
}

// TestDroppedCookies: a response is stored without its cookies if the rule says so, but not one that begins a session.
func TestDroppedCookies(t *testing.T) {
	a := newAbsorbed(t, "push: {logout: {cookies: [sid]}}\npolls: [{match: /, fresh: 1h, drop_cookies: true}]\n")
	set := "sid=new; Path=/"
	a.app.responds(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", set) })
	for range 3 {
		if _, status := a.ask("", "GET", "/begin", ""); !strings.HasPrefix(status, "fwd=uri-miss; detail=set_cookie") {
			t.Errorf("a response that begins a session: %q", status)
		}
	}
	set = "theme=dark"
	for _, want := range []string{"fwd=uri-miss; stored", "hit"} {
		c := wiretest.Dial(t, a.s.Addr().String())
		c.Send("GET /theme HTTP/1.1\r\nHost: app.test\r\n\r\n")
		r, _ := c.Response("GET")
		if got := r.Header.Get("Cache-Status"); !strings.Contains(got, want) || len(r.Cookies()) != strings.Count(want, "stored") {
			t.Errorf("%q with cookies %v; want %s", got, r.Cookies(), want)
		}
	}
}

// TestForeignAnswers: nothing that a request can say brings it what is stored of another's session, or the word that something
// is. The requests come in all the forms that some app reads as the same question.
func TestForeignAnswers(t *testing.T) {
	a := newAbsorbed(t, absorbConfig)
	a.want("ann", "POST", "/beat", "q=1", "ann /beatq=1 #1", false)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #2", false)
	fields := [][]string{
		nil,
		{"Cookie: sid="}, {"Cookie: SID=bob"}, {"Cookie: sid=bob; sid=bob"}, {"Cookie: sid=\"bob\""}, {"Cookie: sid=bob, sid=bob"},
		{"Cookie: %73id=bob"}, {"Cookie: other=ann"}, {"Cookie: sid.=ann"}, {"Cookie: x=\"; sid=bob"}, {"Cookie: sid=bob", "Cookie: x=y"},
		{"Authorization: Basic YW5uOmFubg=="}, {"Authorization: Bearer ann", "Cookie: sid=bob"},
		{"If-None-Match: *"}, {"If-None-Match: *", "Cookie: sid=bob"}, {"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"},
		{"Range: bytes=0-2"}, {"Cache-Control: only-if-cached"}, {"Cache-Control: max-stale=99999"},
		{"X-Forwarded-For: 127.0.0.1"}, {"X-Original-URL: /status.php?id=1"}, {"X-Rewrite-URL: /status.php?id=1"},
		{"X-Forwarded-Host: app.test"}, {"X-HTTP-Method-Override: GET"}, {"Vary: Cookie"}, {"Connection: Cookie", "Cookie: sid=bob"},
	}
	targets := []string{
		"/status.php?id=1", "/status.php?id=1&", "/status.php?&id=1", "/status.php?id=01", "/status.php?ID=1", "/status.php?id=1&sid=ann",
		"/status.php;sid=ann?id=1", "/status.php/?id=1", "/status.php/x?id=1", "//status.php?id=1", "/./status.php?id=1", "/x/../status.php?id=1",
		"/%73tatus.php?id=1", "/status.php%3Fid=1", "http://app.test/status.php?id=1", "/status.php;jsessionid=ann?id=1",
	}
	n := 0
	check := func(method, target, body string, fields []string) {
		t.Helper()
		text, status := a.ask("", method, target, body, fields...)
		if strings.HasPrefix(text, "ann ") {
			t.Errorf("%s %s with %q brings %q, %q", method, target, fields, text, status)
		}
		n++
	}
	_, status := a.ask("", "GET", "/status.php?id=1", "", "If-None-Match: *")
	if strings.HasPrefix(status, "hit") {
		t.Errorf("who has no session is told that something is stored: %s", status)
	}
	for _, f := range fields {
		for _, target := range targets {
			check("GET", target, "", f)
		}
		check("HEAD", "/status.php?id=1", "", f)
		check("POST", "/beat", "q=1", f)
		check("POST", "/beat", "q=1", append([]string{"Content-Encoding: identity"}, f...))
	}
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #2", true) // nor have they ended it, or changed it
	if n < 400 {
		t.Errorf("%d requests", n)
	}
}

// TestPollByPost: the same POST of a session is a question, a new one may be a change. That ends the session's other answers,
// and not its own.
func TestPollByPost(t *testing.T) {
	a := newAbsorbed(t, absorbConfig)
	a.want("ann", "POST", "/beat", "tab=1", "ann /beattab=1 #1", false)
	a.want("ann", "POST", "/beat", "tab=2", "ann /beattab=2 #2", false)
	a.want("ann", "POST", "/beat", "tab=1", "ann /beattab=1 #3", false) // tab=2 was new, and is known now
	a.want("ann", "POST", "/beat", "tab=2", "ann /beattab=2 #2", true)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #4", false)
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #5", false)
	for range 3 {
		a.want("ann", "POST", "/beat", "tab=1", "ann /beattab=1 #3", true)
		a.want("ann", "POST", "/beat", "tab=2", "ann /beattab=2 #2", true)
		a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #4", true)
	}

	a.want("ann", "POST", "/beat", "tab=2&draft=x", "ann /beattab=2&draft=x #6", false)
	a.want("ann", "POST", "/beat", "tab=2&draft=x", "ann /beattab=2&draft=x #6", true)
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #7", false)
	a.want("ann", "POST", "/beat", "tab=1", "ann /beattab=1 #8", false)
	a.want("ann", "POST", "/beat", "tab=2&draft=x", "ann /beattab=2&draft=x #6", true) // what was known ends nothing
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #5", true)

	large := strings.Repeat("x", 70<<10) // more than any key has
	a.ask("ann", "POST", "/beat", large) // #9
	a.want("ann", "GET", "/status.php?id=1", "", "ann /status.php?id=1 #10", false)
	a.want("bob", "GET", "/status.php?id=1", "", "bob /status.php?id=1 #5", true)
}

// TestCacheCounts: metrics, the access log and the log say what becomes of requests.
func TestCacheCounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	a := newAbsorbed(t, absorbConfig+"log: {access_log: "+file+", access_format: combined_cache}\n")
	a.ask("ann", "GET", "/status.php?id=1", "")
	a.ask("ann", "GET", "/status.php?id=1", "")
	a.ask("ann", "GET", "/plain", "")
	a.ask("ann", "GET", "/other", "")
	var text string
	wiretest.Eventually(t, "four lines are written", func() bool {
		data, _ := os.ReadFile(file)
		text = string(data)
		return strings.Count(text, "\n") == 4
	})
	for _, want := range []string{`"-" "-" MISS`, `"-" "-" HIT`, `"-" "-" BYPASS`, `"-" "-" -`} { // in the order of the loops
		if strings.Count(text, want+"\n") != 1 {
			t.Errorf("no line ends with %s in\n%s", want, text)
		}
	}
	r, err := http.Get("http://" + a.s.HooksAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	metrics, _ := io.ReadAll(r.Body)
	for _, want := range []string{
		`requests_total{result="HIT"} 1`, `requests_total{result="MISS"} 1`, `requests_total{result="BYPASS"} 1`, `requests_total{result="STALE"} 0`,
		`passed_total{reason="session"} 1`, `passed_total{reason="waited"} 0`, `not_stored_total{reason="set_cookie"} 0`, "stored_total 1", "entries 1",
	} {
		if !strings.Contains(string(metrics), "holdfast_cache_"+want+"\n") {
			t.Errorf("no holdfast_cache_%s in\n%s", want, metrics)
		}
	}

	for range fetch.LeastUseless {
		a.ask("ann", "GET", "/plain", "")
	}
	now := time.Now()
	for range 3 {
		a.s.cache.sweep(now, a.s.log)
	}
	const line = `msg="rule of polls or cache stores nothing: its requests go to the app" rule=polls[3] match=/plain requests=6 reason=session see="session in key, or shared"`
	if n := strings.Count(a.log.String(), line); n != 1 || strings.Count(a.log.String(), "stores nothing") != 1 {
		t.Errorf("%d lines in\n%s", n, a.log)
	}
}

// TestCacheWarnings: what a rule can't do, or does to everybody, is said.
func TestCacheWarnings(t *testing.T) {
	for _, tt := range []struct{ config, want string }{
		{"polls: [{match: /a, key: [query]}]", "polls[0]: requests with any cookie go to the app, as push.logout.cookies names none"},
		{"push: {logout: {cookies: [S]}}\npolls: [{match: /a, key: [query]}]", "polls[0]: requests of a session go to the app, as key has no session"},
		{"push: {logout: {cookies: [S]}}\npolls: [{match: /a}]", ""},
		{"push: {logout: {cookies: [S]}}\ncache: [{match: /a, shared: true}]", `cache[0]: "shared: true" gives everybody the same response`},
		{"routes: [{match: /a, redirect: \"https://x.test\"}]\ncache: [{match: /a/b, shared: true}]", "cache[0]: /a/b is of the route /a, which redirects"},
		{"polls: [{match: /a, shared: true, channel: \"p.{query.id}\"}]", `polls[0]: channel "p.{query.id}" matches no rule of channels`},
		{
			"upstream: fastcgi://127.0.0.1:9000\nsite: {root: /srv}\nchannels: [{match: p, access: public}]\nwatch: [{channel: p, url: \"/a/b?x=1\"}]\npolls: [{match: /a, shared: true}]",
			"polls[0]: watch[0] requests /a/b too and gets what is stored",
		},
		{"channels: [{match: \"p.*\", access: public}]\npolls: [{match: /a, shared: true, channel: \"p.{query.id}\"}]", ""},
	} {
		c, err := config.Parse("c.yaml", []byte(tt.config))
		if err != nil {
			t.Errorf("%s: %v", tt.config, err)
			continue
		}
		got := warnings.Cache(c)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, tt.want) }) {
			t.Errorf("%s: %q; want %q", tt.config, got, tt.want)
		}
	}
}
