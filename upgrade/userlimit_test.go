package upgrade_test

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestMaxPerUser: of one user's connections the oldest goes when there is one too many, so that who has lost one is not
// locked out; but only one in a while, and what comes then is refused until one has ended. Others are not touched.
func TestMaxPerUser(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, func(o *upgrade.Options) { o.MaxPerUser = 2 })
		d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
		d.set("SID=b", auth.Result{Allowed: true, User: "bert"})
		other := w.hold(t, kind, "channel=user.x", "Cookie: SID=b")
		w.waitHeld(t, 1)
		var anna []*client
		for i := range 2 {
			anna = append(anna, w.hold(t, kind, "channel=user.x", "Cookie: SID=a"))
			w.waitHeld(t, int64(2+i))
		}
		anna = append(anna, w.hold(t, kind, "channel=user.x", "Cookie: SID=a"))
		anna[0].over(429)
		w.waitHeld(t, 3)
		if wires[kind].asksAgain { // it is the same for every poll: the connection goes on, the hold was refused
			anna[0].poll()
			if resp, _ := anna[0].Response(http.MethodGet); resp.StatusCode != 429 {
				t.Errorf("the next poll was answered %d", resp.StatusCode)
			}
		}
		refused := w.keeper.Stats().Rejected["user_limit"]
		c := wiretest.Dial(t, w.addr)
		c.Send(request(kind, "/_push?channel=user.x", "Cookie: SID=a"))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "10" || !strings.Contains(body, `{"error":"too many connections of this user`) {
			t.Errorf("answered %d %v %s", resp.StatusCode, resp.Header, body)
		}
		if s := w.keeper.Stats(); s.Rejected["user_limit"] != refused+1 || s.Dropped["user_limit"] != 1 {
			t.Errorf("counted %d refused and %d closed", s.Rejected["user_limit"]-refused, s.Dropped["user_limit"])
		}
		w.hold(t, kind, "channel=public.y", "Cookie: SID=a") // of nobody: the app is not asked
		w.waitHeld(t, 4)
		anna[1].Conn.Close()
		w.waitHeld(t, 3)
		last := w.hold(t, kind, "channel=user.x", "Cookie: SID=a")
		w.waitHeld(t, 4)
		w.publish(t, "to all", "user.x")
		for _, c := range []*client{other, anna[2], last} {
			c.expect("to all")
		}
	})
}
