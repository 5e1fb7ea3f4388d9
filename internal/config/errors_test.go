package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each case is a file and the whole text of the error, without the "c.yaml:" in front.
func TestSyntaxAndKeys(t *testing.T) {
	check(t, []errorCase{
		{"misspelt key, with two neighbours swapped", "push:\n  path: /_p\n  heartbaet: 25s", `3:3: push.heartbaet: unknown key; did you mean "heartbeat"?`},
		{"misspelt at the top", "listne: 127.0.0.1:1", `1:1: listne: unknown key; did you mean "listen"?`},
		{"misspelt in a rule", "channels:\n- match: a\n  acces: public\n  access: public", `3:3: channels[0].acces: unknown key; did you mean "access"?`},
		{"camel case", "push: {maxChannels: 60}", `1:8: push.maxChannels: unknown key; did you mean "max_channels"?`},
		{"key of another section", "heartbeat: 25s", `1:1: heartbeat: unknown key; did you mean "push.heartbeat"?`},
		{"key that several sections have", "connections: 5\nheader: 5", "1:1: connections: unknown key; did you mean \"limits.connections\"?\nc.yaml:2:1: header: unknown key; did you mean \"headers\"?"},
		{"key of the top in a section", "push:\n  upstream: http://a", `2:3: push.upstream: unknown key; upstream belongs at the top level, not in push`},
		{"key of the top in a section, only there", "push: {trusted_proxies: []}", `1:8: push.trusted_proxies: unknown key; trusted_proxies belongs at the top level, not in push`},
		{"nothing near", "quota: 5", `1:1: quota: unknown key`},
		{"key of great length", strings.Repeat("x", 100) + ": 5", `1:1: "` + strings.Repeat("x", 60) + `"…: unknown key`},
		{"key with control bytes", "\"a\\e[31mb\": 5", `1:1: "a\x1b[31mb": unknown key`},
		{"duplicate key", "push:\n  poll_wait: 10s\n  path: /p\n  poll_wait: 20s", `4:3: push.poll_wait: duplicate key; first at line 2`},
		{"list as key", "[a]: 1", `1:1: a list as a key; want one of listen, upstream, upstreams, upstream_host, upstream_tls, redirect, redirect_status, root, script_root, index, no_scripts, try_files, follow_links, hide_files, serve_files, types, deny, allow, deny_addresses, deny_status, basic_auth, basic_auth_realm, satisfy, headers, request_headers, expires, fastcgi_params, error_pages, intercept_errors, trace, trace_sample, push_headers, polls, cache, inject, compress, timeouts, limits, buffers, routes, sites, trusted_proxies, proxy_protocol, tls, external, redirect_https, hooks, push, events, channels, watch, cache_limits, upstream_pool, log`},
		{"tab", "listen: 127.0.0.1:1\n\tupstream: x", "2: not YAML at or after this line: found a tab character that violates indentation; a tab indents the line: YAML takes spaces only"},
		{"tab below a section", "push:\n\tpath: /x", "2: not YAML at or after this line: found character that cannot start any token; a tab indents the line: YAML takes spaces only"},
		{"star without quotes", "channels:\n- match: **\n  access: public", "2: not YAML at or after this line: did not find expected alphabetic or numeric character; quote it: * has a meaning in YAML"},
		{"star in a list", "push:\n  origins: [*]", "2: not YAML at or after this line: did not find expected alphabetic or numeric character; quote it: * has a meaning in YAML"},
		{"star in a list of lines", "push:\n  origins:\n  - *.test", "3: not YAML at or after this line: did not find expected alphabetic or numeric character; quote it: * has a meaning in YAML"},
		{"mark without quotes", "hooks:\n  token: @x", "2: not YAML at or after this line: found character that cannot start any token; quote it: @, % and ` have a meaning in YAML"},
		{"section in a route", "routes: [{match: /a, hooks: {token: x}}]", "1:22: routes[0].hooks: unknown key; hooks belongs at the top level, not in routes[0]"},
		{"merge key", "push: &p {poll_wait: 10s}\nlog:\n  <<: *p", `3:3: log: merge keys (<<) are not supported; write the keys out, or use an alias for a whole value`},
		{"two documents", "listen: :1\n---\nlisten: :2", `2:1: a second document begins here; want one`},
		{"not YAML", "push:\n  path: [a", `1: not YAML at or after this line: did not find expected ',' or ']'`},
		{"not YAML, no line known", "\x00", ` not YAML: control characters are not allowed`},
		{"unknown alias", "listen: *a", ` not YAML: unknown anchor 'a' referenced`},
	})
}

func TestWrongTypes(t *testing.T) {
	check(t, []errorCase{
		{"text for the whole file", "hello", `1:1: a single value; want keys and values, one of listen, upstream, upstreams, upstream_host, upstream_tls, redirect, redirect_status, root, script_root, index, no_scripts, try_files, follow_links, hide_files, serve_files, types, deny, allow, deny_addresses, deny_status, basic_auth, basic_auth_realm, satisfy, headers, request_headers, expires, fastcgi_params, error_pages, intercept_errors, trace, trace_sample, push_headers, polls, cache, inject, compress, timeouts, limits, buffers, routes, sites, trusted_proxies, proxy_protocol, tls, external, redirect_https, hooks, push, events, channels, watch, cache_limits, upstream_pool, log`},
		{"list for a section", "log: [info]", `1:6: log: a list; want keys and values, one of level, format, access_log, access_format`},
		{"value for a list", "trusted_proxies: 10.0.0.1", `1:18: trusted_proxies: a single value; want a list such as [10.0.0.0/8]`},
		{"block for a list", "channels: {match: a}", `1:11: channels: a block of keys; want a list such as [{match: "public.**", access: public}]`},
		{"list for text", "push: {path: [/p]}", `1:14: push.path: a list; want text such as /_push`},
		{"list for an item", "push: {origins: [[a]]}", `1:18: push.origins[0]: a list; want text such as https://www.example.com`},
		{"block for a duration", "push: {poll_wait: {}}", `1:19: push.poll_wait: a block of keys; want a duration such as 25s`},
		{"nothing for a duration", "push:\n  poll_wait:", `2:13: push.poll_wait: no value; want a duration such as 25s`},
		{"nothing for a listener", "listen: ~", `1:9: listen: no value; want host:port such as 127.0.0.1:8080, or unix:/path`},
		{"nothing for an upstream", "upstream: ~", `1:11: upstream: no value; want http://host:port such as http://127.0.0.1:8081, https://host:port, http+unix:/path, fastcgi://host:port or fastcgi+unix:/path`},
		{"nothing for a proxy", "trusted_proxies: [~]", `1:19: trusted_proxies[0]: no value; want an address or a block such as 10.0.0.0/8`},
		{"nothing for the token", "hooks: {token: ~}", `1:16: hooks.token: no value; want text such as the output of "openssl rand -hex 16"`},
		{"text for a number", "limits: {fields: many}", `1:18: limits.fields: "many" is not a whole number; want a whole number such as 32`},
		{"yes for true", "proxy_protocol: yes", `1:17: proxy_protocol: "yes" is neither true nor false`},
		{"a list for true", "proxy_protocol: [true]", `1:17: proxy_protocol: a list; want true or false`},
		{"fraction for a number", "limits: {fields: 1.5}", `1:18: limits.fields: "1.5" is not a whole number; want a whole number such as 32`},
		{"octal for a number", "limits: {fields: 0100}", `1:18: limits.fields: "0100" is not a whole number; want a whole number such as 32`},
		{"list for a number", "limits: {fields: [1]}", `1:18: limits.fields: a list; want a whole number such as 32`},
		{"duration without unit", "push: {poll_wait: 25}", `1:19: push.poll_wait: "25" has no unit; want a duration such as 25s`},
		{"duration in days", "push: {poll_wait: 1d}", `1:19: push.poll_wait: "1d" is not a duration; want a duration such as 25s`},
		{"duration, empty", "push: {poll_wait: ''}", `1:19: push.poll_wait: "" is not a duration; want a duration such as 25s`},
		{"duration, negative", "push: {poll_wait: -5s}", `1:19: push.poll_wait: "-5s" is negative; want a duration such as 25s`},
		{"size of nothing", "push: {send_queue: big}", `1:20: push.send_queue: "big" is not a size; want a size such as 64KB`},
		{"size with a space", "push: {send_queue: 64 KB}", `1:20: push.send_queue: "64 KB" is not a size; want a size such as 64KB`},
		{"size in a list", "push: {send_queue: [64KB]}", `1:20: push.send_queue: a list; want a size such as 64KB`},
		{"size beyond int64", "push: {send_queue: 9999999999999999999}", `1:20: push.send_queue: "9999999999999999999" is too large; want a size such as 64KB`},
		{"size beyond int64 by its unit", "push: {send_queue: 9999999999999999TB}", `1:20: push.send_queue: "9999999999999999TB" is too large; want a size such as 64KB`},
		{"tag", "push: {path: !!binary L3A=}", `1:14: push.path: the tag "!!binary" is not supported; want text such as /_push`},
	})
}

func TestRanges(t *testing.T) {
	check(t, []errorCase{
		{"too short", "push: {heartbeat: 10ms}", `1:19: push.heartbeat: 10ms is out of range; want 0 (off) or 1s to 10m`},
		{"too long", "timeouts: {tunnel: 1000h}", `1:20: timeouts.tunnel: 1000h is out of range; want 100ms to 168h`},
		{"0 where it means nothing", "timeouts: {idle: 0}", `1:18: timeouts.idle: 0 is out of range; want 100ms to 24h`},
		{"negative number", "push: {max_connections: -1}", `1:25: push.max_connections: -1 is out of range; want 0 (bounded by the file limit) or 1 to 10000000`},
		{"wildcards without one", "channels: [{match: a.b, access: public, wildcards: true}]", `1:52: channels[0].wildcards: "a.b" does not end with * or **, so there is no pattern that it could allow`},
		{"too many of a user", "push: {max_connections_per_user: 20000000}", `1:34: push.max_connections_per_user: 20000000 is out of range; want 0 (any number) or 1 to 10000000`},
		{"size too small", "limits: {header: 512}", `1:18: limits.header: 512 is out of range; want 1KB to 1MB`},
		{"history of a rule", "channels:\n- match: a\n  access: public\n  history: {messages: 200000, age: 0, bytes: 3GB}",
			"4:23: channels[0].history.messages: 200000 is out of range; want 0 (off) or 1 to 100000\n" +
				"c.yaml:4:36: channels[0].history.age: 0 is out of range; want 1s to 720h\n" +
				"c.yaml:4:46: channels[0].history.bytes: 3GB is out of range; want 1KB to 1GB"},
		{"wait above max_wait", "push: {poll_max_wait: 10s}", `1:23: push.poll_max_wait: push.poll_wait 25s is more than push.poll_max_wait 10s`},
		{"outbox above the total", "push: {send_queue: 65MB}", `1:20: push.send_queue: push.send_queue 65MB is more than push.send_queue_total 64MB`},
		{"message above the total", "push: {receive_total: 1MB, max_message: 2MB}", `1:41: push.max_message: push.max_message 2MB is more than push.receive_total 1MB`},
		{"total below the default message", "push: {max_message: 1MB, receive_total: 512KB}", `1:21: push.max_message: push.max_message 1MB is more than push.receive_total 512KB`},
		{"unknown level", "log: {level: warning}", `1:14: log.level: unknown "warning"; want debug, info, warn, error`},
		{"misspelt format", "log: {format: jsno}", `1:15: log.format: unknown "jsno"; want text, json; did you mean "json"?`},
	})
}

// Several problems are one error, in the order of the file whichever check found them.
func TestSeveralProblems(t *testing.T) {
	text := "push:\n  poll_wait: 0\n  heartbaet: 25s\nlisten: 80\n"
	_, err := Parse("/etc/holdfast/config.yaml", []byte(text))
	const want = `/etc/holdfast/config.yaml:2:14: push.poll_wait: 0 is out of range; want 1s to 1h
/etc/holdfast/config.yaml:3:3: push.heartbaet: unknown key; did you mean "heartbeat"?
/etc/holdfast/config.yaml:4:9: listen: "80" has no host:port; want host:port such as 127.0.0.1:8080, or unix:/path`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 2 || one.Column != 14 || one.Key != "push.poll_wait" {
		t.Errorf("errors.As found %+v", one)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Parse("c.yaml", []byte(strings.Repeat("x: 1\n", 5000)))
	if es, ok := err.(Errors); !ok || len(es) != maxProblems {
		t.Errorf("%d problems, want %d", len(es), maxProblems)
	}
	// An alias to many mistakes, many times: takes minutes unless the walk stops.
	text := "x: &a {" + strings.Repeat("y: 1, ", 50_000) + "}\nchannels: [" + strings.Repeat("*a, ", maxList) + "]"
	_, err = Parse("c.yaml", []byte(text))
	if es, ok := err.(Errors); !ok || len(es) != maxProblems {
		t.Errorf("%d problems, want %d", len(es), maxProblems)
	}
	_, err = Parse("c.yaml", []byte("channels: ["+strings.Repeat("~,", maxList)+"~]"))
	if want := "c.yaml:1:11: channels: 1001 items; want at most 1000"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+10), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(large)
	if want := large + ": the file is larger than 1MB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

type errorCase struct{ name, text, want string }

func check(t *testing.T, cases []errorCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(c.text))
			if want := "c.yaml:" + c.want; err == nil || err.Error() != want {
				t.Errorf("\n%s\ngot:  %v\nwant: %s", c.text, err, want)
			}
		})
	}
}

// TestRenamedKeys: an old name is refused with the new one, which is a key of that section.
func TestRenamedKeys(t *testing.T) {
	for section, names := range renamed {
		for from, to := range names {
			open, end := "{", "}"
			if section == "channels" || section == "upstreams" || section == "routes" {
				open, end = "[{", "}]"
			}
			_, err := Parse("c.yaml", []byte(section+": "+open+from+": x"+end))
			if want := from + ": unknown key: renamed to " + to; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s.%s: %v; want %s", section, from, err, want)
			}
			if _, err := Parse("c.yaml", []byte(section+": "+open+to+": x"+end)); err != nil && strings.Contains(err.Error(), "unknown key") {
				t.Errorf("%s.%s is no key: %v", section, to, err)
			}
		}
	}
}
