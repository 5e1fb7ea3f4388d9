package hooks

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/channel"
	"holdfast/internal/connection"
)

// keeper has three connections.
type keeper struct{ ended, changed []string }

var connected = []connection.Info{
	{ID: "a-1", User: "anna", Transport: "sse", Channels: []string{"user.x"}, RemoteAddr: netip.MustParseAddrPort("127.0.0.1:1")},
	{ID: "a-2", User: "bert", Transport: "websocket", Channels: []string{"user.x", "user.y"}},
	{ID: "a-3", Transport: "longpoll", Channels: []string{"public.z"}},
}

func (k *keeper) List(s connection.Selection, limit int) (list []connection.Info, total int) {
	for _, c := range connected {
		if (s.Connection == "" || s.Connection == c.ID) && (s.User == "" || s.User == c.User) &&
			(s.Channel == "" || strings.Contains(fmt.Sprint(c.Channels), s.Channel)) {
			if total++; len(list) < limit {
				list = append(list, c)
			}
		}
	}
	return list, total
}

func (k *keeper) Disconnect(s connection.Selection, code int, reason string) int {
	list, n := k.List(s, 10)
	for _, c := range list {
		k.ended = append(k.ended, fmt.Sprint(c.ID, " ", code, " ", reason))
	}
	return n
}

func (k *keeper) Change(s connection.Selection, join, leave []string) (n int, refused map[string]int) {
	list, _ := k.List(s, 10)
	refused = make(map[string]int)
	for _, c := range list {
		if c.Transport == "longpoll" {
			refused["a poll"]++
			continue
		}
		n++
		k.changed = append(k.changed, fmt.Sprint(c.ID, " +", join, " -", leave))
	}
	return n, refused
}

func TestConnections(t *testing.T) {
	k := new(keeper)
	a := start(t, "tcp", Options{Connections: k, Live: Live{Channels: rules(channel.Rule{Match: "a.*", Wildcards: true})}})
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/connections", "", 200, `"total":3`},
		{"GET", "/connections?user=anna", "", 200, `{"connections":[{"id":"a-1","user":"anna","transport":"sse","channels":["user.x"],"remote_addr":"127.0.0.1:1"}],"total":1}`},
		{"GET", "/connections?channel=user.x&limit=1", "", 200, `"total":2`},
		{"GET", "/connections?user=nobody", "", 200, `{"connections":[],"total":0}`},
		{"GET", "/connections?user=", "", 400, "want one user"},
		{"GET", "/connections?who=x", "", 400, "parameter"},
		{"GET", "/connections/a-2", "", 200, `"id":"a-2"`},
		{"GET", "/connections/a-9", "", 404, `connection not found`},
		{"POST", "/connections", "{}", 405, "GET"},
		{"GET", "/disconnect", "", 405, "POST"},
		{"POST", "/disconnect", `{}`, 400, "no target"},
		{"POST", "/disconnect", `[{"user":"anna"}]`, 400, "one object"},
		{"POST", "/disconnect", `{"user":"anna","code":1006}`, 400, "3000 to 4999"},
		{"POST", "/disconnect", `{"user":"anna","reason":"` + strings.Repeat("x", 124) + `"}`, 400, "123 bytes"},
		{"POST", "/disconnect", `{"usr":"anna"}`, 400, "unknown key"},
		{"POST", "/disconnect", `{"user":"","channel":"user.x"}`, 400, "offset 8: bad target: user is empty"},
		{"POST", "/disconnect", `{"connection":"","channel":"user.x"}`, 400, "connection is empty"},
		{"POST", "/disconnect", `{"user":"anna","channel":""}`, 400, "it is empty"},
		{"POST", "/disconnect", `{"user":"a\ud800"}`, 400, "half of a character"},
		{"POST", "/disconnect", `{"user":"anna","code":null}`, 400, "3000 to 4999"},
		{"POST", "/disconnect", `{"user":"anna","channel":"user.y"}`, 200, `{"disconnected":0}`},
		{"POST", "/disconnect", `{"user":"anna"}`, 200, `{"disconnected":1}`},
		{"POST", "/disconnect", `{"channel":"user.x","code":4000,"reason":"bye"}`, 200, `{"disconnected":2}`},
		{"POST", "/disconnect", `{"user":1}`, 400, "wrong type of value"},
		{"GET", "/subscribe", "", 405, "POST"},
		{"GET", "/unsubscribe", "", 405, "POST"},
		{"POST", "/subscribe?user=anna", `{"user":"anna","channel":"a"}`, 400, "none is known here"},
		{"POST", "/subscribe", `{"channel":"a"}`, 400, "user or connection"},
		{"POST", "/subscribe", `{"user":"","connection":"a-1","channel":"a"}`, 400, "user is empty"},
		{"POST", "/unsubscribe", `{"user":"anna","connection":"","channel":"a"}`, 400, "connection is empty"},
		{"POST", "/subscribe", `{"user":"anna"}`, 400, "want a name"},
		{"POST", "/subscribe", `{"user":"anna","channel":[]}`, 400, "want a name"},
		{"POST", "/subscribe", `{"user":"anna","channel":7}`, 400, "wrong type of value"},
		{"POST", "/subscribe", `{"user":"anna","channel":["a","b c"]}`, 400, "bad channel"},
		{"POST", "/subscribe", `{"user":"anna","channel":["a","unruled.x.y"]}`, 400, "no rule"},
		{"POST", "/unsubscribe", `{"user":"anna","channels":"a"}`, 400, "unknown key"},
		{"POST", "/unsubscribe", `[{"user":"anna","channel":"a"}]`, 400, "one object"},
		{"POST", "/subscribe", `{"user":"anna","channel":"a"}`, 200, `{"subscribed":1}`},
		{"POST", "/subscribe", `{"connection":"a-3","channel":"a"}`, 200, `{"subscribed":0,"refused":[{"error":"a poll","connections":1}]}`},
		{"POST", "/subscribe", `{"user":"nobody","channel":"a"}`, 200, `{"subscribed":0}`},
		{"POST", "/subscribe", `{"user":"bert","channel":"a.*"}`, 200, `{"subscribed":1}`},
		{"POST", "/subscribe", `{"user":"bert","channel":"b.*"}`, 400, "a pattern needs one with wildcards"},
		{"POST", "/disconnect", `{"user":"nobody","channel":"a.*"}`, 200, `{"disconnected":0}`},
		{"POST", "/unsubscribe", `{"user":"bert","connection":"a-2","channel":["user.x","b"]}`, 200, `{"unsubscribed":1}`},
	} {
		r := a.raw(request(tt.method+" "+tt.target, "", tt.body))
		if r.status != tt.status || !strings.Contains(r.body, tt.want) {
			t.Errorf("%s %s %.60s: %d %s; want %d %s", tt.method, tt.target, tt.body, r.status, r.body, tt.status, tt.want)
		}
	}
	if got := strings.Join(k.ended, ", "); got != "a-1 4403 disconnected, a-1 4000 bye, a-2 4000 bye" {
		t.Errorf("disconnected %s", got)
	}
	if got := strings.Join(k.changed, ", "); got != "a-1 +[a] -[], a-2 +[a.*] -[], a-2 +[] -[user.x b]" {
		t.Errorf("changed %s", got)
	}
}
