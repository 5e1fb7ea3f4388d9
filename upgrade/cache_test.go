package upgrade_test

import (
	"net/http"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

func cached(o *upgrade.Options) { o.AuthorizeCache = time.Hour }

// TestAuthorizeCache: a second request with the same login is not asked about again, and after a logout it is at once.
func TestAuthorizeCache(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"the cookie is taken back": func(w *world) {
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/"), [][]byte{[]byte("SID=; Max-Age=0")})
		},
		"another takes its place": func(w *world) {
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/"), [][]byte{[]byte("SID=new")})
		},
		"after a path": func(w *world) {
			w.keeper.OnResponse(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil), []byte("/logout"), nil)
		},
		"the app disconnects the user":    func(w *world) { w.keeper.Disconnect(connection.Selection{User: "anna"}, 4401, "") },
		"the app disconnects the channel": func(w *world) { w.keeper.Disconnect(connection.Selection{Channel: "user.x"}, 4401, "") },
		"the app takes the user out of a channel": func(w *world) {
			w.keeper.Change(connection.Selection{User: "anna"}, nil, []string{"user.y"})
		},
		"the app disconnects one": func(w *world) {
			list, _ := w.keeper.List(connection.Selection{User: "anna"}, 1)
			w.keeper.Disconnect(connection.Selection{Connection: list[0].ID}, 4401, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				w, d := guarded(t, cached)
				d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
				w.hold(t, kind, "channel=user.x&channel=user.y", "Cookie: SID=a")
				w.waitHeld(t, 1)
				w.hold(t, kind, "channel=user.y&channel=user.x&channel=public.z", "Cookie: SID=a")
				w.waitHeld(t, 2)
				if s := w.keeper.Stats(); d.count() != 1 || s.CacheHits != 1 || s.CacheMisses != 1 {
					t.Fatalf("the app was asked %d times; %+v", d.count(), s)
				}
				d.set("SID=a", auth.Result{Status: 401})
				end(w)
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.x&channel=user.y", "Cookie: SID=a"))
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 401 {
					t.Errorf("answered %d %s; want 401", resp.StatusCode, body)
				}
			})
		})
	}
}

// TestAuthorizeCacheOfPattern: what the app has said of a pattern is evicted with any channel that it matches.
func TestAuthorizeCacheOfPattern(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, cached)
		d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
		for i := range 2 {
			w.hold(t, kind, "channel=user.x.**", "Cookie: SID=a")
			w.waitHeld(t, int64(i+1))
		}
		w.keeper.Disconnect(connection.Selection{Channel: "user.y"}, 4401, "")
		w.waitHeld(t, 2)
		if n := w.keeper.Disconnect(connection.Selection{Channel: "user.x.1"}, 4401, ""); n != 2 {
			t.Errorf("%d were disconnected", n)
		}
		w.waitHeld(t, 0)
		asked := d.count()
		w.hold(t, kind, "channel=user.x.**", "Cookie: SID=a")
		w.waitHeld(t, 1)
		if asked != 1 || d.count() != 2 {
			t.Errorf("the app was asked %d times, and %d after that", asked, d.count()-asked)
		}
	})
}

// TestRenewalIsNotCached: a hold whose authorization has expired is not renewed from the cache, and a denial evicts the
// entry.
func TestRenewalIsNotCached(t *testing.T) {
	w, d := guarded(t, cached)
	d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
	other := w.hold(t, "sse", "channel=user.x", "Cookie: SID=a")
	w.waitHeld(t, 1)
	d.set("SID=a", auth.Result{Allowed: true, User: "anna", Expires: 100 * time.Millisecond})
	c := w.hold(t, "websocket", "channel=user.y", "Cookie: SID=a")
	wiretest.Eventually(t, "it was asked again", func() bool { return d.count() >= 4 })
	d.set("SID=a", auth.Result{Status: 401})
	c.over(401)
	again := wiretest.Dial(t, w.addr)
	again.Send(request("sse", "/_push?channel=user.x", "Cookie: SID=a"))
	if resp, body := again.Response(http.MethodGet); resp.StatusCode != 401 {
		t.Errorf("answered %d %s; want 401", resp.StatusCode, body)
	}
	w.publish(t, "still", "user.x") // it has no end of its own
	other.expect("still")
}

// TestLogoutWhileDeciding: a session that ends between the app's yes and the hold is asked about again, with what is
// remembered and without.
func TestLogoutWhileDeciding(t *testing.T) {
	for name, change := range map[string]func(*upgrade.Options){"remembered": cached, "not": func(*upgrade.Options) {}} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				asked, answer := make(chan int), make(chan auth.Result)
				n := 0
				w, _ := guarded(t, change, func(o *upgrade.Options) {
					o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
						n++
						asked <- n
						return <-answer, nil
					})
				})
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, "/_push?channel=user.x", "Cookie: SID=a"))
				<-asked
				w.keeper.LogOut(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
				answer <- auth.Result{Allowed: true, User: "anna"}
				if again := <-asked; again != 2 {
					t.Errorf("asked %d times", again)
				}
				answer <- auth.Result{Status: 401}
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 401 {
					t.Errorf("answered %d %s; want 401", resp.StatusCode, body)
				}
			})
		})
	}
}

// TestSharedAuthorizeAfterClientGone: who waits for the same answer gets it, also if the client for whom the app was
// asked has left.
func TestSharedAuthorizeAfterClientGone(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		asked, answer := make(chan bool, 9), make(chan auth.Result)
		w, _ := guarded(t, cached, func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
				asked <- true
				return <-answer, nil
			})
		})
		first, second := wiretest.Dial(t, w.addr), wiretest.Dial(t, w.addr)
		head := request(kind, "/_push?channel=user.x", "Cookie: SID=a")
		first.Send(head)
		<-asked
		second.Send(head)
		wiretest.Eventually(t, "the second waits", func() bool { return w.keeper.Stats().CacheHits == 1 })
		first.Close()
		answer <- auth.Result{Allowed: true, User: "anna"}
		wiretest.Eventually(t, "the second is held", func() bool {
			list, n := w.keeper.List(connection.Selection{User: "anna"}, 9)
			return n == 1 && list[0].RemoteAddr.String() == second.LocalAddr().String()
		})
		if len(asked) > 0 {
			t.Error("the app was asked twice")
		}
	})
}
