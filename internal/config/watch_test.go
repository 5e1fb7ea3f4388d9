package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestWatch(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
push: {authorize_path: /authorize, watch_in_flight: 4, watch_timeout: 1s, watch_max_reply: 1MB, watch_channels: 7}
channels: [{match: "parcel.*", access: public}, {match: "user.{user}.**", access: authorize}, {match: "**", access: public}]
routes: [{match: /old, redirect: "https://x.test"}]
watch:
- {channel: "parcel.{id}", url: "/status.php?id={id}"}
- {channel: "user.{user}.{box}", url: "/inbox/{box}?of={user}", every: 30s, data: /items/0, as: {cookie: svc=1, x-requested-with: XMLHttpRequest}}
- {channel: news, url: /old/news.php, data: json, as: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Watch{
		{Channel: "parcel.{id}", URL: "/status.php?id={id}", Every: seconds(2), Data: "body"},
		{Channel: "user.{user}.{box}", URL: "/inbox/{box}?of={user}", Every: seconds(30), Data: "/items/0",
			As: Header{"Cookie": "svc=1", "X-Requested-With": "XMLHttpRequest"}},
		{Channel: "news", URL: "/old/news.php", Every: seconds(2), Data: "json"},
	}
	if !reflect.DeepEqual(c.Watch, want) {
		t.Errorf("got  %+v\nwant %+v", c.Watch, want)
	}
	for i, rule := range []int{0, 1, 2} {
		if got := c.Watch[i].Rule(c); got != rule {
			t.Errorf("watch[%d] has rule %d, want %d", i, got, rule)
		}
	}
	if p := c.Push; p.WatchInFlight != 4 || p.WatchTimeout != seconds(1) || p.WatchMaxReply != 1*MB || p.WatchChannels != 7 {
		t.Errorf("push = %+v", p)
	}
}

// What operators mistype.
func TestWatchErrors(t *testing.T) {
	const open = "channels: [{match: \"**\", access: public}]\n"
	at := func(problem string) string { return "2:" + problem }
	const wantURL = "; want a path on the app such as /status.php?id={id}"
	check(t, []errorCase{
		{"no channel", open + "watch: [{url: /a}]", at(`9: watch[0].channel: missing; want a pattern such as parcel.{id}`)},
		{"no url", open + "watch: [{channel: a}]", at(`9: watch[0].url: missing; want a path on the app such as /status.php?id={id}`)},
		{"one star too many", open + "watch: [{channel: a.**, url: /a}]", at(`19: watch[0].channel: "a.**" has **; want one {name} or * for each segment`)},
		{"a brace in a segment", open + "watch: [{channel: \"parcel-{id}\", url: /a}]", at(`19: watch[0].channel: "parcel-{id}" has a brace beside other characters; {name} stands for a whole segment, and its name has small letters, digits and _`)},
		{"braces that YAML takes", open + "watch: [{channel: {id}, url: /a}]", at(`19: watch[0].channel: a block of keys; want text such as parcel.{id}`)},
		{"another name", open + "watch: [{channel: \"p.{id}\", url: \"/a?id={di}\"}]", at(`34: watch[0].url: "/a?id={di}" has {di}, which the channel has not` + wantURL)},
		{"not used", open + "watch: [{channel: \"p.{id}\", url: /a}]", at(`34: watch[0].url: "/a" does not use {id}; if that segment of the channel does not matter, write * there` + wantURL)},
		{"name of a parameter", open + "watch: [{channel: \"p.{id}\", url: \"/a?{id}=1\"}]", at(`34: watch[0].url: "/a?{id}=1" has {id} in the name of a parameter; want it in a value` + wantURL)},
		{"another host", open + "watch: [{channel: p, url: \"http://app/a\"}]", at(`27: watch[0].url: "http://app/a" does not begin with one /` + wantURL)},
		{"host of the channel", open + "watch: [{channel: \"p.{id}\", url: \"//{id}/a\"}]", at(`34: watch[0].url: "//{id}/a" does not begin with one /` + wantURL)},
		{"the push path", open + "watch: [{channel: \"p.{id}\", url: \"/{id}/a\"}]", at(`34: watch[0].url: "/{id}/a" may become "/_push", which is a push path, by the name of a channel; want what stands in braces in the query, or below a path of its own`)},
		{"the push path itself", open + "watch: [{channel: \"p.{id}\", url: \"/_push?channel={id}\"}]", at(`34: watch[0].url: "/_push?channel={id}" is a push path, which Holdfast itself answers; want a path on the app`)},
		{"a route", open + "watch: [{channel: \"p.{id}\", url: \"/p/{id}/x\"}]\nroutes: [{match: /p/admin, internal: true}]", at(`34: watch[0].url: "/p/{id}/x" may become "/p/admin", of routes[0], by the name of a channel; want what stands in braces in the query, or below a path of its own`)},
		{"too often", open + "watch: [{channel: p, url: /p, every: 10ms}]", at(`38: watch[0].every: 10ms is out of range; want 100ms to 24h`)},
		{"no unit", open + "watch: [{channel: p, url: /p, every: 2}]", at(`38: watch[0].every: "2" has no unit; want a duration such as 25s`)},
		{"data in words", open + "watch: [{channel: p, url: /p, data: state}]", at(`37: watch[0].data: "state" is neither body nor json nor a JSON pointer such as /state`)},
		{"data is empty", open + "watch: [{channel: p, url: /p, data: ''}]", at(`37: watch[0].data: "" is neither body nor json nor a JSON pointer such as /state`)},
		{"hidden", open + "watch: [{channel: \"a.*\", url: /p}, {channel: \"a.{id}\", url: \"/p?{id}\"}]",
			at("46: watch[1].channel: \"a.{id}\" is never reached, as \"a.*\" at line 2 matches all of it and the first match wins\n" +
				"c.yaml:2:61: watch[1].url: \"/p?{id}\" has {id} in the name of a parameter; want it in a value" + wantURL)},
		{"no rule", "channels: [{match: \"a.**\", access: public}]\nwatch: [{channel: \"b.{id}\", url: \"/p?i={id}\"}]", at(`19: watch[0].channel: "b.{id}" matches no channel of a rule in channels, so no client may subscribe to it`)},
		{"no rule at all", "watch: [{channel: b, url: /p}]", `1:19: watch[0].channel: "b" matches no channel of a rule in channels, so no client may subscribe to it`},
		{"a list for headers", open + "watch: [{channel: p, url: /p, as: [Cookie]}]", at(`35: watch[0].as: a list; want names and values such as {Cookie: "session=…"}`)},
		{"text for headers", open + "watch: [{channel: p, url: /p, as: \"Cookie: a=b\"}]", at(`35: watch[0].as: a single value; want names and values such as {Cookie: "session=…"}`)},
		{"a header twice", open + "watch: [{channel: p, url: /p, as: {Cookie: a, cookie: b}}]", at(`47: watch[0].as.cookie: is there twice`)},
		{"a header of Holdfast", open + "watch: [{channel: p, url: /p, as: {content-length: 5}}]", at(`36: watch[0].as.Content-Length: is written by Holdfast itself`)},
		{"a header with a line end, not shown", open + "watch: [{channel: p, url: /p, as: {Cookie: \"secret\\r\\nX: y\"}}]", at(`36: watch[0].as.Cookie: has a control character`)},
		{"a header without a value", open + "watch: [{channel: p, url: /p, as: {Cookie: }}]", at(`44: watch[0].as.Cookie: no value; want text such as a header's value`)},
		{"no header", open + "watch: [{channel: p, url: /p, as: {\"a b\": c}}]", at(`36: watch[0].as."a b": is not the name of a header; want one such as Cookie`)},
		{"misspelt", open + "watch: [{channel: p, ulr: /p}]", at("9: watch[0].url: missing; want a path on the app such as /status.php?id={id}\nc.yaml:2:22: watch[0].ulr: unknown key; did you mean \"url\"?")},
		{"a key of push here", open + "watch_in_flight: 3", at(`1: watch_in_flight: unknown key; did you mean "push.watch_in_flight"?`)},
		{"proxy_protocol", open + "watch: [{channel: p, url: /p}]\nproxy_protocol: true\ntrusted_proxies: [10.0.0.1]\nupstream: fastcgi://a\nsite: {root: /a}", at(`27: watch[0].url: cannot be a path of a fastcgi upstream while proxy_protocol is on`)},
	})
	_, err := Parse("c.yaml", []byte(open+"watch: [{channel: p, url: /p, as: {Authorization: \"Basic c2VjcmV0 \"}}]"))
	if err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("the secret is shown: %v", err)
	}
}
