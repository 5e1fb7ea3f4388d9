package upgrade_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// door is an app that lets in whom its sessions name.
type door struct {
	mu       sync.Mutex
	sessions map[string]auth.Result // by cookie
	broken   bool
	asked    int
}

func (d *door) set(cookie string, v auth.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions[cookie] = v
}

func (d *door) ask(q auth.Request) (auth.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.broken {
		return auth.Result{}, errors.New("the app is down")
	}
	v, ok := d.sessions[q.Cookie]
	if !ok {
		return auth.Result{Status: 401}, nil
	}
	return v, nil
}

func (d *door) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func guarded(t *testing.T, change ...func(*upgrade.Options)) (*world, *door) {
	t.Helper()
	d := &door{sessions: map[string]auth.Result{}}
	w := start(t, append([]func(*upgrade.Options){func(o *upgrade.Options) {
		o.Authorizer, o.AuthorizeGrace = askFunc(d.ask), 100*time.Millisecond
		o.LogoutCookies, o.LogoutPaths = []string{"SID", "JSESSIONID"}, []string{"/logout"}
	}}, change...)...)
	return w, d
}

// over waits until the client's hold was ended, with this status of HTTP.
func (c *client) over(status int) {
	c.t.Helper()
	wires[c.kind].over(c, status)
}

// TestAuthorizationExpires: the app is asked again when what it said has expired. A yes lets the hold go on, anything
// else ends it; an app that cannot be asked has a while.
func TestAuthorizationExpires(t *testing.T) {
	const soon = 50 * time.Millisecond
	for _, tt := range []struct {
		name   string
		then   func(d *door)
		status int
	}{
		{"refused", func(d *door) { delete(d.sessions, "SID=a") }, 401},
		{"forbidden", func(d *door) { d.sessions["SID=a"] = auth.Result{Status: 403} }, 403},
		{"somebody else", func(d *door) { d.sessions["SID=a"] = auth.Result{Allowed: true, User: "eve"} }, 401},
		{"narrowed to nothing", func(d *door) {
			d.sessions["SID=a"] = auth.Result{Allowed: true, User: "anna", Channels: []string{}}
		}, 403},
		{"the app is down", func(d *door) { d.broken = true }, 503},
	} {
		for _, kind := range streams() {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				w, d := guarded(t)
				d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: soon})
				c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
				w.waitHeld(t, 1)
				w.publish(t, "one", "user.a")
				c.expect("one")
				wiretest.Eventually(t, "it was asked again", func() bool {
					d.mu.Lock()
					defer d.mu.Unlock()
					return d.asked >= 2
				})
				d.mu.Lock()
				tt.then(d)
				d.mu.Unlock()
				c.over(tt.status)
				w.waitHeld(t, 0)
				if i, ok := w.hub.Channel("user.a"); ok && i.Subscribers > 0 {
					t.Errorf("%d subscribers are left", i.Subscribers)
				}
			})
		}
	}
}

// TestPollEndsWithItsAuthorization: however long it would wait; the next one asks.
func TestPollEndsWithItsAuthorization(t *testing.T) {
	w, d := guarded(t, func(o *upgrade.Options) { o.Wait, o.MaxWait = time.Hour, time.Hour })
	d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 150 * time.Millisecond})
	c := w.hold(t, "longpoll", "channel=user.a", "Cookie: SID=a")
	w.waitHeld(t, 1)
	if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || !strings.Contains(body, `"messages":[]`) {
		t.Fatalf("answered %d %s", resp.StatusCode, body)
	}
	d.set("SID=a", auth.Result{Status: 401})
	c.asked = false
	c.over(401)
}

// TestAuthorizationIsRenewed: a hold that the app allows again and again goes on, heartbeats and all.
func TestAuthorizationIsRenewed(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w, d := guarded(t, func(o *upgrade.Options) {
				if !wires[kind].upgrades { // whose clients would want to send a pong
					o.Heartbeat = 150 * time.Millisecond
				}
			})
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 110 * time.Millisecond})
			c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
			w.waitHeld(t, 1)
			wiretest.Eventually(t, "it is asked again and again", func() bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				return d.asked >= 5
			})
			w.publish(t, "still", "user.a")
			c.expect("still")
			if c.beats == 0 && !wires[kind].upgrades {
				t.Error("no heartbeat came between the questions")
			}
			if w.held() != 1 {
				t.Errorf("%d are held", w.held())
			}
		})
	}
}

// TestRenewalDropsChannels: a channel that is not allowed any more is left, the others are not.
func TestRenewalDropsChannels(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w, d := guarded(t)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 120 * time.Millisecond})
			c := w.hold(t, kind, "channel=user.a&channel=user.b&channel=public.c", "Cookie: SID=a")
			w.waitHeld(t, 1)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Channels: []string{"user.b"}})
			wiretest.Eventually(t, "user.a is left", func() bool { i, _ := w.hub.Channel("user.a"); return i.Subscribers == 0 })
			w.publish(t, "secret", "user.a")
			w.publish(t, "b", "user.b")
			w.publish(t, "c", "public.c")
			if wires[kind].tellsChanges {
				if m := c.recv(); m.Type != "unsubscribed" {
					t.Errorf("told %+v; want unsubscribed", m)
				}
			}
			c.expect("b", "c")
		})
	}
}

// TestLogout: what is held with a session ends with it, before anything else is delivered, and nobody else's does.
func TestLogout(t *testing.T) {
	for name, end := range map[string]func(w *world, d *door){
		"the cookie is taken back": func(w *world, d *door) {
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("x=y; SID=a")}, nil), []byte("/any"), [][]byte{[]byte("other=1"), []byte("SID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/")})
		},
		"another takes its place": func(w *world, d *door) {
			d.set("SID=a", auth.Result{Status: 401})
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/any"), [][]byte{[]byte("SID=new; Path=/; HttpOnly")})
		},
		"after a path": func(w *world, d *door) {
			d.set("SID=a", auth.Result{Status: 401})
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/logout"), nil)
		},
		"the app says so": func(w *world, d *door) {
			if n := w.keeper.Disconnect(connection.Selection{User: "anna"}, 4401, "logged out"); n != 2 {
				panic(fmt.Sprint(n, " were disconnected"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				w, d := guarded(t)
				d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
				d.set("SID=b", auth.Result{Allowed: true, User: "bert"})
				first := w.hold(t, kind, "channel=user.x", "Cookie: SID=a")
				second := w.hold(t, kind, "channel=user.x&channel=public.y", "Cookie: SID=a")
				other := w.hold(t, kind, "channel=user.x", "Cookie: SID=b")
				open := w.hold(t, kind, "channel=public.y", "Cookie: SID=a") // that anybody may hold
				w.waitHeld(t, 4)
				end(w, d)
				status := 401
				if name == "the app says so" && wires[kind].asksAgain {
					status = 403
				}
				w.waitHeld(t, 2)
				w.publish(t, "after", "user.x")
				w.publish(t, "open", "public.y")
				first.over(status)
				second.over(status)
				other.expect("after")
				open.expect("open")
			})
		})
	}
}

// TestLogoutWhileAuthorizing: a yes that the app was asked for before the logout does not outlive it.
func TestLogoutWhileAuthorizing(t *testing.T) {
	for _, kind := range streams() { // a poll is not asked about while it waits
		t.Run(kind, func(t *testing.T) {
			asked, answer := make(chan bool, 10), make(chan auth.Result, 10)
			yes := auth.Result{Allowed: true, User: "anna", Expires: 50 * time.Millisecond}
			w, _ := guarded(t, func(o *upgrade.Options) {
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
					asked <- true
					return <-answer, nil
				})
			})
			t.Cleanup(func() { close(answer) }) // lets go of whoever asks still
			isAsked := func() {
				t.Helper()
				select {
				case <-asked:
				case <-time.After(wiretest.Timeout):
					t.Fatal("the app is not asked")
				}
			}
			answer <- yes
			c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
			isAsked()
			isAsked() // again, as the yes has expired: the app decides, and is slow to say so
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/logout"), nil)
			var posted sync.WaitGroup
			for _, l := range w.poller.Loops() { // the loops have seen to the logout
				posted.Add(1)
				l.Post(posted.Done)
			}
			posted.Wait()
			answer <- auth.Result{Allowed: true, User: "anna"} // of before, and for as long as it may be
			isAsked()
			answer <- auth.Result{Status: 401}
			c.over(401)
		})
	}
}

// TestCookieSetWhileAuthorizing: an app that sets its session cookie anew with every answer, also the one that it is
// asked for, is not asked for ever.
func TestCookieSetWhileAuthorizing(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var keeper atomic.Pointer[upgrade.Keeper]
			w, d := guarded(t, func(o *upgrade.Options) {
				o.OwnPaths = []string{"/authorize"}
				ask := o.Authorizer
				o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
					k := keeper.Load()
					k.OnResponse(k.Credentials([][]byte{[]byte(q.Cookie)}, nil), []byte("/authorize"), [][]byte{[]byte("SID=a; Path=/")})
					return ask.Authorize(q)
				})
			})
			keeper.Store(w.keeper)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 100 * time.Millisecond})
			c := w.hold(t, kind, "channel=user.a&channel=user.b", "Cookie: SID=a")
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Channels: []string{"user.b"}})
			wiretest.Eventually(t, "it was asked again", func() bool { i, _ := w.hub.Channel("user.a"); return i.Subscribers == 0 })
			for i := range 20 { // time enough to ask once more
				w.publish(t, fmt.Sprint(i), "user.b")
				for m := c.recv(); m.Data != fmt.Sprint(i); m = c.recv() {
					if m.Type != "unsubscribed" {
						t.Fatalf("told %+v", m)
					}
				}
			}
			if n := d.count(); n != 2 {
				t.Errorf("the app was asked %d times", n)
			}
		})
	}
}

// TestUntouchedSessions: answers that end no session end no hold.
func TestUntouchedSessions(t *testing.T) {
	w, d := guarded(t)
	d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
	c := w.hold(t, "websocket", "channel=user.x", "Cookie: SID=a")
	w.waitHeld(t, 1)
	credential := w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil)
	w.keeper.OnResponse(credential, []byte("/logout2"), [][]byte{[]byte("OTHER=deleted; Max-Age=0"), []byte("nonsense"), nil})
	w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=b")}, nil), []byte("/logout"), [][]byte{[]byte("SID=; Max-Age=0")})
	if n := func(cookie, target string) int {
		return len(w.keeper.Credentials([][]byte{[]byte(cookie)}, []byte(target)))
	}; n("XSID=a", "") != 0 || n("", "/a;sid=1") != 0 || n("", "/a;jsessionid=1?x") != 1 {
		t.Error("a credential where there is none, or none where there is one")
	}
	d.mu.Lock()
	asked := d.asked
	d.mu.Unlock()
	w.publish(t, "still", "user.x")
	c.expect("still")
	if asked != 1 {
		t.Errorf("the app was asked %d times", asked)
	}
}

// TestOwnChannels: a channel that is one user's is open to nobody else.
func TestOwnChannels(t *testing.T) {
	w, d := guarded(t, func(o *upgrade.Options) {
		o.Rules = rules(channel.Rule{Match: "user.{user}", Access: channel.Authorize})
	})
	d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
	d.set("SID=n", auth.Result{Allowed: true})
	c := w.hold(t, "sse", "channel=user.anna&channel=public.x", "Cookie: SID=a")
	w.waitHeld(t, 1)
	w.publish(t, "mine", "user.anna")
	c.expect("mine")
	for query, cookie := range map[string]string{"channel=user.bert": "SID=a", "channel=user.anna&channel=user.bert": "SID=a", "channel=user.anna": "SID=n", "channel=user.ANNA": "SID=a"} {
		x := wiretest.Dial(t, w.addr)
		x.Send(request("sse", "/_push?"+query, "Cookie: "+cookie))
		if resp, _ := x.Response(http.MethodGet); resp.StatusCode != 403 {
			t.Errorf("%s of %s: answered %d; want 403", query, cookie, resp.StatusCode)
		}
	}
}

// TestConnections lists what is held and disconnects some of it.
func TestConnections(t *testing.T) {
	w, d := guarded(t)
	d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
	d.set("SID=b", auth.Result{Allowed: true, User: "bert"})
	var clients []*client
	for _, kind := range kinds {
		clients = append(clients, w.hold(t, kind, "channel=user.x", "Cookie: SID=a"), w.hold(t, kind, "channel=user.x&channel=user.y", "Cookie: SID=b"), w.hold(t, kind, "channel=public.z"))
	}
	w.waitHeld(t, int64(len(clients)))
	all, total := w.keeper.List(connection.Selection{}, 100)
	if total != len(clients) || len(all) != total {
		t.Fatalf("%d of %d are listed; want %d", len(all), total, len(clients))
	}
	ids := map[string]bool{}
	for _, c := range all {
		ids[c.ID] = true
		one, n := w.keeper.List(connection.Selection{Connection: c.ID}, 1)
		if n != 1 || fmt.Sprint(one[0]) != fmt.Sprint(c) || !c.RemoteAddr.IsValid() {
			t.Errorf("%v is found as %v", c, one)
		}
	}
	if len(ids) != len(clients) {
		t.Errorf("%d ids for %d connections", len(ids), len(clients))
	}
	count := func(s connection.Selection, want int) {
		t.Helper()
		if list, n := w.keeper.List(s, 2); n != want || len(list) != min(n, 2) {
			t.Errorf("%+v: %d, %d of them listed; want %d", s, n, len(list), want)
		}
	}
	count(connection.Selection{User: "anna"}, len(kinds))
	count(connection.Selection{User: "anna", Channel: "user.y"}, 0)
	count(connection.Selection{User: "bert", Channel: "user.y"}, len(kinds))
	count(connection.Selection{Channel: "user.x"}, 2*len(kinds))
	count(connection.Selection{Channel: "public.z"}, len(kinds))
	for _, id := range []string{"", "x", "a-b", "-1-1", all[0].ID + "0", strings.ToUpper(all[0].ID[12:]), all[0].ID[:13] + "ffffffff-1", all[0].ID[:13] + "7fffffff-1"} {
		if id != "" {
			count(connection.Selection{Connection: id}, 0)
		}
	}
	i := slices.IndexFunc(all, func(c connection.Info) bool { return c.User == "anna" })
	if n := w.keeper.Disconnect(connection.Selection{Connection: all[i].ID, User: "bert"}, 4000, ""); n != 0 {
		t.Error("a connection of another user was disconnected")
	}
	if n := w.keeper.Disconnect(connection.Selection{Connection: all[i].ID}, 4000, "bye"); n != 1 {
		t.Errorf("%d were disconnected", n)
	}
	count(connection.Selection{User: "anna"}, len(kinds)-1)
	count(connection.Selection{Connection: all[i].ID}, 0)
	if n := w.keeper.Disconnect(connection.Selection{Channel: "user.y"}, 4000, "bye"); n != len(kinds) {
		t.Errorf("%d were disconnected", n)
	}
	w.waitHeld(t, int64(len(clients)-len(kinds)-1))
}

// TestLogoutBySetCookie: Set-Cookie of a response in, what becomes of a hold and whether the app is asked again out.
func TestLogoutBySetCookie(t *testing.T) {
	for _, tt := range []struct {
		name, cookie string // the client's, when it is held
		request      string // the cookie of the request that is answered
		set          []string
		held         bool
		asked        int // times, with the one at the start
	}{
		{"cleared", "SID=a", "SID=a", []string{"SID=; Max-Age=0"}, false, 1},
		{"cleared and set anew", "SID=a", "SID=a", []string{"SID=; Max-Age=0", "SID=b"}, true, 2},
		{"set anew and cleared elsewhere", "SID=a", "SID=a", []string{"SID=b; Path=/", "SID=deleted; Path=/old"}, true, 2},
		{"cleared on two paths", "SID=a", "SID=a", []string{"SID=; Max-Age=0; Path=/", "SID=; Max-Age=0; Path=/old"}, false, 1},
		{"another is set", "SID=a", "SID=a", []string{"SID=; Max-Age=0", "lang=de"}, false, 1},
		{"another is cleared", "SID=a", "SID=a", []string{"lang=; Max-Age=0"}, true, 1},
		{"name with a hash", "wp_in_0f=a", "wp_in_0f=a", []string{"wp_in_0f=%20; expires=Thu, 01 Jan 1970 00:00:00 GMT"}, false, 1},
		{"name with another hash", "wp_in_0f=a", "wp_in_0f=a", []string{"wp_in=; Max-Age=0", "xwp_in_0f=; Max-Age=0"}, true, 1},
		{"stale one first", "SID=old; SID=a", "SID=a", []string{"SID=; Max-Age=0"}, false, 1},
		{"stale one last", "SID=a; SID=old", "SID=a", []string{"SID=; Max-Age=0"}, false, 1},
		{"stale one on the other request", "SID=a", "SID=old; SID=a", []string{"lang=; Max-Age=0"}, true, 1},
		{"the second of two on the other request", "SID=a", "SID=old; SID=a", []string{"SID=; Max-Age=0"}, false, 1},
		{"behind a name that was set anew", "SID=old; wp_in_1=x", "SID=new; wp_in_1=x", []string{"wp_in_1=; Max-Age=0"}, false, 1},
		{"two names", "wp_in_1=x; SID=a", "wp_in_1=x", []string{"wp_in_1=; Max-Age=0"}, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				w, d := guarded(t, func(o *upgrade.Options) { o.LogoutCookies = []string{"SID", "wp_in_*"} })
				d.set(tt.cookie, auth.Result{Allowed: true, User: "anna"})
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.x", "Cookie: "+tt.cookie))
				w.waitHeld(t, 1)
				w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte(tt.request)}, nil), []byte("/x"), func() (list [][]byte) {
					for _, line := range tt.set {
						list = append(list, []byte(line))
					}
					return list
				}())
				wiretest.Eventually(t, "the logout is seen, or the app is asked again", func() bool {
					// A logout while the hold begins has the app asked again beside it.
					return (w.held() == 1) == tt.held && (d.count() == tt.asked || !tt.held)
				})
			})
		})
	}
}

// TestAuthorizationExpiresOfASlowReader: the app is asked again also while a client is slow to take what it was sent, and
// that is no reason to close it as one that does not read.
func TestAuthorizationExpiresOfASlowReader(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w, d := guarded(t)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 20 * time.Millisecond})
			w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
			w.waitHeld(t, 1)
			w.publish(t, strings.Repeat("x", wiretest.KernelTakes), "user.a")
			wiretest.Eventually(t, "it waits", func() bool { return w.keeper.Stats().SendQueue > 0 })
			before := d.count()
			wiretest.Eventually(t, "the app is asked again", func() bool {
				if s := w.keeper.Stats(); s.Dropped["slow"] > 0 {
					t.Fatal("the client is closed as too slow")
				}
				return d.count() > before+2
			})
			d.set("SID=a", auth.Result{Status: 403})
			w.waitHeld(t, 0)
			if s := w.keeper.Stats(); s.Dropped["refused"] != 1 || s.Dropped["slow"] != 0 {
				t.Errorf("closed because of %v; want refused", s.Dropped)
			}
		})
	}
}

// TestAuthorizationIsNotRenewed: a connection whose authorization has expired does not continue for as long as the app is
// too slow to renew it, or as others keep it from being asked.
func TestAuthorizationIsNotRenewed(t *testing.T) {
	for _, kind := range streams() {
		t.Run("slow/"+kind, func(t *testing.T) {
			t.Parallel()
			w, d := guarded(t, func(o *upgrade.Options) { o.RenewalLimit = time.Millisecond })
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 20 * time.Millisecond})
			c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
			w.waitHeld(t, 1)
			d.mu.Lock() // the app is asked, and does not answer
			defer d.mu.Unlock()
			c.over(503)
			w.waitHeld(t, 0)
		})
		t.Run("full/"+kind, func(t *testing.T) {
			t.Parallel()
			w, d := guarded(t)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 300 * time.Millisecond})
			c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
			w.waitHeld(t, 1)
			endc := make(chan struct{})
			defer close(endc)
			w.keeper.BlockAuthorize(endc)
			c.over(503)
			w.waitHeld(t, 0)
		})
	}
}
