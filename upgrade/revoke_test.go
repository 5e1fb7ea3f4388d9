package upgrade_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// slowApp is an app whose answers a test gives, one for each time that it is asked.
type slowApp struct {
	t      testing.TB
	asked  chan auth.Request
	answer chan auth.Result
}

func newSlowApp(t testing.TB) *slowApp {
	a := &slowApp{t: t, asked: make(chan auth.Request, 10), answer: make(chan auth.Result, 10)}
	t.Cleanup(func() { close(a.answer) }) // lets go of whoever asks still
	return a
}

func (a *slowApp) Authorize(q auth.Request) (auth.Result, error) {
	a.asked <- q
	return <-a.answer, nil
}

// wait returns what the app is asked next.
func (a *slowApp) wait() auth.Request {
	a.t.Helper()
	select {
	case q := <-a.asked:
		return q
	case <-time.After(wiretest.Timeout):
		a.t.Fatal("the app is not asked")
	}
	return auth.Request{}
}

// halt stops all loops until the returned function is called.
func (w *world) halt() (resume func()) {
	var halted sync.WaitGroup
	resumec := make(chan struct{})
	for _, l := range w.poller.Loops() {
		halted.Add(1)
		l.Post(func() { halted.Done(); <-resumec })
	}
	halted.Wait()
	return sync.OnceFunc(func() { close(resumec) })
}

// revoked waits until something is revoked by f, which may wait for loops that are halted.
func (w *world) revoked(t testing.TB, f func()) (wait func()) {
	t.Helper()
	before, donec := w.keeper.RevocationSeq(), make(chan struct{})
	go func() { defer close(donec); f() }()
	wiretest.Eventually(t, "it is revoked", func() bool { return w.keeper.RevocationSeq() > before })
	return func() { <-donec }
}

// revocations are ways to take user.x away from anna, whose session is SID=a.
var revocations = map[string]func(w *world){
	"logout": func(w *world) {
		w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
	},
	"logout path": func(w *world) {
		w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/logout"), nil)
	},
	"disconnect user":     func(w *world) { w.keeper.Disconnect(connection.Selection{User: "anna"}, 4401, "") },
	"disconnect channel":  func(w *world) { w.keeper.Disconnect(connection.Selection{Channel: "user.x"}, 4401, "") },
	"unsubscribe user":    func(w *world) { w.keeper.Change(connection.Selection{User: "anna"}, nil, []string{"user.x"}) },
	"unsubscribe channel": func(w *world) { w.keeper.Change(connection.Selection{Channel: "user.x"}, nil, []string{"user.x"}) },
}

// TestRevokedBeforeHold: a hold that was decided, and whose connection no loop has yet, is refused if its right to it is
// revoked then. Nothing of its channels is sent: no hello, no history.
func TestRevokedBeforeHold(t *testing.T) {
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				path := filepath.Join(t.TempDir(), "access")
				log := openAccessLog(t, path)
				app := newSlowApp(t)
				w, _ := guarded(t, func(o *upgrade.Options) {
					o.Authorizer, o.Access, o.Origins = app, log, []string{"https://page.test"}
				})
				w.publish(t, "secret", "user.x")
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.x&last=5", "Cookie: SID=a", "Origin: https://page.test"))
				app.wait()
				resume := w.halt()
				defer resume()
				app.answer <- auth.Result{Allowed: true, User: "anna", SetCookie: []string{"remember=2; Path=/"}}
				wiretest.Eventually(t, "it is decided", func() bool {
					log.Flush()
					text, _ := os.ReadFile(path)
					return strings.Contains(string(text), "user.x")
				})
				wait := w.revoked(t, func() { revoke(w) })
				resume()
				wait()
				resp, body := c.Response(http.MethodGet)
				if want := map[bool]int{false: 503, true: 200}[strings.HasPrefix(kind, "sse")]; resp.StatusCode != want || strings.Contains(body, "secret") ||
					strings.Contains(body, "hello") || strings.Contains(body, "data") || strings.Contains(body, "user.x") {
					t.Errorf("answered %d %s; want %d and nothing of the channel", resp.StatusCode, body, want)
				}
				if got := fmt.Sprint(resp.Header["Set-Cookie"], resp.Header["Access-Control-Allow-Origin"]); got != "[remember=2; Path=/] [https://page.test]" {
					t.Errorf("the response has %s; want the app's cookie and the page's origin", got)
				}
				if n := len(app.asked); w.held() != 0 || n != 0 {
					t.Errorf("%d are held, the app was asked %d times more", w.held(), n)
				}
				if i, ok := w.hub.Channel("user.x"); ok && i.Subscribers > 0 {
					t.Errorf("%d subscribers", i.Subscribers)
				}
			})
		})
	}
}

// TestRevokedWhileHoldIsAuthorized: the app is asked once more, as its answer may be of before.
func TestRevokedWhileHoldIsAuthorized(t *testing.T) {
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				app := newSlowApp(t)
				w, _ := guarded(t, cached, func(o *upgrade.Options) { o.Authorizer = app })
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.x&channel=user.y", "Cookie: SID=a"))
				app.wait()
				revoke(w)
				app.answer <- auth.Result{Allowed: true, User: "anna"}
				app.wait()
				app.answer <- auth.Result{Status: 403}
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 403 {
					t.Errorf("answered %d %s", resp.StatusCode, body)
				}
			})
		})
	}
}

// TestDisconnectAtShutdown: a call that changes connections returns if the loops end before they have come to all.
func TestDisconnectAtShutdown(t *testing.T) {
	w, _ := guarded(t)
	for range 200 { // more than a loop comes to in one turn
		w.hold(t, "sse", "channel=public.a")
	}
	w.waitHeld(t, 200)
	resume := w.halt()
	defer resume()
	w.poller.Shutdown()
	wait := w.revoked(t, func() { w.keeper.Disconnect(connection.Selection{Channel: "public.a"}, 4403, "") })
	resume()
	wait()
}

// TestRevokedOfAnother: what is taken from somebody else, or is another channel, asks nobody once more.
func TestRevokedOfAnother(t *testing.T) {
	app := newSlowApp(t)
	w, _ := guarded(t, func(o *upgrade.Options) { o.Authorizer = app })
	c := wiretest.Dial(t, w.addr)
	c.Send(request("sse", "/_push?channel=user.x", "Cookie: SID=a"))
	app.wait()
	w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=b")}, nil))
	w.keeper.Disconnect(connection.Selection{User: "bert"}, 4401, "")
	w.keeper.Change(connection.Selection{User: "anna"}, nil, []string{"user.y"})
	w.keeper.Change(connection.Selection{User: "bert"}, nil, []string{"user.x"})
	w.keeper.Disconnect(connection.Selection{Channel: "user"}, 4401, "")
	app.answer <- auth.Result{Allowed: true, User: "anna"}
	w.waitHeld(t, 1)
	if n := len(app.asked); n != 0 {
		t.Errorf("the app was asked %d times more", n)
	}
}

// TestRevokedWhileSubscribing: a connected client that asks for a channel does not get it by an answer of before, and
// when the app cannot be told apart from before, not at all.
func TestRevokedWhileSubscribing(t *testing.T) {
	revocations := map[string]func(w *world){
		"unsubscribe user": revocations["unsubscribe user"], "unsubscribe channel": revocations["unsubscribe channel"],
		"disconnect channel": revocations["disconnect channel"], "logout": revocations["logout"],
		"unsubscribe connection": func(w *world) {
			list, _ := w.keeper.List(connection.Selection{}, 1)
			w.keeper.Change(connection.Selection{Connection: list[0].ID}, nil, []string{"user.x"})
		},
	}
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			app := newSlowApp(t)
			w, _ := guarded(t, cached, func(o *upgrade.Options) { o.Authorizer, o.Live = app, true })
			c := w.hold(t, "websocket v1", "channel=public.a", "Cookie: SID=a")
			w.waitHeld(t, 1)
			say := func() { c.Send(frame(true, 1, []byte(`{"type":"subscribe","channels":["user.x"]}`))) }
			yes := auth.Result{Allowed: true, User: "anna"}

			say()
			app.wait()
			revoke(w)
			app.answer <- yes // of before
			app.wait()
			app.answer <- auth.Result{Status: 403}
			if m := c.recv(); m.Type != "error" || m.Data != "not allowed" {
				t.Errorf("told %+v", m)
			}

			say()
			app.wait()
			revoke(w)
			app.answer <- yes
			app.wait()
			revoke(w)
			app.answer <- yes
			if m := c.recv(); m.Type != "error" || m.Data != "could not be authorized now" {
				t.Errorf("told %+v", m)
			}

			if list, _ := w.keeper.List(connection.Selection{}, 1); len(list) != 1 || fmt.Sprint(list[0].Channels) != "[public.a]" || list[0].User != "" {
				t.Errorf("held are %+v", list)
			}
			say()
			app.wait()
			app.answer <- yes
			if m := c.recv(); m.Type != "subscribed" {
				t.Errorf("told %+v", m)
			}
		})
	}
}

// TestUnsubscribedWhileAnotherIsAuthorized: a channel that the app takes away does not come back with the answer about
// another, which the client has asked for together with it.
func TestUnsubscribedWhileAnotherIsAuthorized(t *testing.T) {
	app := newSlowApp(t)
	w, _ := guarded(t, func(o *upgrade.Options) { o.Authorizer, o.Live = app, true })
	app.answer <- auth.Result{Allowed: true, User: "anna"}
	c := w.hold(t, "websocket v1", "channel=user.x", "Cookie: SID=a")
	app.wait()
	w.waitHeld(t, 1)
	c.Send(frame(true, 1, []byte(`{"type":"subscribe","channels":["user.x","user.y"]}`)))
	if q := app.wait(); fmt.Sprint(q.Channels) != "[user.y]" {
		t.Fatalf("the app is asked about %v", q.Channels)
	}
	if n, _ := w.keeper.Change(connection.Selection{User: "anna"}, nil, []string{"user.x"}); n != 1 {
		t.Fatalf("%d were taken out of it", n)
	}
	app.answer <- auth.Result{Allowed: true, User: "anna"}
	for _, want := range []string{"unsubscribed", "subscribed"} {
		if m := c.recv(); m.Type != want {
			t.Errorf("told %+v; want %s", m, want)
		}
	}
	if list, _ := w.keeper.List(connection.Selection{User: "anna"}, 1); len(list) != 1 || fmt.Sprint(list[0].Channels) != "[user.y]" {
		t.Errorf("held are %+v", list)
	}
}

// TestTokenExpiresBeforeHold: a token that is over when the connection is to be held opens nothing, history included.
func TestTokenExpiresBeforeHold(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		end := sync.OnceValue(func() time.Time { return time.Now().Add(50 * time.Millisecond) }) // after it is first read
		w, _ := guarded(t, func(o *upgrade.Options) {
			o.Tokens = verifyFunc(func(string) (auth.TokenGrant, error) {
				return auth.TokenGrant{User: "anna", ExpiresAt: end(), Channels: []string{"**"}}, nil
			})
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
				<-time.After(time.Until(end()) + 1)
				return auth.Result{Allowed: true, User: "anna", SetCookie: []string{"remember=2; Path=/"}}, nil
			})
		})
		w.publish(t, "secret", "signed.a")
		c := wiretest.Dial(t, w.addr)
		c.Send(request(kind, "/_push?channel=signed.a&channel=user.x&last=5&token=x"))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" || strings.Contains(body, "secret") {
			t.Errorf("answered %d %v %s", resp.StatusCode, resp.Header, body)
		}
		if cookie := resp.Header.Get("Set-Cookie"); cookie != "remember=2; Path=/" {
			t.Errorf("Set-Cookie %q; want the app's", cookie)
		}
	})
}
