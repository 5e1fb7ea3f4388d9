package config

import (
	"strings"
	"testing"
)

func TestRouteErrors(t *testing.T) {
	for _, tt := range []struct{ name, routes, want string }{
		{"no match", "- upstream: http://a", "routes[0].match: missing; want a path such as /shop"},
		{"a relative one", "- {match: shop, upstream: http://a}", `does not begin with /`},
		{"a slash at the end", "- {match: /shop/, upstream: http://a}", "ends with /"},
		{"an encoded one", "- {match: /caf%C3%A9, upstream: http://a}", "other characters"},
		{"twice", "- {match: /a, upstream: http://a}\n- {match: /a, upstream: http://b}", "never reached"},
		{"below an earlier one", "- {match: /a, upstream: http://a}\n- {match: /a/b, upstream: http://b}", "/a/b\" is never reached, as \"/a\" at line 2"},
		{"after everything", "- {match: /, upstream: http://a}\n- {match: /b, upstream: http://b}", "never reached"},
		{"two kinds", "- {match: /a, upstream: http://a, root: /srv}", "more than one of upstream, root and redirect"},
		{"both forms", "- {match: /a, upstream: http://a, upstreams: [{url: http://b}]}", "is set besides upstreams"},
		{"a list without a URL", "- {match: /a, upstreams: [{backup: false}]}", "upstreams[0].url: missing"},
		{"mixed", "- {match: /a, upstreams: [{url: http://a}, {url: fastcgi://b}]}", "some speak FastCGI"},
		{"only backups", "- {match: /a, upstreams: [{url: http://a, backup: true}]}", "all are backups"},
		{"itself", "- {match: /a, upstream: http://127.0.0.1:8080}", "Holdfast would call itself"},
		{"the hooks", "- {match: /a, upstream: http://localhost:9090}", "clients would reach the API"},
		{"scripts without a folder", "- {match: /a, upstream: fastcgi://a}", "routes[0].root: missing"},
		{"a folder without scripts", "- {match: /a, upstream: http://a, site: {root: /srv}}", "has no effect without a fastcgi upstream"},
		{"a relative root", "- {match: /a, root: srv}", "not an absolute path"},
		{"prefix of files", "- {match: /a, root: /srv, upstream_prefix: /b}", "routes[0].upstream_prefix: has no effect here"},
		{"a bad prefix", "- {match: /a, upstream: http://a, upstream_prefix: b/}", "does not begin with /"},
		{"host of a redirect", "- {match: /a, redirect: http://b/, upstream_host: x}", "routes[0].upstream_host: has no effect here"},
		{"a bad host", "- {match: /a, upstream: http://a, upstream_host: 'a b'}", "neither an address nor a host name"},
		{"a redirect to another scheme", "- {match: /a, redirect: 'ftp://b'}", "not a plain http or https URL"},
		{"a redirect to a name", "- {match: /a, redirect: b}", "not a plain http or https URL"},
		{"a redirect to a host without a scheme", "- {match: /a, redirect: //b}", "names a host without a scheme"},
		{"a redirect with a query", "- {match: /a, redirect: 'http://b/?x'}", "has a query"},
		{"a redirect with a line", "- {match: /a, redirect: \"http://b/\\r\\nX: y\"}", "control character"},
		{"a redirect to a host of the client's choice", "- {pattern: '^/(.*)$', redirect: 'https://$1.example.com/'}", "variable in its host"},
		{"a redirect to a host that a variable ends", "- {pattern: '^/(.*)$', redirect: 'https://example.com$1'}", "variable in its host"},
		{"a group without a pattern", "- {match: /a, redirect: /b/$1}", "the route has no pattern"},
		{"a group too many", "- {pattern: '^/(a)$', redirect: /b/$2}", "the pattern has 1 groups"},
		{"a variable of nginx", "- {match: /a, redirect: /b$request_uri}", "want $path"},
		{"no pattern", "- {pattern: '^/(a$', redirect: /b}", "no regular expression"},
		{"two kinds of match", "- {match: /a, exact: /a}", "more than one of match, exact and pattern"},
		{"exact twice", "- {exact: /a, redirect: /b}\n- {exact: /a, redirect: /c}", "never reached"},
		{"a pattern behind everything", "- {match: /, upstream: http://a}\n- {pattern: '^/b', redirect: /c}", "never reached"},
		{"alias of an app", "- {match: /a, upstream: http://a, alias: true}", "has no effect without root"},
		{"alias without match", "- {exact: /a, root: /srv, alias: true}", "has no effect without match"},
		{"rewrite for HTTP", "- {match: /a, rewrite: /b}", "see upstream_prefix"},
		{"a key of connections", "- {match: /a, timeouts: {idle: 5s}}", "routes[0].timeouts.idle: is for connections"},
		{"out of range", "- {match: /a, timeouts: {upstream: 1ms}}", "routes[0].timeouts.upstream: 1ms is out of range"},
		{"a bad denied path", "- {match: /a, deny: [a/b]}", "routes[0].deny[0]"},
		{"an internal redirect", "- {match: /a, redirect: http://b/, internal: true}", "has no effect with redirect"},
		{"an unknown key", "- {match: /a, upsteam: http://b/}", "upstream"},
		{"too many", func() string {
			var b strings.Builder
			for i := range 64 {
				b.WriteString("- {match: /r" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + ", upstream: http://a}\n")
			}
			return b.String()
		}(), "want at most 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte("routes:\n"+tt.routes+"\n"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
	if _, err := Parse("c.yaml", []byte("redirect_https: true\n")); err == nil || !strings.Contains(err.Error(), "needs trusted_proxies") {
		t.Errorf("redirect_https alone: %v", err)
	}
}

func TestRouteOf(t *testing.T) {
	c, err := Parse("c.yaml", []byte("routes:\n- {match: /a/b, upstream: http://one}\n- {match: /a, upstream: http://two}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a": "/a", "/a/b": "/a/b", "/a/b/c?d=/x": "/a/b", "/a/bc": "/a", "/ab": "", "/?/a": "", "/x/../a": "/a"} {
		got := ""
		if r := c.Levels()[0].RouteOf(path); r != nil {
			got = r.Match
		}
		if got != want {
			t.Errorf("%s: route %q; want %q", path, got, want)
		}
	}
}
