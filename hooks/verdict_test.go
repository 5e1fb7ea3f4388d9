package hooks

import (
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// TestVerdictOnPattern: of a pattern the app may name parts, and nothing that is beside it.
func TestVerdictOnPattern(t *testing.T) {
	within := func(pattern, name string) bool {
		return pattern == "a.**" && strings.HasPrefix(name, "a.") && name != "a.bad"
	}
	for _, tt := range []struct{ answer, want string }{
		{`{"channels":["a.**"]}`, "a.**"},
		{`{"channels":["c","a.1","a.1","b.1","a.bad","a.*"]}`, "c a.1 a.*"},
		{`{"channels":["b.1","a.bad"]}`, ""},
	} {
		var resp fasthttp.Response
		resp.Header.SetContentType("application/json")
		resp.SetBodyString(tt.answer)
		v, err := verdictOf(&resp, []string{"c", "a.**"}, within)
		if got := strings.Join(v.Channels, " "); err != nil || got != tt.want || v.Allowed != (tt.want != "") {
			t.Errorf("%s: %q, %+v, %v; want %q", tt.answer, got, v, err, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	asked := []string{"a", "b", "c"}
	long := strings.Repeat("u", 255)
	refused := func(status int) Verdict { return Verdict{Status: status} }
	yes := Verdict{Allowed: true}
	for _, c := range []struct {
		name, answer string
		want         Verdict
		err          string // part of it; empty: none
	}{
		{"200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", yes, ""},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", yes, ""},
		{"204 of a type", "HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n", yes, ""},
		{"form to log in", "HTTP/1.1 200 OK\r\nContent-Type: text/html;charset=UTF-8\r\nContent-Length: 18\r\n\r\n\r\n<!DOCTYPE html>\n", Verdict{}, "a form to log in"},
		{"warning of PHP", "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML\r\nContent-Length: 16\r\n\r\n<br />\n<b>Warn..", Verdict{}, "a page of HTML"},
		{"page after a BOM", "HTTP/1.1 200 OK\r\nContent-Type: application/xhtml+xml\r\nContent-Length: 9\r\n\r\n\ufeff<html>", Verdict{}, "a page of HTML"},
		{"page in gzip", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", Verdict{}, "a page of HTML"},
		{"what PHP calls a page", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 1\r\n\r\n\n", yes, ""},
		{"page of text", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n{\"channels\":[]} ", yes, ""},
		{"until the end", "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"user\":\"u\"}", Verdict{Allowed: true, User: "u"}, ""},
		{"chunked", "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON ; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"user\r\n6\r\n\":\"u\"}\r\n0\r\n\r\n", Verdict{Allowed: true, User: "u"}, ""},
		{"after 100", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", yes, ""},
		{"all of it", jsonAnswer(`{}`), yes, ""},
		{"narrowed", jsonAnswer(`{"channels":["c","z","a","c"]}`), Verdict{Allowed: true, Channels: []string{"a", "c"}}, ""},
		{"narrowed to nothing", jsonAnswer(`{"channels":[],"user":"u"}`), refused(403), ""},
		{"narrowed to others", jsonAnswer(`{"channels":["z"]}`), refused(403), ""},
		{"user and time", jsonAnswer(`{"user":"änna","expires":1.5}`), Verdict{Allowed: true, User: "änna", Expires: 1500 * time.Millisecond}, ""},
		{"longest user", jsonAnswer(`{"user":"` + long + `"}`), Verdict{Allowed: true, User: long}, ""},
		{"no user", jsonAnswer(`{"user":""}`), yes, ""},
		{"moment", jsonAnswer(`{"expires":1e-300}`), Verdict{Allowed: true, Expires: 1}, ""},
		{"for ever", jsonAnswer(`{"expires":1e300}`), Verdict{Allowed: true, Expires: maxExpires}, ""},

		{"401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", refused(401), ""},
		{"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", refused(403), ""},
		{"403 with JSON", strings.Replace(jsonAnswer(`{"channels":["a"]}`), "200", "403", 1), refused(403), ""},
		{"301", "HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n", refused(401), ""},
		{"302 to login", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", refused(401), ""},
		{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", refused(401), ""},
		{"307", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /push/authorize\r\nContent-Length: 0\r\n\r\n", refused(401), ""},

		{"400", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Verdict{}, "status 400"},
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Verdict{}, "status 404"},
		{"429", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", Verdict{}, "status 429"},
		{"500", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", Verdict{}, "status 500"},
		{"503 with JSON", strings.Replace(jsonAnswer(`{}`), "200", "503", 1), Verdict{}, "status 503"},
		{"600", "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", Verdict{}, "status 600"},

		{"empty JSON", jsonAnswer(``), Verdict{}, "want one object"},
		{"broken JSON", jsonAnswer(`{"user":"u"`), Verdict{}, "ends in the middle"},
		{"page as JSON", jsonAnswer(`<html>`), Verdict{}, "bad JSON"},
		{"PHP warning before JSON", jsonAnswer("Warning: x\n{}"), Verdict{}, "bad JSON"},
		{"null", jsonAnswer(`null`), Verdict{}, "want an object"},
		{"true", jsonAnswer(`true`), Verdict{}, "want an object"},
		{"false", jsonAnswer(`false`), Verdict{}, "want an object"},
		{"list", jsonAnswer(`["a"]`), Verdict{}, "want one object"},
		{"two", jsonAnswer("{}\n{}"), Verdict{}, "want one object"},
		{"typo", jsonAnswer(`{"channel":["a"]}`), Verdict{}, `unknown key "channel"`},
		{"other case", jsonAnswer(`{"Channels":["a"]}`), Verdict{}, `unknown key "Channels"`},
		{"twice", jsonAnswer(`{"channels":["a"],"channels":["a","b"]}`), Verdict{}, "second time"},
		{"channels null", jsonAnswer(`{"channels":null}`), Verdict{}, "want a list"},
		{"channels text", jsonAnswer(`{"channels":"a"}`), Verdict{}, "want a list"},
		{"channels numbers", jsonAnswer(`{"channels":[1]}`), Verdict{}, "want a list"},
		{"user number", jsonAnswer(`{"user":7}`), Verdict{}, "user: want text"},
		{"user null", jsonAnswer(`{"user":null}`), Verdict{}, "user: want text"},
		{"user too long", jsonAnswer(`{"user":"u` + long + `"}`), Verdict{}, "at most 255"},
		{"user with line end", jsonAnswer(`{"user":"a\nb"}`), Verdict{}, "control"},
		{"not UTF-8", jsonAnswer("{\"user\":\"\xff\"}"), Verdict{}, "not UTF-8"},
		{"expired", jsonAnswer(`{"expires":0}`), Verdict{}, "above 0"},
		{"before now", jsonAnswer(`{"expires":-1}`), Verdict{}, "above 0"},
		{"expires text", jsonAnswer(`{"expires":"60"}`), Verdict{}, "above 0"},
		{"expires null", jsonAnswer(`{"expires":null}`), Verdict{}, "above 0"},
		{"expires huge", jsonAnswer(`{"expires":1e999}`), Verdict{}, "above 0"},

		{"silence", "", Verdict{}, "closed connection"},
		{"no HTTP", "hello\r\n\r\n", Verdict{}, ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", Verdict{}, ""},
		{"large", "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537), Verdict{}, "body size exceeds"},
		{"announced large", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Verdict{}, "body size exceeds"},
		{"large chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 17) + "0\r\n\r\n", Verdict{}, "body size exceeds"},
		{"large until the end", "HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("x", 65537), Verdict{}, "body size exceeds"},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead) + "\r\nContent-Length: 0\r\n\r\n", Verdict{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := startUpstream(t, "tcp", func(conn net.Conn, n int) bool {
				always(c.answer)(conn, n)
				return false
			})
			v, err := u.authorizer(t, 5*time.Second).Authorize(Question{Channels: asked, ClientAddr: "192.0.2.7"})
			fails := c.err != "" || reflect.DeepEqual(c.want, Verdict{})
			if fails != (err != nil) || err != nil && (!errors.Is(err, ErrNoVerdict) || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !reflect.DeepEqual(v, c.want) {
				t.Errorf("verdict %+v, want %+v", v, c.want)
			}
			if heads, _ := u.seen(); len(heads) != 1 {
				t.Errorf("the app was asked %d times", len(heads))
			}
		})
	}
}
