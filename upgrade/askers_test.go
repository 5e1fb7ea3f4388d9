package upgrade_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestSlowAuthorizeDelaysOnlyItsOwn: while the app is silent about more clients than there are workers of any kind, the
// rest of Holdfast goes on; then all of them are held.
func TestSlowAuthorizeDelaysOnlyItsOwn(t *testing.T) {
	const clients = 150
	for _, kind := range []string{"websocket", "sse", "longpoll"} {
		t.Run(kind, func(t *testing.T) {
			answer := make(chan struct{})
			w := start(t, func(o *upgrade.Options) {
				o.Asking = 100
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
					<-answer
					return auth.Result{Allowed: true}, nil
				})
			})
			release := sync.OnceFunc(func() { close(answer) })
			defer release()
			for range clients {
				wiretest.Dial(t, w.addr).Send(request(kind, "/_push?channel=public.a&channel=user.a"))
			}
			wiretest.Eventually(t, "50 requests wait", func() bool { return w.keeper.Stats().AuthorizeQueued == 50 })
			w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 1)
			c := wiretest.Dial(t, w.addr)
			c.Send(request("longpoll", "/_push/client.js"))
			if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 200 {
				t.Errorf("client.js responded %d", resp.StatusCode)
			}
			release()
			w.waitHeld(t, clients+1)
		})
	}
}

// TestAuthorizeQueueOrder: requests are put to the app in the order in which they came.
func TestAuthorizeQueueOrder(t *testing.T) {
	var mu sync.Mutex
	var asked, want []string
	answer := make(chan struct{})
	w := start(t, func(o *upgrade.Options) {
		o.Asking = 1
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			mu.Lock()
			asked = append(asked, q.Channels...)
			mu.Unlock()
			<-answer
			return auth.Result{Allowed: true}, nil
		})
	})
	for i := range 20 {
		name := fmt.Sprintf("user.%d", i)
		want = append(want, name)
		wiretest.Dial(t, w.addr).Send(request("sse", "/_push?channel="+name))
		wiretest.Eventually(t, "the request waits", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(asked) == 1 && w.keeper.Stats().AuthorizeQueued == int64(i)
		})
	}
	close(answer)
	w.waitHeld(t, 20)
	if !slices.Equal(asked, want) {
		t.Errorf("asked about %v; want %v", asked, want)
	}
}
