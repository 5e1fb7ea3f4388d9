package hooks

import (
	"fmt"
	"strings"
	"testing"
)

// keeper has three connections.
type keeper struct{ ended []string }

var connected = []Connection{
	{ID: "a-1", User: "anna", Kind: "sse", Channels: []string{"user.x"}, Peer: "127.0.0.1:1"},
	{ID: "a-2", User: "bert", Kind: "websocket", Channels: []string{"user.x", "user.y"}},
	{ID: "a-3", Kind: "longpoll", Channels: []string{"public.z"}},
}

func (k *keeper) List(s Selection, limit int) (list []Connection, total int) {
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

func (k *keeper) Disconnect(s Selection, code int, reason string) int {
	list, n := k.List(s, 10)
	for _, c := range list {
		k.ended = append(k.ended, fmt.Sprint(c.ID, " ", code, " ", reason))
	}
	return n
}

func TestConnections(t *testing.T) {
	k := new(keeper)
	a := start(t, "tcp", Options{Connections: k})
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/connections", "", 200, `"total":3`},
		{"GET", "/connections?user=anna", "", 200, `{"connections":[{"id":"a-1","user":"anna","kind":"sse","channels":["user.x"],"peer":"127.0.0.1:1"}],"total":1}`},
		{"GET", "/connections?channel=user.x&limit=1", "", 200, `"total":2`},
		{"GET", "/connections?user=nobody", "", 200, `{"connections":[],"total":0}`},
		{"GET", "/connections?user=", "", 400, "want one user"},
		{"GET", "/connections?who=x", "", 400, "parameter"},
		{"GET", "/connections/a-2", "", 200, `"id":"a-2"`},
		{"GET", "/connections/a-9", "", 404, "no such connection"},
		{"POST", "/connections", "{}", 405, "GET"},
		{"GET", "/disconnect", "", 405, "POST"},
		{"POST", "/disconnect", `{}`, 400, "say which"},
		{"POST", "/disconnect", `[{"user":"anna"}]`, 400, "one object"},
		{"POST", "/disconnect", `{"user":"anna","code":1006}`, 400, "3000 to 4999"},
		{"POST", "/disconnect", `{"user":"anna","reason":"` + strings.Repeat("x", 124) + `"}`, 400, "123 bytes"},
		{"POST", "/disconnect", `{"usr":"anna"}`, 400, "unknown key"},
		{"POST", "/disconnect", `{"user":"anna","channel":"user.y"}`, 200, `{"disconnected":0}`},
		{"POST", "/disconnect", `{"user":"anna"}`, 200, `{"disconnected":1}`},
		{"POST", "/disconnect", `{"channel":"user.x","code":4000,"reason":"bye"}`, 200, `{"disconnected":2}`},
	} {
		r := a.raw(request(tt.method+" "+tt.target, "", tt.body))
		if r.status != tt.status || !strings.Contains(r.body, tt.want) {
			t.Errorf("%s %s %.60s: %d %s; want %d %s", tt.method, tt.target, tt.body, r.status, r.body, tt.status, tt.want)
		}
	}
	if got := strings.Join(k.ended, ", "); got != "a-1 4403 disconnected, a-1 4000 bye, a-2 4000 bye" {
		t.Errorf("disconnected %s", got)
	}
}
