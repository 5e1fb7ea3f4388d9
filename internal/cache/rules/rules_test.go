package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
)

// requestOf returns a request: its method and target, and behind that lines of fields. Those that name how the client came
// are taken out: !https, !port, !trusted, !upgrade and !body.
func requestOf(t testing.TB, text string) *cache.Request {
	t.Helper()
	lines := strings.Split(text, "\n")
	method, target, ok := strings.Cut(lines[0], " ")
	if !ok {
		method, target = "GET", lines[0]
	}
	path, _, _ := strings.Cut(target, "?")
	q := &cache.Request{Method: []byte(method), Target: []byte(target), Path: []byte(path), Host: []byte("www.example.com")}
	for _, line := range lines[1:] {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case line == "":
		case line == "!https":
			q.HTTPS = true
		case line == "!trusted":
			q.Trusted = true
		case line == "!upgrade":
			q.Upgrade = true
		case name == "!port":
			q.Port = uint16(len(value))
		case name == "!body":
			q.HasBody, q.Whole, q.Body = true, true, []byte(value)
		case name == "!part":
			q.HasBody, q.Body = true, []byte(value)
		case name == "Host":
			q.Host = []byte(value)
		case strings.HasPrefix(name, "-"): // dropped on the way
			q.Fields = append(q.Fields, http1.Field{Name: []byte(name[1:]), Value: []byte(value), Drop: true})
		default:
			q.Fields = append(q.Fields, http1.Field{Name: []byte(name), Value: []byte(value)})
		}
	}
	return q
}

// ruleOf compiles one rule.
func ruleOf(t testing.TB, o Options, sessions ...string) *Rule {
	t.Helper()
	if o.Match == "" {
		o.Match = "/"
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1000
	}
	set, err := New([]Options{o}, sessions, cache.NewHasher())
	if err != nil {
		t.Fatal(err)
	}
	return set.All()[0]
}

// TestKey: which requests are the same question, and which are not.
func TestKey(t *testing.T) {
	for _, c := range []struct {
		parts, a, b string
		same        bool
	}{
		// Always.
		{"query", "/a", "/a", true},
		{"query", "/a", "HEAD /a", true},
		{"query", "/a", "/b", false},
		{"query", "/a", "/%61", false},
		{"query", "/a", "/a/", false},
		{"query", "/a", "/A", false},
		{"query", "/a", "/a\n!https", false},
		{"query", "/a", "/a\nHost: other.example.com", false},
		{"query", "/a", "/a\nHost: WWW.example.com", true},
		{"query", "/a", "/a\nHost: www.example.com:80", false},
		{"query", "/a", "/a\nHost: www.example.com:8080", false},
		{"query", "/a", "/a\nHost: www.example.com.", false},
		{"query", "/a", "/a\n!port: x", false},
		{"query", "/a\nAccept: */*", "/a\nAccept: image/png", true},
		{"query", "/a\nAccept: text/html, */*", "/a\nAccept: text/html;q=0.9", true},
		{"query", "/a\nAccept: text/html, */*", "/a\nAccept: */*", false},
		{"query", "/a\nAccept: application/json", "/a\nAccept: */*", false},
		{"query", "/a\nX-Original-URL: /b", "/a", false},
		{"query", "/a\nX-Rewrite-URL: /b", "/a\nX-Rewrite-URL: /c", false},
		{"query", "/a\nX-Host: evil", "/a", false},
		{"query", "/a\nX-Original-Host: evil", "/a", false},
		{"query", "/a\nX-Original-URI: /b", "/a", false},
		{"query", "/a\nX-HTTP-Host-Override: evil", "/a", false},
		{"query", "/a\nX-Scheme: https", "/a", false},
		{"query", "/a\nX-Url-Scheme: https", "/a", false},
		{"query", "/a\nFront-End-Https: on", "/a", false},
		{"query", "/a\nX-Forwarded: host=evil", "/a", false},
		{"query", "/a\nX-PJAX: true", "/a", false},
		{"query", "/a\nX-Inertia: true", "/a", false},
		{"query", "/a", "/a\nX-Requested-With: XMLHttpRequest", false},
		{"query", "/a", "/a\nHX-Request: true", false},
		{"query", "/a", "/a\nSec-Fetch-Dest: document", true},
		{"query", "/a\nSec-Fetch-Dest: iframe", "/a\nSec-Fetch-Dest: document", true},
		{"query", "/a\nSec-Fetch-Dest: document", "/a\nSec-Fetch-Dest: empty", false},
		{"query", "/a\nSec-Fetch-Dest: image", "/a\nSec-Fetch-Dest: empty", true},
		{"query", "/a\nTurbo-Frame: a", "/a\nTurbo-Frame: b", false},
		{"query", "/a\nTurbo-Frame: a", "/a\nturbo-frame: a", true},
		{"query", "/a", "/a\n!trusted\nX-Forwarded-Prefix: /p", false},
		{"query", "/a\n!trusted\nX-Forwarded-Ssl: on", "/a\n!trusted\nX-Forwarded-Ssl: off", false},
		{"query", "/a", "/a\nX-Forwarded-Prefix: /p", true}, // the app is not sent it
		{"query", "/a", "/a\n-X-Forwarded-Host: evil", true},

		{"query session", "/a\nCookie: remember=ann", "/a\nCookie: remember=bob", false}, // a login that nobody has named
		{"query session", "/a\nCookie: remember=ann", "/a", false},

		// The query.
		{"query", "/a?x=1", "/a?x=1", true},
		{"query", "/a?x=1", "/a?x=2", false},
		{"query", "/a", "/a?", false},
		{"query", "/a?x=1&y=2", "/a?y=2&x=1", false},
		{"query", "/a?x=1", "/a?x=%31", false},
		{"query", "/a?b=c", "/a?b=c&", false},
		{"query -query._", "/a?x=1&_=1", "/a?x=1&_=2", true},
		{"query -query._", "/a?_=1", "/a?_=2", true},
		{"query -query._", "/a?x=1&_=1", "/a?x=2&_=1", false},
		{"query -query._", "/a?x=1&_=1", "/a?x=1", true},
		{"query -query._", "/a?x=1&_=1&x=2", "/a?x=2&_=1&x=1", false},
		{"query -query._", "/a?x[]=1&_=1", "/a?x[]=1&_=2", false}, // names that apps read in their own ways
		{"query -query._", "/a?x=1;y=2&_=1", "/a?x=1;y=2&_=2", false},
		{"query.id", "/a?id=1&utm=x", "/a?utm=y&id=1", true},
		{"query.id", "/a?id=1", "/a?id=2", false},
		{"query.id", "/a?id=1", "/a?ID=1", false},
		{"query.id", "/a?utm=x", "/a?utm=x&ID=1", false},
		{"query.id", "/a?id=1&id=2", "/a?id=2&id=1", false},
		{"query.id", "/a?id=1&id=2", "/a?id=1", false},
		{"query.id", "/a?id=", "/a?id", false},
		{"query.id", "/a?x=1", "/a?x=2", true},
		{"query.id", "/a?x=1", "/a?%69d=1", false}, // it is id for the app
		{"query.id", "/a?x=1", "/a?x=1&i%64=1", false},
		{"query.id", "/a?x=1", "/a?x=1;id=5", false},
		{"query.id", "/a?x=1", "/a?x=1&+id=5", false},
		{"query.id", "/a?x=1", "/a?x=1&id[]=5", false},
		{"query.id", "/a?x=1", "/a?x=1&id.=5", false},
		{"query.id", "/a?x=1", "/a?x=1&id%00=5", false},
		{"query.a_b", "/a?x=1", "/a?x=1&a.b=5", false}, // PHP
		{"query.id", "/a?x=1", "/a?x=1&PHPSESSID=5", false},
		{"query.id query.x", "/a?id=1&x=2", "/a?id=1&x=3", false},
		{"query.id query.x", "/a?id=1x=2", "/a?id=1&x=2", false},
		{"cookie.a", "/a?x=1", "/a?x=2", true}, // the rule says so

		// Separators.
		{"query.a query.b", "/a?a=1&b=2", "/a?a=1%26b=2", false},
		{"cookie.a header.x", "/a\nCookie: a=1\nX: 2", "/a\nCookie: a=1; a=2", false},
		{"cookie.a", "/a\nCookie: a=1; a=2", "/a\nCookie: a=1%3B a=2", false},
		{"cookie.a query", "/a?a=1", "/a\nCookie: a=1", false},
		{"header.x header.y", "/a\nX: 1", "/a\nY: 1", false},
		{"header.x", "/a\nX: 1\nX: 2", "/a\nX: 1, 2", false},
		{"header.x", "/a\nX: 1", "/a\nx: 1", true},
		{"header.x", "/a\nX:", "/a", false},
		{"header.x", "/a\n-X: 1", "/a", true},
		{"header.x", "/a\nX: 1", "/a\nX: 2", false},

		// Cookies.
		{"cookie.a", "/a\nCookie: a=1; b=2", "/a\nCookie: b=3; a=1", true},
		{"cookie.a", "/a\nCookie: a=1", "/a\nCookie: a=2", false},
		{"cookie.a", "/a\nCookie: a=1", "/a", false},
		{"cookie.a", "/a\nCookie: b=1", "/a", true},
		{"cookie.a", "/a\nCookie: A=1", "/a", false},
		{"cookie.a", "/a\nCookie: %61=1", "/a", false},
		{"cookie.a", "/a\nCookie: aa=1", "/a", true},
		{"cookie.a*", "/a\nCookie: ab=1", "/a", false},
		{"cookie.a", "/a\nCookie: b=1\nCookie: a=2", "/a", false},
		{"cookie.a", "/a\nCookie: b=1, a=2", "/a", false},
		{"cookie.a_b", "/a\nCookie: a.b=1", "/a", false},

		// Sessions.
		{"session", "/a\nCookie: PHPSESSID=1", "/a\nCookie: PHPSESSID=2", false},
		{"session", "/a\nCookie: PHPSESSID=1; x=1", "/a\nCookie: x=2; PHPSESSID=1", true},
		{"session", "/a\nCookie: PHPSESSID=1", "/a", false},
		{"session", "/a\nCookie: wordpress_logged_in_ab=1", "/a\nCookie: wordpress_logged_in_ab=2", false},
		{"session", "/a\nCookie: wordpress_logged_in_ab=1", "/a\nCookie: wordpress_logged_in_cd=1", false},
		{"session", "/a\nCookie: PHPSESSID=1; wordpress_logged_in_ab=1", "/a\nCookie: PHPSESSID=1", false},
		{"session", "/a\nCookie: PHPSESSID=1; PHPSESSID=2", "/a\nCookie: PHPSESSID=2; PHPSESSID=1", false},
		{"session", "/a\nCookie: PHPSESSID=1\nAuthorization: Basic eA==", "/a\nCookie: PHPSESSID=1", false},
		{"session", "/a\nAuthorization: Basic eA==", "/a\nAuthorization: Basic eB==", false},
		{"session", "/a;jsessionid=1", "/a;jsessionid=2", false},
		{"session", "/a?x=1\nCookie: PHPSESSID=1", "/a?x=2\nCookie: PHPSESSID=1", true},
		{"query session", "/a?x=1\nCookie: PHPSESSID=1", "/a?x=2\nCookie: PHPSESSID=1", false},

		// A value may be longer than it seems.
		{"session", "/a\nCookie: PHPSESSID=user,1", "/a\nCookie: PHPSESSID=user,2", false},
		{"session", "/a\nCookie: PHPSESSID=\"user;1\"", "/a\nCookie: PHPSESSID=\"user;2\"", false},
		{"session", "/a\nCookie: PHPSESSID=\"user; x=1\"; y", "/a\nCookie: PHPSESSID=\"user; x=2\"; y", false},
		{"session", "/a\nCookie: PHPSESSID=1; x=a,b", "/a\nCookie: PHPSESSID=2; x=a,b", false},
		{"cookie.a", "/a\nCookie: a=user,1", "/a\nCookie: a=user,2", false},
		{"cookie.a", "/a\nCookie: a=x y", "/a\nCookie: a=x z", false},
		{"session", "/a\nCookie: PHPSESSID=1=2", "/a\nCookie: PHPSESSID=1=3", false},

		// Bodies.
		{"body", "POST /a\n!body: x", "POST /a\n!body: x", true},
		{"body", "POST /a\n!body: x", "POST /a\n!body: y", false},
		{"body", "POST /a\n!body:", "POST /a", false},
		{"body", "POST /a\n!body: x", "QUERY /a\n!body: x", false},
		{"body", "POST /a", "/a", false},
		{"body", "/a\n!body: x", "/a", false},
		{"body", "POST /a\n!body: x\nContent-Type: a/b", "POST /a\n!body: x\nContent-Type: a/c", false},
		{"body", "POST /a\n!body: x\nContent-Encoding: gzip", "POST /a\n!body: x", false},
		{"body query", "POST /a?x\n!body: y", "POST /a?y\n!body: x", false},
	} {
		o := Options{Parts: strings.Fields(c.parts)}
		if strings.Contains(c.parts, "body") {
			o.Methods = []string{"GET", "POST", "QUERY"}
		}
		r := ruleOf(t, o, "PHPSESSID", "wordpress_logged_in_*")
		r.Shared = !r.session
		a, why := r.Key(requestOf(t, c.a))
		b, whyB := r.Key(requestOf(t, c.b))
		if why != cache.None || whyB != cache.None {
			t.Errorf("%s: %q and %q are passed: %v, %v", c.parts, c.a, c.b, why, whyB)
		} else if (a == b) != c.same {
			t.Errorf("%s: %q and %q: the same is %v", c.parts, c.a, c.b, a == b)
		}
	}
}

// TestKeyOfRules: rules share nothing, nor do processes.
func TestKeyOfRules(t *testing.T) {
	h := cache.NewHasher()
	set, err := New([]Options{{Name: "a", Match: "/"}, {Name: "b", Match: "/"}}, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	q := requestOf(t, "/x")
	a, _ := set.All()[0].Key(q)
	b, _ := set.All()[1].Key(q)
	other, _ := ruleOf(t, Options{Name: "a"}).Key(q)
	if a == b || a == other {
		t.Error("two keys are the same")
	}
}

// TestPassed: which requests are not looked up at all.
func TestPassed(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		o        Options
		sessions string
		request  string
		want     cache.Reason
	}{
		{Options{}, "S", "/a", cache.None},
		{Options{}, "S", "POST /a", cache.OtherMethod},
		{Options{}, "S", "get /a", cache.OtherMethod},
		{Options{}, "S", "/a\n!upgrade", cache.Upgrade},
		{Options{}, "S", "/a\nRange: bytes=0-1", cache.Conditional},
		{Options{}, "S", "/a\nIf-Range: x", cache.Conditional},
		{Options{}, "S", "/a\nIf-Match: x", cache.Conditional},
		{Options{}, "S", "/a\nIf-Unmodified-Since: x", cache.Conditional},
		{Options{}, "S", "/a\nIf-None-Match: x", cache.None},
		{Options{}, "S", "/a\n-Range: bytes=0-1", cache.None},
		{Options{}, "S", "/a\n!body: x", cache.HasBody},
		{Options{Parts: []string{"body"}}, "S", "/a\n!body: x", cache.None},
		{Options{Parts: []string{"body"}}, "S", "/a\n!part: x", cache.HasBody},
		{Options{Parts: []string{"body"}}, "S", "/a\n!body: " + long, cache.HasBody},
		{Options{}, "S", "/a\nX-HTTP-Method-Override: DELETE", cache.Disguised},
		{Options{}, "S", "/a\nx-http-method: DELETE", cache.Disguised},
		{Options{}, "S", "/a\nX-Method-Override: DELETE", cache.Disguised},

		// Whose it may be.
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: lang=de", cache.None},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: lang=de; S=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: s=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: S", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: %53=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: x=1,S=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: x=1\nCookie: S=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\n-Cookie: S=1", cache.None},
		{Options{Parts: []string{"query"}}, "S", "/a\nCookie: SX=1", cache.None},
		{Options{Parts: []string{"query"}}, "S*", "/a\nCookie: SX=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S*", "/a\nCookie: XS=1", cache.None},
		{Options{Parts: []string{"query"}}, "my_sess", "/a\nCookie: my.sess=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "my_sess", "/a\nCookie: my+sess=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "connect.sid", "/a\nCookie: connect.sid=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a\nAuthorization: Basic eA==", cache.HasSession},
		{Options{Parts: []string{"query"}}, "S", "/a;jsessionid=1", cache.HasSession},
		{Options{Parts: []string{"query"}}, "", "/a\nCookie: lang=de", cache.HasSession}, // any may be one
		{Options{Parts: []string{"query"}}, "", "/a", cache.None},
		{Options{Parts: []string{"query"}, Shared: true}, "S", "/a\nCookie: S=1\nAuthorization: x", cache.None},
		{Options{Parts: []string{"query"}, Shared: true}, "", "/a\nCookie: x=1", cache.None},
		{Options{Parts: []string{"session"}}, "S", "/a\nCookie: S=1\nAuthorization: x", cache.None},
		{Options{Parts: []string{"session"}}, "S", "/a\nCookie: " + strings.Repeat("S=1;", 16), cache.None},
		{Options{Parts: []string{"session"}}, "S", "/a\nCookie: " + strings.Repeat("S=1;", 17), cache.ManySessions},

		{Options{Channel: "c.{query.id}"}, "S", "/a?id=1", cache.None},
		{Options{Channel: "c.{query.id}"}, "S", "/a", cache.None},
		{Options{Channel: "c.{query.id}"}, "S", "/a?id=1&id=2", cache.Ambiguous},
		{Options{Channel: "c.{query.id}"}, "S", "/a?id=1&ID=2", cache.Ambiguous},
		{Options{Channel: "c.{query.id}"}, "S", "/a?id=1&%69d=2", cache.Ambiguous},
		{Options{Channel: "c.{query.id}"}, "S", "/a?id=1;x=2", cache.Ambiguous},
	} {
		r := ruleOf(t, c.o, strings.Fields(c.sessions)...)
		if _, why := r.Key(requestOf(t, c.request)); why != c.want {
			t.Errorf("%+v, %.60q: %v; want %v", c.o.Parts, c.request, why, c.want)
		}
	}
}

// TestMatch: the first rule of the path and the method counts, and a path that can be read in two ways has none.
func TestMatch(t *testing.T) {
	set, err := New([]Options{
		{Name: "post", Match: "/poll", Methods: []string{"POST"}, Parts: []string{"body"}},
		{Name: "get", Match: "/poll"},
		{Name: "file", Match: "/status.php"},
		{Name: "below", Match: "/static/"},
	}, nil, cache.NewHasher())
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"/poll": "get", "HEAD /poll": "get", "POST /poll": "post", "PUT /poll": "", "/poll/x": "get", "/polls": "",
		"/status.php": "file", "/status.php?id=1": "file", "/status.php/x": "file", "/status.php;x": "file", "/status.phpx": "",
		"/static": "below", "/static/a/b": "below", "/": "", "/Poll": "",
		"/static/../poll": "get", "/static/..%2fpoll": "", "/%70oll": "get", "/static%2fa": "", "/x/..;/poll": "", "*": "",
	} {
		got := ""
		if r := set.Whole().Match(requestOf(t, request)); r != nil {
			got = r.Name
		}
		if got != want {
			t.Errorf("%s: %q; want %q", request, got, want)
		}
	}
	everything := ruleOf(t, Options{Match: "/"})
	if everything.rules.Whole().Match(requestOf(t, "/any/thing")) != everything {
		t.Error("a rule for / does not match")
	}
}

// TestErrors: what can't be meant is said.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		o        Options
		sessions string
		want     string
	}{
		{Options{Match: "x"}, "", "not a path"},
		{Options{Methods: []string{"DELETE"}}, "", `"DELETE" can't be absorbed`},
		{Options{Methods: []string{"POST"}}, "", "POST needs body"},
		{Options{Parts: []string{"qwery"}}, "", `"qwery"`},
		{Options{Parts: []string{"cookies.x"}}, "", `"cookies.x" is not known`},
		{Options{Parts: []string{"cookie."}}, "", `"cookie."`},
		{Options{Parts: []string{"query", "query.x"}}, "", "goes with query"},
		{Options{Parts: []string{"-query.x"}}, "", "goes with query"},
		{Options{Parts: []string{"query.a[]"}}, "", "query.a[]"},
		{Options{Parts: []string{"header.X-Forwarded-For"}}, "", "by other means"},
		{Options{Parts: []string{"header.Cookie"}}, "", "by other means"},
		{Options{Parts: []string{"session"}}, "", "push.logout.cookies"},
		{Options{Parts: []string{"session"}, Shared: true}, "S", "want one of the two"},
		{Options{Channel: "c.{query.id"}, "", "want text with"},
		{Options{Channel: "c.{id}"}, "", "want text with"},
		{Options{Channel: "c.{user.id}"}, "", "want text with"},
		{Options{Channel: "c.{cookie.id}"}, "", "not among the parts"},
		{Options{Channel: "c.{query.id}", Parts: []string{"query.x"}}, "", "not among the parts"},
		{Options{Channel: "c.{query._}", Parts: []string{"query", "-query._"}}, "", "not among the parts"},
	} {
		if c.o.Match == "" {
			c.o.Match = "/a"
		}
		_, err := New([]Options{c.o}, strings.Fields(c.sessions), cache.NewHasher())
		if !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %s", c.o, err, c.want)
		}
	}
	if _, err := New([]Options{{Match: "/a"}, {Match: "/b"}}, nil, cache.NewHasher()); !errors.Is(err, ErrRule) {
		t.Errorf("two rules of one name: %v", err)
	}
}

// TestDefaults: a rule that says little is a safe one.
func TestDefaults(t *testing.T) {
	r := ruleOf(t, Options{Pass: time.Minute, Policy: cache.Policy{Most: time.Hour}}, "S")
	if !r.session || r.query != allQuery || !r.Policy.OwnSession || r.Policy.Shared || r.Policy.Most != time.Minute {
		t.Errorf("%+v", r)
	}
	r = ruleOf(t, Options{Shared: true, Pass: time.Minute}, "S")
	if r.session || r.query != allQuery || r.Policy.OwnSession || !r.Policy.Shared || r.Policy.Most != 0 {
		t.Errorf("%+v", r)
	}
	if r = ruleOf(t, Options{}); r.session {
		t.Error("a session without cookies that name it")
	}
}

func TestChannel(t *testing.T) {
	for _, c := range []struct{ template, parts, request, want string }{
		{"", "query", "/a", ""},
		{"news", "query", "/a", "news"},
		{"parcel.{query.id}", "query", "/a?id=42", "parcel.42"},
		{"parcel.{query.id}", "query.id", "/a?x=1&id=42&y", "parcel.42"},
		{"parcel.{query.id}.x", "query", "/a?id=4%32", "parcel.42.x"},
		{"parcel.{query.id}", "query", "/a?id=a.b", "parcel.a%2Eb"},
		{"parcel.{query.id}", "query", "/a?id=%2a", "parcel.%2A"},
		{"parcel.{query.id}", "query", "/a?id=a+b", "parcel.a%20b"},
		{"parcel.{query.id}", "query", "/a?id=%c3%bc", "parcel.%C3%BC"},
		{"parcel.{query.id}", "query", "/a?id=%zz", "parcel.%25zz"},
		{"parcel.{query.id}", "query", "/a?id=", ""},
		{"parcel.{query.id}", "query", "/a?id", ""},
		{"parcel.{query.id}", "query", "/a", ""},
		{"parcel.{query.id}", "query", "/a?id=%0a", ""},
		{"parcel.{query.id}", "query", "/a?id=" + strings.Repeat("x", 248), "parcel." + strings.Repeat("x", 248)},
		{"parcel.{query.id}", "query", "/a?id=" + strings.Repeat("x", 249), ""},
		{"{query.a}.{query.b}", "query", "/a?b=2&a=1", "1.2"},
		{"user.{cookie.u}", "query cookie.u", "/a\nCookie: x=1; u=7", "user.7"},
		{"tenant.{header.X-Tenant}", "query header.x-tenant", "/a\nX-Tenant: t1", "tenant.t1"},
	} {
		r := ruleOf(t, Options{Channel: c.template, Parts: strings.Fields(c.parts), Shared: true})
		if got := r.Place(requestOf(t, c.request)).Channel; got != c.want {
			t.Errorf("%s, %.60q: %.60q; want %.60q", c.template, c.request, got, c.want)
		}
	}
}

// TestSessions: a session is known by each of its cookies, so one request ends what another has, if they share one.
func TestSessions(t *testing.T) {
	set := ruleOf(t, Options{}, "PHPSESSID", "wp_*", "JSESSIONID").rules
	for _, c := range []struct {
		a, b        string
		n, overlaps int
	}{
		{"/", "/", 0, 0},
		{"/\nCookie: PHPSESSID=1", "/b\nCookie: x=2; PHPSESSID=1", 1, 1},
		{"/\nCookie: PHPSESSID=1", "/\nCookie: PHPSESSID=2", 1, 0},
		{"/\nCookie: PHPSESSID=\"1\"", "/\nCookie: PHPSESSID=1", 1, 1},
		{"/\nCookie: PHPSESSID=", "/\nCookie: PHPSESSID=", 0, 0},
		{"/\nCookie: wp_a=1; wp_b=2", "/\nCookie: wp_a=1", 2, 1},
		{"/\nCookie: wp_a=1; wp_a=1; wp_a=2", "/\nCookie: wp_a=2", 2, 1},
		{"/\nCookie: wp_a=1", "/\nCookie: wp_b=1", 1, 0},
		{"/\nCookie: wp_a=1", "/\nCookie: WP.a=1", 1, 1},
		{"/\nCookie: PHPSESSID=1", "/\nCookie: wp_b=1", 1, 0},
		{"/\nCookie: PHPSESSID=1", "/\nCookie: phpSESSID=1", 1, 1},
		{"/\nCookie: %50HPSESSID=1", "/\nCookie: PHPSESSID=1", 3, 1},
		{"/\nAuthorization: Basic eA==", "/\nAuthorization: Basic eA==", 1, 1},
		{"/a;jsessionid=1?x", "/\nCookie: JSESSIONID=1", 1, 1},
		{"/a;jsessionid=1;y/b", "/\nCookie: JSESSIONID=1", 1, 1},
		{"/\n-Cookie: PHPSESSID=1", "/\nCookie: PHPSESSID=1", 0, 0},
		{"/\nCookie: " + cookiesOf(40), "/\nCookie: wp_0=v0", maxSessions + 1, 1},
	} {
		a, b := set.Sessions(requestOf(t, c.a)), set.Sessions(requestOf(t, c.b))
		overlaps := 0
		for _, x := range a {
			for _, y := range b {
				if x == y {
					overlaps++
				}
			}
		}
		if len(a) != c.n || overlaps != c.overlaps {
			t.Errorf("%.60q has %d, of which %.60q has %d", c.a, len(a), c.b, overlaps)
		}
	}
}

func cookiesOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "wp_%d=v%d; ", i, i)
	}
	return b.String()
}

// TestPassKey: of which requests one of each session has to go to the app.
func TestPassKey(t *testing.T) {
	r := ruleOf(t, Options{Shared: true, Pass: time.Minute}, "S")
	key := func(text string) (k cache.Key, ok bool) { return r.PassKey(requestOf(t, text)) }
	if _, ok := key("/a\nCookie: x=1"); ok {
		t.Error("one without a session")
	}
	a, ok := key("/a?x=1\nCookie: S=1; x=1")
	if b, _ := key("/a?x=2\nCookie: S=1"); !ok || a != b {
		t.Error("two of the same session")
	}
	for _, other := range []string{"/a\nCookie: S=2", "/a\nAuthorization: S", "/a;jsessionid=1", "/a\nCookie: S=1; S=2", "/a\nCookie: S=1,2", "/a\nCookie: S=\"1;2\""} {
		if b, ok := key(other); !ok || a == b {
			t.Errorf("%q: %v", other, ok)
		}
	}
	for _, r := range []*Rule{ruleOf(t, Options{Shared: true}, "S"), ruleOf(t, Options{Pass: time.Minute}, "S")} {
		if _, ok := r.PassKey(requestOf(t, "/a\nCookie: S=1")); ok {
			t.Error("a rule that does not say so, or that has the session anyway")
		}
	}
}

// TestPlace: what the answer to a request can be invalidated by.
func TestPlace(t *testing.T) {
	r := ruleOf(t, Options{Name: "r", Channel: "c.{query.id}", Parts: []string{"query", "session"}}, "S")
	p := r.Place(requestOf(t, "/%61?id=1\n!https\nHost: Example.com:443\nCookie: S=1"))
	if p.Rule != "r" || p.Origin != "https://example.com" || p.URL != "/a?id=1" || p.Channel != "c.1" {
		t.Errorf("%+v", p)
	}
}

// TestKeyDoesNotAllocate: the key of a hit is made without, whatever it has.
func TestKeyDoesNotAllocate(t *testing.T) {
	set, err := New([]Options{
		{Name: "other", Match: "/other"},
		{
			Name: "r", Match: "/a", Channel: "c.{query.id}", MaxBody: 100, Methods: []string{"GET", "POST"},
			Parts: []string{"query", "-query._", "session", "cookie.x", "header.y", "body"},
		},
	}, []string{"S", "wp_*"}, cache.NewHasher())
	if err != nil {
		t.Fatal(err)
	}
	q := requestOf(t, "POST /a?id=1&_=5\n!body: abc\nCookie: S=1; wp_x=2; x=3\nY: z\nContent-Type: a/b\nX-Requested-With: x\nAuthorization: x")
	whole := set.Whole()
	if n := testing.AllocsPerRun(100, func() {
		r := whole.Match(q)
		if _, why := r.Key(q); why != cache.None {
			t.Fatal(why)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKey(b *testing.B) {
	r := ruleOf(b, Options{Parts: []string{"query", "session"}}, "PHPSESSID")
	q := requestOf(b, "/status.php?id=42\nHost: www.example.com\nCookie: PHPSESSID=0123456789abcdef0123456789abcdef; theme=dark\n"+
		"Accept: */*\nAccept-Encoding: gzip, deflate, br\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\nReferer: https://www.example.com/")
	b.ReportAllocs()
	for b.Loop() {
		if _, why := r.Key(q); why != cache.None {
			b.Fatal(why)
		}
	}
}

// FuzzKey: two requests that differ in path, query or cookies have the same key only if they are the same.
func FuzzKey(f *testing.F) {
	f.Add("/a", "x=1", "S=1", "/a", "x=1", "S=2")
	f.Add("/a", "x=1&y", "S=1; S=2", "/a", "x=1", "S=1")
	f.Fuzz(func(t *testing.T, pathA, queryA, cookieA, pathB, queryB, cookieB string) {
		r := ruleOf(t, Options{Parts: []string{"query", "cookie.S"}, Shared: true}, "S")
		key := func(path, query, cookie string) cache.Key {
			k, _ := r.Key(&cache.Request{
				Method: []byte("GET"), Target: []byte(path + "?" + query), Path: []byte(path),
				Fields: []http1.Field{{Name: []byte("Cookie"), Value: []byte("S=" + cookie)}},
			})
			return k
		}
		if strings.ContainsAny(cookieA+cookieB, ";, \t") || strings.ContainsAny(pathA+pathB, "?") {
			return
		}
		same := pathA == pathB && queryA == queryB && cookieA == cookieB
		if (key(pathA, queryA, cookieA) == key(pathB, queryB, cookieB)) != same {
			t.Errorf("%q %q %q and %q %q %q: the same is %v", pathA, queryA, cookieA, pathB, queryB, cookieB, !same)
		}
	})
}

// TestCredentials: what says who a request is from by other means than the session's tells answers apart, unless the rule is
// shared.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"X-API-Key: 1", "X-API-Key: 2", false},
		{"X-Remote-User: ann", "X-Remote-User: bob", false},
		{"X-Auth-Token: 1", "X-Other: 1", false},
		{"X-SSL-Client-DN: ann", "X-SSL-Client-DN: bob", false},
		{"Cf-Access-Jwt-Assertion: 1", "Cf-Access-Jwt-Assertion: 2", false},
		{"User-Agent: 1", "User-Agent: 2", true},
		{"Sec-Fetch-User: ?1", "Sec-Fetch-User: ?0", true},
		{"X-CSRF-Token: 1", "X-CSRF-Token: 2", true},
		{"X-XSRF-TOKEN: 1", "X-Request-ID: 2", true},
	} {
		for _, shared := range []bool{false, true} {
			r := ruleOf(t, Options{Name: "r", Match: "/a", Parts: []string{"query"}, Shared: shared}, "S")
			a, whyA := r.Key(requestOf(t, "/a\n"+c.a))
			b, whyB := r.Key(requestOf(t, "/a\n"+c.b))
			if whyA != cache.None || whyB != cache.None || (a == b) != (c.same || shared) {
				t.Errorf("%s and %s, shared %v: the same is %v, %v, %v", c.a, c.b, shared, a == b, whyA, whyB)
			}
		}
	}
}
