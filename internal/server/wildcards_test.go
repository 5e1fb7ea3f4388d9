package server

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestWildcards: patterns of the rule that allows them, with the app's login, from the URL to what the API listener tells.
// They occupy nothing, and nobody is there by them.
func TestWildcards(t *testing.T) {
	a := newToldApp(t)
	s, _ := serveTold(t, a, `
events: {url: /push/events, key: `+eventsKey+`, types: [occupied, vacated], grace: 200ms, delay: 1ms}
channels:
- {match: "orders.**", access: authorize, wildcards: true, occupancy_events: true, presence: api, history: {messages: 1}}
- {match: "user.{user}.**", access: authorize, wildcards: true}
- {match: "public.**", access: public}
`)
	call := func(target, body string) string {
		t.Helper()
		method := "POST"
		if body == "" {
			method = "GET"
		}
		c := wiretest.Dial(t, s.HooksAddr().String())
		c.Send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			method, target, len(body), body))
		resp, text := c.Response(method)
		return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(text))
	}
	want := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s; want %s", got, want)
		}
	}
	ann := hold(t, s, "ann", "orders.**", "user.ann.*")
	want(call("/publish", `{"channel":"orders.42.items","data":"for ann"}`), `"subscribers":1`)
	ann.until(`"channel":"orders.42.items"`)
	for query, status := range map[string]string{"channel=public.*": "403", "channel=user.bob.*": "403", "channel=user.*.a": "400", "channel=user.*": "403", "channel=**": "403"} {
		c := wiretest.Dial(t, s.Addr().String())
		c.Send("GET /_push?" + query + " HTTP/1.1\r\nHost: x\r\nCookie: user=ann\r\n\r\n")
		if resp, body := c.Response("GET"); fmt.Sprint(resp.StatusCode) != status {
			t.Errorf("%s: %d %s; want %s", query, resp.StatusCode, body, status)
		}
	}
	bob := hold(t, s, "bob", "user.bob.a")
	want(call("/subscribe", `{"user":"bob","channel":["orders.*","user.ann.*"]}`), `"subscribed":0,"refused":[{"error":"this channel is another user's"`)
	want(call("/subscribe", `{"user":"bob","channel":"public.*"}`), "400 ")
	want(call("/subscribe", `{"user":"bob","channel":"orders.*"}`), `200 {"subscribed":1}`)
	want(call("/publish", `{"channel":["orders.1","orders.1.a"],"data":"for both, once"}`), `"subscribers":2`)
	ann.until(`"for both, once"`)
	bob.until(`"channel":"orders.1"`)
	want(call("/publish", `{"channel":"orders.*","data":"x"}`), "400 ")
	want(call("/channels?match=orders.**", ""), `{"name":"orders.*","subscribers":1,"messages":0},{"name":"orders.**","subscribers":1,"messages":0}`)
	want(call("/channels/orders.1", ""), `"users":0`)
	want(call("/connections?channel=orders.7", ""), `"total":2`)
	want(call("/connections?user=bob", ""), `"channels":["orders.*","user.bob.a"]`)
	want(call("/unsubscribe", `{"user":"bob","channel":"orders.1"}`), `"unsubscribed":0,"refused":[{"error":"the subscription to the pattern orders.* has this channel`)
	want(call("/unsubscribe", `{"user":"bob","channel":"orders.*"}`), `200 {"unsubscribed":1}`)
	want(call("/disconnect", `{"channel":"orders.7"}`), `200 {"disconnected":1}`)
	bob.Close()
	hold(t, s, "ann", "orders.2").Close()
	wantTold(t, a.await(3), "start, occupied orders.2, vacated orders.2")
}
