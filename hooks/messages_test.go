package hooks

import (
	"strings"
	"testing"

	"holdfast/internal/hub"
)

func TestMessagesOfAChannel(t *testing.T) {
	h := hub.New(hub.Options{Rule: func(string) (hub.History, bool) { return hub.History{Messages: 3}, true }})
	a := start(t, "tcp", Options{Hub: h})
	var ids []string
	for _, d := range []hub.Draft{
		{Data: []byte("gone")},
		{Data: []byte("gone too")},
		{Data: []byte(`<a "text">`), Event: "moved"},
		{Data: []byte(`{"n":1}`), JSON: true},
		{Data: []byte("\xff\xfe")},
	} {
		d.Channels = []string{"room/1"}
		r, err := h.Publish([]hub.Draft{d})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r[0].ID.String())
	}
	text := `{"id":"` + ids[2] + `","event":"moved","data":"<a \"text\">"}`
	object := `{"id":"` + ids[3] + `","data":{"n":1}}`
	binary := `{"id":"` + ids[4] + `","data":"//4=","encoding":"base64"}`
	next := `"next":"` + ids[4] + `"`
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/channels/room%2F1/messages", 200, `{"messages":[` + text + "," + object + "," + binary + `],` + next + `}`},
		{"/channels/room%2F1/messages?limit=2", 200, `{"messages":[` + text + "," + object + `],"next":"` + ids[3] + `","more":true}`},
		{"/channels/room%2F1/messages?limit=2&after=" + ids[3], 200, `{"messages":[` + binary + `],` + next + `}`},
		{"/channels/room%2F1/messages?limit=1&after=" + ids[0], 200, `{"messages":[` + text + `],"next":"` + ids[2] + `","more":true,"gap":true}`},
		{"/channels/room%2F1/messages?after=" + ids[4], 200, `{"messages":[],` + next + `}`},
		{"/channels/other/messages", 200, `{"messages":[],` + next + `}`},
		{"/channels/other/messages?after=0000000000001", 200, `{"messages":[],` + next + `,"gap":true}`},
		{"/channels/unruled.x.y/messages", 400, `{"error":"no rule for this channel: \"unruled.x.y\"; add one that matches to channels"}`},
		{"/channels/a/messages?after=7", 400, `{"error":"bad query: after \"7\" is not the id of a message"}`},
		{"/channels/a/messages?after=" + ids[0] + "&after=" + ids[1], 400, `{"error":"bad query: after is given 2 times"}`},
		{"/channels/a/messages?limit=0", 400, `{"error":"bad query: limit [\"0\"]; want one number from 1 to 10000"}`},
		{"/channels/a/messages?since=1", 400, `{"error":"bad query: parameter \"since\"; want after or limit"}`},
		{"/channels//messages", 404, `{"error":"no such path: \"/channels//messages\""}`},
		{"/channels/a/messages/", 404, `{"error":"no such path: \"/channels/a/messages/\""}`},
		{"/channels/a/", 404, `{"error":"no such path: \"/channels/a/\""}`},
	} {
		r := a.raw(request("GET "+c.path, "", ""))
		if got := strings.TrimSpace(r.body); r.status != c.status || got != c.body {
			t.Errorf("%s: %d %s\nwant %d %s", c.path, r.status, got, c.status, c.body)
		}
	}
	if r := a.raw(request("POST /channels/a/messages", "", "{}")); r.status != 405 {
		t.Errorf("POST: %d", r.status)
	}
}

// Messages that are large come in several answers.
func TestLargeMessagesOfAChannel(t *testing.T) {
	a := start(t, "tcp", Options{})
	for range 3 {
		if _, err := a.hub.Publish([]hub.Draft{{Channels: []string{"a"}, Data: make([]byte, maxPage/2)}}); err != nil {
			t.Fatal(err)
		}
	}
	r := a.raw(request("GET /channels/a/messages", "", ""))
	if n := strings.Count(r.body, `"id"`); n != 2 || !strings.Contains(r.body, `"more":true`) {
		t.Errorf("%d messages in an answer of %d bytes", n, len(r.body))
	}
}
