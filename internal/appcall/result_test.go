package appcall

import (
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
)

// TestAuthorizeResultForPattern: of a pattern the app may name parts, and nothing that is beside it.
func TestAuthorizeResultForPattern(t *testing.T) {
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
		v, err := parseResponse(&resp, []string{"c", "a.**"}, within)
		if got := strings.Join(v.Channels, " "); err != nil || got != tt.want || v.Allowed != (tt.want != "") {
			t.Errorf("%s: %q, %+v, %v; want %q", tt.answer, got, v, err, tt.want)
		}
	}
}

func TestAuthorizeResult(t *testing.T) {
	asked := []string{"a", "b", "c"}
	long := strings.Repeat("u", 255)
	refused := func(status int) auth.Result { return auth.Result{Status: status} }
	yes := auth.Result{Allowed: true}
	for _, c := range []struct {
		name, answer string
		want         auth.Result
		err          string // part of it; empty: none
	}{
		{"200 with length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", yes, ""},
		{"200 with length 0, then the end", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", yes, ""},
		{"200 with no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", yes, ""},
		{"200 cut before its chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", auth.Result{}, ""},
		{"200 of an app that died", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", auth.Result{}, "closed the connection without a response"},
		{"200 of an app that said it would close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", auth.Result{}, "closed the connection without a response"},
		{"202", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", yes, ""},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", yes, ""},
		{"204 of a type", "HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n", yes, ""},
		{"204 and the end", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", yes, ""},
		{"empty JSON", jsonAnswer(``), yes, ""},
		{"form to log in", typed("text/html;charset=UTF-8", "\r\n<!DOCTYPE html>\n"), auth.Result{}, "a form to log in"},
		{"warning of PHP", typed("Text/HTML", "<br />\n<b>Warning</b>:  x in <b>y</b> on line <b>1</b><br />\n"), auth.Result{}, "PHP error"},
		{"fatal error of PHP", typed("text/html", "PHP Fatal error:  Uncaught Error\n"), auth.Result{}, "PHP error"},
		{"fatal error in text", typed("text/plain", "\nFatal error: Uncaught Error\n"), auth.Result{}, "PHP error"},
		{"page after a BOM", typed("application/xhtml+xml", "\ufeff<html>"), auth.Result{}, "answered HTML"},
		{"page in gzip", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", auth.Result{}, "compressed"},
		{"page without a type", typed("", "<html>"), auth.Result{}, "answered HTML"},
		{"line end", typed("text/html; charset=UTF-8", "\n"), auth.Result{}, "white space"},
		{"BOM alone", typed("text/html", "\ufeff"), auth.Result{}, "white space"},
		{"word", typed("text/plain", "ok"), auth.Result{}, "answer 204"},
		{"digit", typed("text/html", "1"), auth.Result{}, "answer 204"},
		{"no in words", typed("text/html; charset=UTF-8", "Access denied"), auth.Result{}, "answer 204"},
		{"nothing as PHP's page", typed("text/html; charset=UTF-8", `{"channels":[]} `), refused(403), ""},
		{"narrowed as PHP's page", typed("text/html; charset=UTF-8", `{"channels":["a"],"user":"anna"}`), auth.Result{Allowed: true, Channels: []string{"a"}, User: "anna"}, ""},
		{"narrowed as text", typed("text/plain", "\r\n "+`{"channels":["a"]}`), auth.Result{Allowed: true, Channels: []string{"a"}}, ""},
		{"narrowed as another type", typed("application/vnd.api+json", `{"channels":["a"]}`), auth.Result{Allowed: true, Channels: []string{"a"}}, ""},
		{"narrowed without a type", typed("", `{"channels":["a"]}`), auth.Result{Allowed: true, Channels: []string{"a"}}, ""},
		{"narrowed after a BOM", jsonAnswer("\ufeff" + `{"channels":["a"]}`), auth.Result{Allowed: true, Channels: []string{"a"}}, ""},
		{"narrowed with 201", strings.Replace(typed("text/html", `{"channels":["a"]}`), "200", "201", 1), auth.Result{Allowed: true, Channels: []string{"a"}}, ""},
		{"two BOMs", jsonAnswer("\ufeff\ufeff{}"), auth.Result{}, "something other than"},
		{"warning after JSON", jsonAnswer("{}\n<br />\n<b>Warning</b>:  x"), auth.Result{}, "PHP error message after the JSON"},
		{"text after JSON", typed("text/html", "{} ok"), auth.Result{}, "trailing text"},
		{"page after JSON", typed("text/html", `{"user":"u"}`+"\n</html>"), auth.Result{}, "trailing text"},
		{"JSON cut off", typed("text/html", `{"user":"u"`), auth.Result{}, "broken JSON"},
		{"until the end", "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"user\":\"u\"}", auth.Result{Allowed: true, User: "u"}, ""},
		{"chunked", "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON ; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"user\r\n6\r\n\":\"u\"}\r\n0\r\n\r\n", auth.Result{Allowed: true, User: "u"}, ""},
		{"after 100", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", yes, ""},
		{"all of it", jsonAnswer(`{}`), yes, ""},
		{"narrowed", jsonAnswer(`{"channels":["c","z","a","c"]}`), auth.Result{Allowed: true, Channels: []string{"a", "c"}}, ""},
		{"narrowed to nothing", jsonAnswer(`{"channels":[],"user":"u"}`), refused(403), ""},
		{"narrowed to others", jsonAnswer(`{"channels":["z"]}`), refused(403), ""},
		{"user and time", jsonAnswer(`{"user":"änna","expires":1.5}`), auth.Result{Allowed: true, User: "änna", Expires: 1500 * time.Millisecond}, ""},
		{"longest user", jsonAnswer(`{"user":"` + long + `"}`), auth.Result{Allowed: true, User: long}, ""},
		{"no user", jsonAnswer(`{"user":""}`), yes, ""},
		{"moment", jsonAnswer(`{"expires":1e-300}`), auth.Result{Allowed: true, Expires: 1}, ""},
		{"for ever", jsonAnswer(`{"expires":1e300}`), auth.Result{Allowed: true, Expires: maxExpires}, ""},

		{"401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 2\r\n\r\nno", auth.Result{Status: 401, Challenge: []string{"Basic", "Negotiate"}}, ""},
		{"cookies", "HTTP/1.1 204 No Content\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\nSet-Cookie: a=2; Path=/x\r\nset-cookie: b=\r\n\r\n", auth.Result{Allowed: true, SetCookie: []string{"a=1; Path=/; HttpOnly", "a=2; Path=/x", "b="}}, ""},
		{"cookies with a 302", "HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n", auth.Result{Status: 401, SetCookie: []string{"a=1"}}, ""},
		{"cookies with a page", "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 6\r\n\r\n<html>", auth.Result{SetCookie: []string{"a=1"}}, "HTML"},
		{"503 for a while", "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n", auth.Result{SetCookie: []string{"a=1"}, RetryAfter: "7"}, "status 503"},
		{"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", refused(403), ""},
		{"403 with JSON", strings.Replace(jsonAnswer(`{"channels":["a"]}`), "200", "403", 1), refused(403), ""},
		{"301", "HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n", refused(401), ""},
		{"302 to login", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", refused(401), ""},
		{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", refused(401), ""},
		{"307", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /push/authorize\r\nContent-Length: 0\r\n\r\n", refused(401), ""},

		{"400", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", auth.Result{}, "status 400"},
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", auth.Result{}, "status 404"},
		{"429", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", auth.Result{}, "status 429"},
		{"500", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", auth.Result{}, "status 500"},
		{"503 with JSON", strings.Replace(jsonAnswer(`{}`), "200", "503", 1), auth.Result{}, "status 503"},
		{"600", "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", auth.Result{}, "status 600"},

		{"broken JSON", jsonAnswer(`{"user":"u"`), auth.Result{}, "unexpected end"},
		{"page as JSON", jsonAnswer(`<html>`), auth.Result{}, "bad JSON"},
		{"PHP warning before JSON", jsonAnswer("Warning: x\n{}"), auth.Result{}, "PHP error message"},
		{"null", jsonAnswer(`null`), auth.Result{}, "want one object"},
		{"true", jsonAnswer(`true`), auth.Result{}, "want one object"},
		{"false", jsonAnswer(`false`), auth.Result{}, "want one object"},
		{"list", jsonAnswer(`["a"]`), auth.Result{}, "want one object"},
		{"two", jsonAnswer("{}\n{}"), auth.Result{}, "want one object"},
		{"typo", jsonAnswer(`{"channel":["a"]}`), auth.Result{}, `unknown key "channel"`},
		{"other case", jsonAnswer(`{"Channels":["a"]}`), auth.Result{}, `unknown key "Channels"`},
		{"twice", jsonAnswer(`{"channels":["a"],"channels":["a","b"]}`), auth.Result{}, "second time"},
		{"channels null", jsonAnswer(`{"channels":null}`), auth.Result{}, "want a list"},
		{"channels text", jsonAnswer(`{"channels":"a"}`), auth.Result{}, "want a list"},
		{"channels numbers", jsonAnswer(`{"channels":[1]}`), auth.Result{}, "want a list"},
		{"user of digits", jsonAnswer(`{"user":17}`), auth.Result{Allowed: true, User: "17"}, ""},
		{"user below zero", jsonAnswer(`{"user":-1}`), auth.Result{Allowed: true, User: "-1"}, ""},
		{"user beyond what floats hold", jsonAnswer(`{"user":9007199254740993}`), auth.Result{Allowed: true, User: "9007199254740993"}, ""},
		{"user with half of a character", jsonAnswer(`{"user":"a\ud800"}`), auth.Result{}, "user: want Unicode text"},
		{"user with a fraction", jsonAnswer(`{"user":1.5}`), auth.Result{}, "user: want Unicode text"},
		{"user with an exponent", jsonAnswer(`{"user":1e3}`), auth.Result{}, "user: want Unicode text"},
		{"user true", jsonAnswer(`{"user":true}`), auth.Result{}, "user: want Unicode text"},
		{"channels as an object", jsonAnswer(`{"channels":{"1":"a"}}`), auth.Result{}, "want a list"},
		{"user null", jsonAnswer(`{"user":null}`), auth.Result{}, "user: want Unicode text"},
		{"user too long", jsonAnswer(`{"user":"u` + long + `"}`), auth.Result{}, "at most 255"},
		{"user with line end", jsonAnswer(`{"user":"a\nb"}`), auth.Result{}, "control"},
		{"not UTF-8", jsonAnswer("{\"user\":\"\xff\"}"), auth.Result{}, "not UTF-8"},
		{"expired", jsonAnswer(`{"expires":0}`), auth.Result{}, "above 0"},
		{"before now", jsonAnswer(`{"expires":-1}`), auth.Result{}, "above 0"},
		{"expires text", jsonAnswer(`{"expires":"60"}`), auth.Result{}, "above 0"},
		{"expires null", jsonAnswer(`{"expires":null}`), auth.Result{}, "above 0"},
		{"expires huge", jsonAnswer(`{"expires":1e999}`), auth.Result{}, "above 0"},

		{"silence", "", auth.Result{}, "closed connection"},
		{"no HTTP", "hello\r\n\r\n", auth.Result{}, ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", auth.Result{}, ""},
		{"large", "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537), auth.Result{}, "body size exceeds"},
		{"announced large", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", auth.Result{}, "body size exceeds"},
		{"large chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 17) + "0\r\n\r\n", auth.Result{}, "body size exceeds"},
		{"large until the end", "HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("x", 65537), auth.Result{}, "body size exceeds"},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead) + "\r\nContent-Length: 0\r\n\r\n", auth.Result{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := startUpstream(t, "tcp", func(conn net.Conn, n int) bool {
				always(c.answer)(conn, n)
				return false
			})
			v, err := u.authorizer(t, 5*time.Second).Authorize(auth.Request{Channels: asked, ClientAddr: "192.0.2.7"})
			fails := c.err != "" || reflect.DeepEqual(c.want, auth.Result{}) // of some the text is the engine's
			if fails != (err != nil) || err != nil && (!errors.Is(err, ErrNoResult) || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !reflect.DeepEqual(v, c.want) {
				t.Errorf("result %+v, want %+v", v, c.want)
			}
			if heads, _ := u.seen(); len(heads) != 1 {
				t.Errorf("the app was asked %d times", len(heads))
			}
		})
	}
}
