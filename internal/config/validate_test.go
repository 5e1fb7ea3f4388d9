package config

import (
	"strings"
	"testing"
)

func TestListenErrors(t *testing.T) {
	const want = "; want host:port such as 127.0.0.1:8080, or unix:/path"
	check(t, []errorCase{
		{"port only", "listen: 8080", `1:9: listen: "8080" has no host:port` + want},
		{"port out of range", "listen: 127.0.0.1:65536", `1:9: listen: port "65536" is not a number from 0 to 65535` + want},
		{"port by name", "listen: 127.0.0.1:http", `1:9: listen: port "http" is not a number from 0 to 65535` + want},
		{"mistyped address", "listen: 127.0.1:80", `1:9: listen: "127.0.1" is neither an address nor a host name` + want},
		{"bad name", "listen: a_b..c:80", `1:9: listen: "a_b..c" is neither an address nor a host name` + want},
		{"relative socket", "listen: unix:run/a.sock", `1:9: listen: "run/a.sock" is not the absolute path of a socket` + want},
		{"socket as URL", "listen: unix:///run/a.sock", `1:9: listen: "///run/a.sock" is not the absolute path of a socket` + want},
		{"socket too long", "listen: unix:/" + strings.Repeat("a", 107), `1:9: listen: a socket's path of 108 bytes is over the system's 107` + want},
		{"control byte in socket", "listen: \"unix:/run/\\a\"", `1:9: listen: "/run/\a" has a control character` + want},
	})
}

func TestUpstreamErrors(t *testing.T) {
	const want = "; want http://host:port such as http://127.0.0.1:8081, https://host:port, http+unix:/path, fastcgi://host:port or fastcgi+unix:/path"
	check(t, []errorCase{
		{"no scheme", "upstream: 127.0.0.1:8081", `1:11: upstream: "127.0.0.1:8081" is not an upstream` + want},
		{"another scheme", "upstream: ftp://app", `1:11: upstream: "ftp://app" is not an upstream` + want},
		{"slash", "upstream: http://app:80/", `1:11: upstream: "/" after the host is not supported, as requests keep the path they came with` + want},
		{"path", "upstream: http://app/shop", `1:11: upstream: "/shop" after the host is not supported, as requests keep the path they came with` + want},
		{"query", "upstream: http://app?a", `1:11: upstream: "?a" after the host is not supported, as requests keep the path they came with` + want},
		{"password, not shown", "upstream: http://me:secret@app", `1:11: upstream: a user or password is not supported` + want},
		{"no host", "upstream: http://:80", `1:11: upstream: "" is neither an address nor a host name` + want},
		{"port 0", "upstream: http://app:0", `1:11: upstream: "app:0" cannot be connected to` + want},
		{"bare IPv6", "upstream: http://::1", `1:11: upstream: "::1:80" has no host:port` + want},
		{"relative socket", "upstream: http+unix:app.sock", `1:11: upstream: "app.sock" is not the absolute path of a socket` + want},
	})
}

func TestSameAddress(t *testing.T) {
	check(t, []errorCase{
		{"upstream is listen", "listen: 127.0.0.1:80\nupstream: http://localhost", `2:11: upstream: upstream http://localhost and listen 127.0.0.1:80 are the same address; Holdfast would call itself`},
		{"through every interface", "listen: :8081", `1:9: listen: upstream http://127.0.0.1:8081 and listen :8081 are the same address; Holdfast would call itself`},
		{"one socket", "listen: unix:/a/b\nupstream: http+unix:/a/./b", `2:11: upstream: upstream http+unix:/a/./b and listen unix:/a/b are the same address; Holdfast would call itself`},
		{"upstream is the hooks", "upstream: http://127.0.0.1:9090", `1:11: upstream: upstream http://127.0.0.1:9090 and hooks.listen 127.0.0.1:9090 are the same address; clients would reach the API`},
		{"hooks are listen", "listen: 127.0.0.1:9090", `1:9: listen: hooks.listen 127.0.0.1:9090 and listen 127.0.0.1:9090 are the same address; want two`},
	})
	for _, different := range []string{
		"listen: 127.0.0.2:8081",
		"listen: 0.0.0.0:8080\nupstream: http://app:8080",
		"listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0}",
		"listen: unix:/a\nupstream: http+unix:/b",
	} {
		if _, err := Parse("c.yaml", []byte(different)); err != nil {
			t.Errorf("%q: %v", different, err)
		}
	}
}

func TestHooksErrors(t *testing.T) {
	check(t, []errorCase{
		{"open to others without a token", "hooks: {listen: 0.0.0.0:9090}", `1:17: hooks.token: required, as hooks.listen 0.0.0.0:9090 can be reached from other machines; want at least 16 characters`},
		{"every interface", "hooks: {listen: ':9090'}", `1:17: hooks.token: required, as hooks.listen :9090 can be reached from other machines; want at least 16 characters`},
		{"by name", "hooks: {listen: 'holdfast:9090'}", `1:17: hooks.token: required, as hooks.listen holdfast:9090 can be reached from other machines; want at least 16 characters`},
		{"short token, not shown", "hooks: {token: hunter2}", `1:16: hooks.token: 7 characters; want at least 16`},
		{"token with a space", "hooks: {token: correct horse battery staple}", `1:16: hooks.token: has a space, a quote, a backslash or a character outside ASCII; want one that fits a header field as it is`},
		{"any host", "hooks: {hosts: ['*.example.com']}", `1:17: hooks.hosts[0]: "*.example.com" has a *; list each name, as any other may be a web page's that points at this machine`},
		{"host with a port", "hooks: {hosts: [app, 'app:9090']}", `1:22: hooks.hosts[1]: "app:9090" is neither an address nor a host name; want a name without a port, such as holdfast.internal`},
		{"proxy by name", "trusted_proxies: [haproxy]", `1:19: trusted_proxies[0]: "haproxy" is not an address or a block; want an address or a block such as 10.0.0.0/8`},
		{"block with host bits", "trusted_proxies: [10.1.2.3/8]", `1:19: trusted_proxies[0]: "10.1.2.3/8" has bits set behind its /8; did you mean 10.0.0.0/8?`},
		{"IPv4 block inside IPv6", "trusted_proxies: ['::ffff:10.0.0.0/104']", `1:19: trusted_proxies[0]: "::ffff:10.0.0.0/104" is IPv4 inside IPv6; write it as IPv4`},
	})
}

func TestPushErrors(t *testing.T) {
	const path, authorize = "; want a path such as /_push", "; want a path on the app such as /push/authorize"
	const origin = "; want scheme://host[:port] such as https://www.example.com"
	check(t, []errorCase{
		{"path without /", "push: {path: _push}", `1:14: push.path: "_push" does not begin with /` + path},
		{"path empty", "push: {path: ''}", `1:14: push.path: "" does not begin with /` + path},
		{"everything", "push: {path: /}", `1:14: push.path: "/" would take every request from the app` + path},
		{"path with query", "push: {path: '/p?a'}", `1:14: push.path: "/p?a" has a query or a fragment` + path},
		{"path with / at its end", "push: {path: /p/}", `1:14: push.path: "/p/" ends with /` + path},
		{"path with an escape", "push: {path: /a%20b}", `1:14: push.path: "/a%20b" has other characters than letters, digits and -._~/` + path},
		{"path with dots", "push: {path: /a/../b}", `1:14: push.path: "/a/../b" has an empty or a dot segment` + path},
		{"extra path without /", "push: {extra_paths: [/a, b/_push]}", `1:26: push.extra_paths[1]: "b/_push" does not begin with /; want a path such as /legacy/_push`},
		{"extra path that is everything", "push: {extra_paths: [/]}", `1:22: push.extra_paths[0]: "/" would take every request from the app; want a path such as /legacy/_push`},
		{"the same path again", "push: {extra_paths: [/_push]}", `1:22: push.extra_paths[0]: "/_push" and "/_push" are the same or below one another; want separate paths`},
		{"a path below another", "push: {extra_paths: [/a/b, /a]}", `1:28: push.extra_paths[1]: "/a" and "/a/b" are the same or below one another; want separate paths`},
		{"text for a list of paths", "push: {extra_paths: /a}", `1:21: push.extra_paths: a single value; want a list such as [/legacy/_push]`},
		{"authorize without /", "push: {authorize_path: auth}", `1:24: push.authorize_path: "auth" does not begin with one /` + authorize},
		{"authorize elsewhere", "push: {authorize_path: //host/auth}", `1:24: push.authorize_path: "//host/auth" does not begin with one /` + authorize},
		{"authorize with fragment", "push: {authorize_path: '/a#b'}", `1:24: push.authorize_path: "/a#b" has a fragment` + authorize},
		{"authorize with a line break", "push: {authorize_path: \"/a\\r\\nX: y\"}", `1:24: push.authorize_path: "/a\r\nX: y" has a space, a control character or one outside ASCII` + authorize},
		{"relative history file", "push: {history_file: history}", `1:22: push.history_file: "history" is not an absolute path; want one such as /var/lib/holdfast/history`},
		{"any origin", "push: {origins: ['*']}", `1:18: push.origins[0]: "*" is not supported: any web page could then use its visitors' logins here; list each origin`},
		{"no origin", "push: {origins: ['null']}", `1:18: push.origins[0]: "null" is not supported: sandboxed frames of any web page send it; list each origin`},
		{"wildcard origin", "push: {origins: ['https://*.a.de']}", `1:18: push.origins[0]: "https://*.a.de" has a *; list each origin`},
		{"origin without scheme", "push: {origins: [a.de]}", `1:18: push.origins[0]: "a.de" is not an origin` + origin},
		{"origin with a path", "push: {origins: ['https://a.de/']}", `1:18: push.origins[0]: "https://a.de/" has more than scheme, host and port` + origin},
		{"origin without host", "push: {origins: ['https://']}", `1:18: push.origins[0]: "" is neither an address nor a host name` + origin},
		{"origin with a bad port", "push: {origins: ['https://a.de:x']}", `1:18: push.origins[0]: port "x" is not a number from 0 to 65535` + origin},
	})
}

func TestChannelErrors(t *testing.T) {
	rule := func(match string) string { return "channels: [{access: public, match: '" + match + "'}]" }
	check(t, []errorCase{
		{"all backups", "upstreams: [{url: 'http://127.0.0.1:1', backup: true}]", `1:12: upstreams: all are backups; want at least one that is not`},
		{"no URL", "upstreams: [{max_conns: 1}]", `1:13: upstreams[0].url: missing; want http://host:port such as http://127.0.0.1:8081, https://host:port, http+unix:/path, fastcgi://host:port or fastcgi+unix:/path`},
		{"the same upstream twice", "upstreams: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:1'}]", `1:48: upstreams[1].url: http://127.0.0.1:1 is listed twice`},
		{"two ways to say it", "upstream: http://127.0.0.1:2\nupstreams: [{url: 'http://127.0.0.1:1'}]", `1:11: upstream: upstreams begins with http://127.0.0.1:1; want the same here, or no upstream at all`},
		{"a route without a cookie", "upstreams: [{url: 'http://127.0.0.1:1', sticky_route: a}]", `1:12: upstreams: sticky_route has no effect without upstream_pool.sticky, the cookie that ends in it`},
		{"routes for some", "upstream_pool: {sticky: S}\nupstreams: [{url: 'http://127.0.0.1:1', sticky_route: a}, {url: 'http://127.0.0.1:2'}]", `2:12: upstreams: some have a sticky_route and some have none; want all or none`},
		{"check that is no path", "upstream_pool: {health_check_path: health}", `1:36: upstream_pool.health_check_path: "health" does not begin with one /; want a path on the app such as /health`},
		{"fastcgi without a site", "upstream: fastcgi://127.0.0.1:9000", `1:1: root: missing; a fastcgi upstream needs the folder of its scripts, such as /var/www/html`},
		{"a site without fastcgi", "site: {root: /var/www}", `1:14: site.root: has no effect without a fastcgi upstream`},
		{"relative root", "upstream: fastcgi://127.0.0.1\nsite: {root: www}", `2:14: site.root: "www" is not an absolute path; want one such as /var/www/html`},
		{"HTTP and FastCGI", "upstreams: [{url: 'http://127.0.0.1:1'}, {url: 'fastcgi://127.0.0.1:2'}]", `1:12: upstreams: some speak FastCGI and some HTTP; want one kind`},
		{"burst without rate", "limits: {burst: 5}", `1:17: limits.burst: has no effect without limits.requests_per_second`},
		{"PROXY header of whom", "proxy_protocol: true", `1:17: proxy_protocol: needs trusted_proxies, the addresses of the load balancers: no others may connect then`},
		{"relative access log", "log: {access_log: a.log}", `1:19: log.access_log: "a.log" is not an absolute path; want one such as /var/log/holdfast/access.log, or stdout or stderr`},
		{"access without authorize", "channels:\n- match: a\n  access: public\n- match: b\n  access: authorize", `5:11: channels[1].access: authorize needs push.authorize_path, the path on the app that decides, and that is empty`},
		{"authorize cannot be read, said once", "push: {authorize_path: []}\nchannels: [{match: b, access: authorize}]", `1:24: push.authorize_path: a list; want text such as /push/authorize`},
		{"token without a key", "channels: [{match: b, access: token}]", `1:31: channels[0].access: token needs push.jwt.key, push.jwt.key_file or push.jwt.keys, and all are empty`},
		{"token with a bad key, said once", "push: {jwt: {key: secret}}\nchannels: [{match: b, access: token}]", `1:19: push.jwt.key: 6 bytes; want at least 32, such as the output of "openssl rand -hex 32"`},
		{"two keys for tokens", "push: {jwt: {key: 0123456789abcdef0123456789abcdef, key_file: /a}}", `1:63: push.jwt.key_file: is set besides push.jwt.key; want one, as the key decides the algorithm`},
		{"relative key file", "push: {jwt: {key_file: a.pem}}", `1:24: push.jwt.key_file: "a.pem" is not an absolute path; want one such as /etc/holdfast/jwt.pem`},
		{"audience without a key", "push: {jwt: {audience: a}}", `1:24: push.jwt.audience: has no effect without push.jwt.key, push.jwt.key_file or push.jwt.keys`},
		{"key with a relative path", "push: {jwt: {keys: [a.pem]}}", `1:20: push.jwt.keys: "a.pem" is not an absolute path; want one such as /etc/holdfast/jwt/2026-11.pem`},
		{"key of no kind", "push: {jwt: {keys: [/a/b.der]}}", `1:20: push.jwt.keys: "/a/b.der" ends in neither .pem, for a public key, nor .secret, for a secret of HS256`},
		{"key without a name", "push: {jwt: {keys: [/a/.pem]}}", `1:20: push.jwt.keys: "/a/.pem" has a name that can't be a kid; want letters, digits and any of -_. before the ending`},
		{"key with a name of other letters", "push: {jwt: {keys: ['/a/b c.pem']}}", `1:20: push.jwt.keys: "/a/b c.pem" has a name that can't be a kid; want letters, digits and any of -_. before the ending`},
		{"two keys of one name", "push: {jwt: {keys: [/a/b.pem, /c/b.secret]}}", `1:20: push.jwt.keys: "b" is the kid of two keys; want a name of its own for each file`},
		{"token cookie", "push: {jwt: {key_file: /a, cookie: 'a;b'}}", `1:36: push.jwt.cookie: "a;b" is not the name of a cookie; want one such as push_token`},
		{"leeway", "push: {jwt: {key_file: /a, leeway: 6m}}", `1:36: push.jwt.leeway: 6m is out of range; want 0 (none) or 1s to 5m`},
		{"misspelt access", "channels: [{match: a, access: pubilc}]", `1:31: channels[0].access: unknown "pubilc"; want public, authorize, token; did you mean "public"?`},
		{"empty rule", "channels: [~]", "1:12: channels[0].match: missing; want a pattern such as \"public.**\"\nc.yaml:1:12: channels[0].access: missing; want public, authorize or token"},
		{"duplicate", "channels:\n- {match: a.*, access: public}\n- {match: b, access: public}\n- {match: a.*, access: public}", `4:11: channels[2].match: "a.*" has a rule already, at line 2; the first match wins`},
		{"hidden by an earlier rule", "push: {authorize_path: /a}\nchannels:\n- {match: a.**, access: public}\n- {match: a.*.admin, access: authorize}", `4:11: channels[1].match: "a.*.admin" is never reached, as "a.**" at line 3 matches all of it and the first match wins`},
		{"empty segment", rule("a..b"), `1:36: channels[0].match: "a..b" has an empty segment`},
		{"dot at the end", rule("a."), `1:36: channels[0].match: "a." has an empty segment`},
		{"** in the middle", rule("a.**.b"), `1:36: channels[0].match: "a.**.b" has ** before its end; it stands for all the segments that remain`},
		{"* in a word", rule("a.b*"), `1:36: channels[0].match: "a.b*" has * beside other characters; it stands for a whole segment`},
		{"***", rule("***"), `1:36: channels[0].match: "***" has * beside other characters; it stands for a whole segment`},
		{"bad character", rule("a b"), `1:36: channels[0].match: "a b" has ' '; want letters, digits, _-:@/=+~., * and **`},
		{"too long", rule(strings.Repeat("a", 256)), `1:36: channels[0].match: 256 bytes; want at most 255`},
		{"history not a block", "channels: [{match: a, access: public, history: off}]", `1:48: channels[0].history: a single value; want keys and values, one of messages, age, bytes`},
	})
}
