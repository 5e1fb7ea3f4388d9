package config

import (
	"reflect"
	"testing"

	"holdfast/internal/channel"
)

const eventsKey = "key: 0123456789abcdef"

func TestEvents(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
events: {url: /push/events, `+eventsKey+`, types: [online, vacated], grace: 0}
channels: [{match: a, access: public, occupancy_events: true, presence: channel}, {match: b, access: public}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default().Events
	want.URL, want.Key, want.Types, want.Grace = "/push/events", "0123456789abcdef", []string{"online", "vacated"}, 0
	if !reflect.DeepEqual(c.Events, want) {
		t.Errorf("events: %+v, want %+v", c.Events, want)
	}
	if r := c.Channels; !r[0].Events || r[0].Presence != channel.PresenceMessages || r[1].Events || r[1].Presence != channel.PresenceOff {
		t.Errorf("rules: %+v", r)
	}
	if e := &c.Events; !e.Enabled(Offline, Online) || e.Enabled(Offline, Occupied) || (&Events{}).Enabled(Online) {
		t.Error("Told is wrong")
	}
}

func TestEventsTarget(t *testing.T) {
	app := Upstream{Network: "unix", Address: "/run/app.sock", Host: "localhost"}
	own := Upstream{Network: "tcp", Address: "127.0.0.1:8090", Host: "127.0.0.1:8090"}
	for url, want := range map[string]struct {
		to   Upstream
		path string
	}{
		"/push/events?a=b":              {app, "/push/events?a=b"},
		"http://127.0.0.1:8090/e":       {own, "/e"},
		"http://127.0.0.1:8090/?r=push": {own, "/?r=push"},
		"http://localhost/e":            {Upstream{Network: "tcp", Address: "localhost:80", Host: "localhost"}, "/e"},
		"http://[::1]:81/e":             {Upstream{Network: "tcp", Address: "[::1]:81", Host: "[::1]:81"}, "/e"},
	} {
		to, path, err := (&Events{URL: url}).Target(app)
		if err != nil || to != want.to || path != want.path {
			t.Errorf("%s: %+v, %q, %v", url, to, path, err)
		}
	}
}

func TestEventsErrors(t *testing.T) {
	const wantURL = "; want a path on the app such as /push/events, or http://127.0.0.1:8090/events"
	with := func(s string) string { return "events: {" + s + ", " + eventsKey + ", types: [online]}" }
	check(t, []errorCase{
		{"no slash", with("url: events"), `1:15: events.url: "events" does not begin with one /` + wantURL},
		{"two slashes", with("url: //a/b"), `1:15: events.url: "//a/b" does not begin with one /` + wantURL},
		{"another machine", with("url: http://10.0.0.1/e"), `1:15: events.url: "10.0.0.1" is not on this machine: events would cross the network unencrypted` + wantURL},
		{"no path", with("url: http://127.0.0.1"), `1:15: events.url: "http://127.0.0.1" has no path` + wantURL},
		{"not a host", with("url: http://:1/e"), `1:15: events.url: "" is neither an address nor a host name` + wantURL},
		{"fragment", with(`url: "http://127.0.0.1/e#f"`), `1:15: events.url: "/e#f" has a fragment` + wantURL},
		{"https", with("url: https://127.0.0.1/e"), `1:15: events.url: "https://127.0.0.1/e" does not begin with one /` + wantURL},
		{"no url", "events: {types: [online]}", `1:9: events.url: missing, but events.types is set; want a path on the app such as /push/events, or http://127.0.0.1:8090/events`},
		{"no types", "events: {url: /e, " + eventsKey + "}", `1:9: events.types: missing, but events.url is set; want any of connect, disconnect, occupied, vacated, online, offline`},
		{"no key", "events: {url: /e, types: [online]}", `1:9: events.key: missing, and hooks.token is empty too; set one of them, so that the app can check who sent the events`},
		{"short key", "events: {url: /e, key: short, types: [online]}", `1:24: events.key: 5 characters; want at least 16`},
		{"bad key", "events: {url: /e, key: 0123456789 abcdef, types: [online]}", `1:24: events.key: has a space, a quote, a backslash or a character outside ASCII; want one that fits a header field as it is`},
		{"unknown type", "events: {url: /e, " + eventsKey + ", types: [onlin]}", `1:50: events.types[0]: unknown "onlin"; want connect, disconnect, occupied, vacated, online, offline; did you mean "online"?`},
		{"type twice", "events: {url: /e, " + eventsKey + ", types: [online, online]}", `1:58: events.types[1]: "online" is listed twice`},
		{"no rule", "events: {url: /e, " + eventsKey + ", types: [occupied]}", `1:49: events.types: occupied and vacated need a rule of channels with "occupancy_events: true"`},
		{"no type for the rule", "channels: [{match: a, access: public}, {match: b, access: public, occupancy_events: true}]", `1:85: channels[1].occupancy_events: has no effect unless events.types has occupied or vacated`},
		{"presence", "channels: [{match: a, access: public, presence: chanel}]", `1:49: channels[0].presence: unknown "chanel"; want off, api, channel; did you mean "channel"?`},
		{"queue below batch", "events: {queue: 10}", `1:17: events.queue: events.queue 10 is less than events.batch 100`},
		{"behind PROXY headers", "upstream: fastcgi://a\nsite: {root: /a}\nproxy_protocol: true\ntrusted_proxies: [10.0.0.1]\nevents: {url: /e, " + eventsKey + ", types: [online]}", `5:15: events.url: cannot be a path of a fastcgi upstream while proxy_protocol is on`},
	})
	if _, err := Parse("c.yaml", []byte("hooks: {token: 0123456789abcdef}\nevents: {url: /e, types: [online]}")); err != nil {
		t.Errorf("hooks.token as key: %v", err)
	}
}
