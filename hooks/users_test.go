package hooks

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/channel"
	"holdfast/internal/presence"
)

func TestUsersOfAChannel(t *testing.T) {
	room := func(name string) bool { return strings.HasPrefix(name, "room") }
	tracker := presence.New(presence.Options{Present: room})
	a := start(t, "tcp", Options{Presence: tracker, Live: Live{Channels: rules(
		channel.Rule{Match: "room/1", Presence: channel.PresenceUsers}, channel.Rule{Match: "room2", Presence: channel.PresenceMessages},
	)}})
	var one listener
	a.hub.Lane(0).Join(&one, []string{"room/1", "news"}, 0, false)
	for _, user := range []string{"bob", "<ann>", "bob", "cy"} {
		tracker.Begin(user, []string{"room/1", "news"})
	}
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/channels/room%2F1/users", 200, `{"users":[{"user":"<ann>","connections":1},{"user":"bob","connections":2},{"user":"cy","connections":1}],"total":3}`},
		{"/channels/room%2F1/users?limit=1", 200, `{"users":[{"user":"<ann>","connections":1}],"total":3}`},
		{"/channels/room2/users", 200, `{"users":[],"total":0}`},
		{"/channels/room%2F1", 200, `{"name":"room/1","subscribers":1,"users":3,"messages":0}`},
		{"/channels/news", 200, `{"name":"news","subscribers":1,"messages":0}`},
		{"/channels/news/users", 400, `{"error":"presence is off for this channel: \"news\"; set presence in its rule under channels"}`},
		{"/channels/room%2F1/users?limit=0", 400, `{"error":"bad query: limit [\"0\"]; want one number from 1 to 10000"}`},
		{"/channels/room%2F1/users?match=a", 400, `{"error":"bad query: parameter \"match\"; want limit"}`},
		{"/channels/ro%20om/users", 400, `{"error":"channel \"ro om\": bad channel name: ' ' at byte 3; want letters, digits and any of ._-:@/=+~"}`},
		{"/channels//users", 404, `{"error":"no such path: \"/channels//users\""}`},
		{"/channels/room/1/users", 404, `{"error":"no such path: \"/channels/room/1/users\""}`},
	} {
		r := a.raw(request("GET "+c.path, "", ""))
		if got := strings.TrimSpace(r.body); r.status != c.status || got != c.body {
			t.Errorf("%s: %d %s\nwant %s", c.path, r.status, got, fmt.Sprint(c.status, " ", c.body))
		}
	}
	if r := a.raw(request("POST /channels/room/users", "", "{}")); r.status != 405 {
		t.Errorf("POST: %d", r.status)
	}
}
