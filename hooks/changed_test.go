package hooks

import (
	"slices"
	"strings"
	"testing"
)

// dropped records what is dropped of a cache that has one response of everything.
type dropped struct{ list []string }

func (d *dropped) add(what, origin, name string) int {
	d.list = append(d.list, strings.TrimSpace(what+" "+origin)+" "+name)
	return 1
}
func (d *dropped) InvalidateURL(origin, target string) int    { return d.add("url", origin, target) }
func (d *dropped) InvalidatePrefix(origin, prefix string) int { return d.add("prefix", origin, prefix) }
func (d *dropped) InvalidateGroup(origin, group string) int   { return d.add("group", origin, group) }
func (d *dropped) InvalidateChannel(name string) int          { return d.add("channel", "", name) }

// TestChanged: what has changed is dropped, and subscribers of its channels receive a message without data.
func TestChanged(t *testing.T) {
	for _, c := range []struct {
		query, body string
		drops       string // in any order
		answer      string // its ID is written as ID
		received    string
	}{
		{"?channel=a", "", "channel a", `{"dropped":1,"id":"ID","subscribers":1}`, `changed {"subscribers":1}`},
		{"?channel=a&channel=b", "", "channel a; channel b", `{"dropped":2,"id":"ID","subscribers":1}`, `changed {"subscribers":1}`},
		{"?channel=unruled.x.y", "", "channel unruled.x.y", `{"dropped":1,"subscribers":0}`, ""},
		{"?channel=a&channel=unruled.x.y", "", "channel a; channel unruled.x.y", `{"dropped":2,"id":"ID","subscribers":1}`, `changed {"subscribers":1}`},
		{"?url=/status.php?id=42", "", "url /status.php?id=42", `{"dropped":1,"subscribers":0}`, ""},
		{"?url=%2Fstatus.php%3Fid%3D42%26x%3D1", "", "url /status.php?id=42&x=1", `{"dropped":1,"subscribers":0}`, ""},
		{"?url=https://Shop.example:443/a", "", "url https://shop.example /a", `{"dropped":1,"subscribers":0}`, ""},
		{"?url=http://shop.example:8080?x", "", "url http://shop.example:8080 /?x", `{"dropped":1,"subscribers":0}`, ""},
		{"?url=http://shop.example", "", "url http://shop.example /", `{"dropped":1,"subscribers":0}`, ""},
		{"?prefix=/shop/", "", "prefix /shop/", `{"dropped":1,"subscribers":0}`, ""},
		{"?prefix=http://shop.example", "", "prefix http://shop.example ", `{"dropped":1,"subscribers":0}`, ""},
		{"?group=parcel.42&group=%C3%A9t%C3%A9", "", "group parcel.42; group été", `{"dropped":2,"subscribers":0}`, ""},
		{"?channel=a&url=/a&prefix=/b&group=c", "", "channel a; group c; prefix /b; url /a", `{"dropped":4,"id":"ID","subscribers":1}`, `changed {"subscribers":1}`},
		{"", `{"channel":"a","url":["/a","/b"],"prefix":"/c","group":["d"]}`, "channel a; group d; prefix /c; url /a; url /b",
			`{"dropped":5,"id":"ID","subscribers":1}`, `changed {"subscribers":1}`},
	} {
		var cache dropped
		a := start(t, "tcp", Options{Cache: &cache})
		var one listener
		a.hub.Lane(0).Join(&one, []string{"a"}, 0, false)
		r := a.raw(request("POST /changed"+c.query, "", c.body))
		for a.hub.Lane(0).Step(10) {
		}
		var got []string
		id := ""
		for _, m := range one.got {
			got, id = append(got, m.Event+" "+string(m.Data)), m.ID.String()
		}
		slices.Sort(cache.list)
		if r.status != 200 || r.body != strings.Replace(c.answer, "ID", id, 1)+"\n" {
			t.Errorf("%s%s: %d %s, want %s", c.query, c.body, r.status, r.body, c.answer)
		}
		if drops := strings.Join(cache.list, "; "); drops != c.drops {
			t.Errorf("%s%s: dropped %q, want %q", c.query, c.body, drops, c.drops)
		}
		if strings.Join(got, "; ") != c.received {
			t.Errorf("%s%s: received %q, want %q", c.query, c.body, got, c.received)
		}
	}
}

// TestChangedWithoutCache: there is nothing to drop, and a channel needs a rule, as nothing else would be done.
func TestChangedWithoutCache(t *testing.T) {
	a := start(t, "tcp", Options{})
	if r := a.raw(request("POST /changed?url=/a&group=b", "", "")); r.status != 200 || r.body != `{"dropped":0,"subscribers":0}`+"\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := a.raw(request("POST /changed?channel=unruled.x.y", "", "")); r.status != 400 || !strings.Contains(r.body, "no rule") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestChangedRefused: a request that is wrong in one part changes nothing, and the error says what is meant.
func TestChangedRefused(t *testing.T) {
	var cache dropped
	a := start(t, "tcp", Options{Cache: &cache, MaxBody: 5000})
	for _, c := range []struct {
		line, fields, body string
		status             int
		says               string
	}{
		{"GET /changed?channel=a", "", "", 405, "want POST"},
		{"POST /changed/", "", "", 404, "no such path"},
		{"POST /changed", "", "", 400, "such as /changed?channel=parcel.42"},
		{"POST /changed", "", "channel=a", 400, "such as /changed?channel=parcel.42"},
		{"POST /changed?channel=a", "", "x", 400, "want one of them"},
		{"POST /changed?chanel=a", "", "", 400, "want channel or url or prefix or group"},
		{"POST /changed?channel=a&channel=b+c", "", "", 400, "bad channel name"},
		{"POST /changed?channel=a&channel=a.**", "", "", 400, "bad channel name"},
		{"POST /changed?channel=a&url=status.php", "", "", 400, "want a path such as /status.php?id=42"},
		{"POST /changed?url=/a%23b", "", "", 400, "want a path"},
		{"POST /changed?url=", "", "", 400, "want a path"},
		{"POST /changed?prefix=ftp://x/", "", "", 400, "want a path"},
		{"POST /changed?url=http://user@x/", "", "", 400, "want a path"},
		{"POST /changed?group=", "", "", 400, "group is empty"},
		{"POST /changed", "", `{"channel":["a"` + strings.Repeat(`,"a"`, maxChannels) + `]}`, 400, "want at most 1000"},
		{"POST /changed", "", `{"channel":"a","urls":"/a"}`, 400, "want channel, url, prefix or group"},
		{"POST /changed", "", `{"channel":"a","url":7}`, 400, "url: want text"},
		{"POST /changed", "", `{"channel":"a"}{"channel":"b"}`, 400, ""},
		{"POST /changed", "", `{}`, 400, "names nothing"},
		{"POST /changed", "", `{"url":[]}`, 400, "names nothing"},
		{"POST /changed", "", `{"channel":"` + strings.Repeat("a", 5000) + `"}`, 413, "hooks.max_body"},
		{"POST /changed", "Content-Encoding: gzip\r\n", `{"channel":"a"}`, 415, "send the body as it is"},
		{"POST /changed?channel=a", "Origin: http://x\r\n", "", 403, "from a server"},
	} {
		r := a.raw(request(c.line, c.fields, c.body))
		if text := strings.ReplaceAll(r.body, `\"`, `"`); r.status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s %.80s: %d %s, want %d with %q", c.line, c.body, r.status, r.body, c.status, c.says)
		}
	}
	if n := a.published(); n != 0 || len(cache.list) > 0 {
		t.Errorf("%d published, %q dropped", n, cache.list)
	}
}
