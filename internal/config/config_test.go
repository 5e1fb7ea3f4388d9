package config

import (
	"encoding"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"holdfast/internal/channel"
)

func TestEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}", "push:\n  # path: /_push\nhooks: {hosts: []}\nchannels:\n"} {
		got, err := Parse("c.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got.lines = nil; !reflect.DeepEqual(got, Default()) {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := Parse("c.yaml", []byte(`
listen: unix:/run/holdfast.sock
upstream: http+unix:/run/app.sock
trusted_proxies: [10.0.0.0/8, 192.168.1.5, "::1", "::ffff:10.1.1.1"]
hooks:
  listen: "[::]:9090"
  token: 0123456789012345    # text, though it looks like a number
  hosts: [Holdfast.Internal, "[0:0::1]"]
push:
  authorize_path: /index.php?route=push/authorize
  origins: [HTTPS://App.Example.com:443, "http://[::1]:3000", capacitor://localhost]
  heartbeat: 0
channels:
  - {match: user.*, access: authorize, history: &short {messages: 0}}
  - {match: "**", access: public, history: *short}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen = Listeners{{Address: Listen{Network: "unix", Address: "/run/holdfast.sock"}}}
	want.Upstream = Upstream{Network: "unix", Address: "/run/app.sock", Host: "localhost"}
	for _, p := range []string{"10.0.0.0/8", "192.168.1.5/32", "::1/128", "10.1.1.1/32"} {
		want.TrustedProxies = append(want.TrustedProxies, netip.MustParsePrefix(p))
	}
	want.Hooks.Listen = Listen{Network: "tcp", Address: "[::]:9090"}
	want.Hooks.Token = "0123456789012345"
	want.Hooks.Hosts = []string{"holdfast.internal", "::1"}
	want.Push.Authorize = "/index.php?route=push/authorize"
	want.Push.Origins = []string{"https://app.example.com", "http://[::1]:3000", "capacitor://localhost"}
	want.Push.Heartbeat = 0
	// What a history does not say keeps its default.
	history := History{Messages: 0, Age: Duration(10 * time.Minute), Bytes: 1 * MB}
	want.Channels = []Channel{
		{Match: "user.*", Access: channel.Authorize, History: history, Presence: channel.PresenceOff, Slow: channel.Disconnect},
		{Match: "**", Access: channel.Public, History: history, Presence: channel.PresenceOff, Slow: channel.Disconnect},
	}
	if got.lines = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestUpstream(t *testing.T) {
	for text, want := range map[string]Upstream{
		"http://app":             {Network: "tcp", Address: "app:80", Host: "app", FastCGI: false},
		"http://my_app:8081":     {Network: "tcp", Address: "my_app:8081", Host: "my_app:8081", FastCGI: false},
		"http://[::1]:8081":      {Network: "tcp", Address: "[::1]:8081", Host: "[::1]:8081", FastCGI: false},
		"http://[::1]":           {Network: "tcp", Address: "[::1]:80", Host: "[::1]", FastCGI: false},
		"http+unix:/run/app.soc": {Network: "unix", Address: "/run/app.soc", Host: "localhost", FastCGI: false},
		"fastcgi://app":          {Network: "tcp", Address: "app:9000", Host: "app", FastCGI: true},
		"fastcgi+unix:/run/p.s":  {Network: "unix", Address: "/run/p.s", Host: "localhost", FastCGI: true},
	} {
		var got Upstream
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v (%s), %v", text, got, got, err)
		}
	}
}

func TestLocal(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1:9090": true, "127.9.9.9:1": true, "[::1]:9090": true, "localhost:9090": true,
		"[::ffff:127.0.0.1]:9090": true, "unix:/run/hooks": true,
		":9090": false, "0.0.0.0:9090": false, "[::]:9090": false, "10.0.0.1:9090": false, "localhost.evil.example:9090": false,
	} {
		var l Listen
		if err := l.UnmarshalText([]byte(text)); err != nil || l.Local() != want {
			t.Errorf("%s: Local() = %v, %v", text, l.Local(), err)
		}
	}
}

// Text in, value out, and the text that String makes of it.
func TestDurationAndSize(t *testing.T) {
	for _, c := range []struct {
		in     string
		into   any
		want   int64
		string string
	}{
		{"25s", new(Duration), int64(25 * time.Second), "25s"},
		{"600s", new(Duration), int64(10 * time.Minute), "10m"},
		{"1h", new(Duration), int64(time.Hour), "1h"},
		{"90m", new(Duration), int64(90 * time.Minute), "1h30m"},
		{"1h0m5s", new(Duration), int64(time.Hour + 5*time.Second), "1h0m5s"},
		{"1.5s", new(Duration), int64(1500 * time.Millisecond), "1.5s"},
		{"0", new(Duration), 0, "0"},
		{"0s", new(Duration), 0, "0"},
		{"0", new(Size), 0, "0"},
		{"65536", new(Size), 65536, "64KB"},
		{"65537", new(Size), 65537, "65537"},
		{"64KB", new(Size), 65536, "64KB"},
		{"64k", new(Size), 65536, "64KB"},
		{"16KiB", new(Size), 16384, "16KB"},
		{"1024KB", new(Size), 1 << 20, "1MB"},
		{"2g", new(Size), 2 << 30, "2GB"},
		{"1TiB", new(Size), 1 << 40, "1TB"},
		{"100b", new(Size), 100, "100"},
		{"9223372036854775807", new(Size), 1<<63 - 1, "9223372036854775807"},
	} {
		if err := c.into.(encoding.TextUnmarshaler).UnmarshalText([]byte(c.in)); err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		text, _ := c.into.(encoding.TextMarshaler).MarshalText()
		if got := reflect.ValueOf(c.into).Elem().Int(); got != c.want || string(text) != c.string {
			t.Errorf("%s: %d %s, want %d %s", c.in, got, text, c.want, c.string)
		}
	}
}
