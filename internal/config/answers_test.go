package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAnswersErrors: each slip is told with its place and what is wanted.
func TestAnswersErrors(t *testing.T) {
	check(t, []errorCase{
		{"host as an address", "allow: [10.0.0.0/8, localhost]", `1:21: allow[1]: "localhost" is no address and no block of addresses; want one such as 10.0.0.0/8 or 2001:db8::1, all, or unix:`},
		{"bits behind the length", "deny_addresses: [10.0.0.1/8]", `1:18: deny_addresses[0]: "10.0.0.1/8" has bits behind its length; want 10.0.0.0/8; want one such as 10.0.0.0/8 or 2001:db8::1, all, or unix:`},
		{"both", "allow: [10.0.0.1]\ndeny_addresses: ['::ffff:10.0.0.1']", `2:17: deny_addresses: "::ffff:10.0.0.1" is both allowed and denied`},
		{"address as a path", "deny: [10.0.0.0/8]", `1:8: deny[0]: "10.0.0.0/8" is an address, and deny has paths; want it in deny_addresses`},
		{"status", "routes: [{match: /a, deny_status: 200}]", `1:35: routes[0].deny_status: 200 is out of range; want 400 to 499, and not 401, 407 or 408`},
		{"status of a redirect", "routes: [{match: /a, redirect: /b, redirect_status: 304}]", `1:53: routes[0].redirect_status: 304 is no status of a redirect; want 0 (301, or 308 unless it is a GET), 301, 302, 303, 307 or 308`},
		{"relative file", "basic_auth: htpasswd", `1:13: basic_auth: "htpasswd" is not an absolute path; want the file of users, such as /etc/holdfast/htpasswd, or off`},
		{"realm", `basic_auth_realm: "a\nb"`, `1:19: basic_auth_realm: has a control character`},
		{"satisfy", "satisfy: both", `1:10: satisfy: "both" is neither all nor any`},
		{"expires", "expires: soon", `1:10: expires: "soon" is not a duration; want one such as 30d or 1h, max, epoch or off`},
		{"expires without a unit", "expires: 30", `1:10: expires: "30" is not a duration; want one such as 30d or 1h, max, epoch or off`},
		{"expires too late", "expires: 4000d", `1:10: expires: "4000d" is out of range; want at most 3650d`},
		{"list of headers", "headers: [a]", `1:10: headers: is no block of names and values; want names and values such as {X-Frame-Options: DENY, X-Powered-By: null}`},
		{"framing", "headers:\n  X-A: b\n  Content-Length: 5", `3:19: headers.Content-Length: "Content-Length" is a header that Holdfast itself has to write`},
		{"line break", "headers: {X-A: \"b\\nX-B: c\"}", `1:16: headers.X-A: "X-A" has a control character, such as a line break, in its value`},
		{"no name", "headers: {'a b': c}", `1:18: headers: "a b" is no name of a header`},
		{"twice", "headers: {X-A: b, x-a: c}", `1:19: headers.x-a: is there twice; want names and values such as {X-Frame-Options: DENY, X-Powered-By: null}`},
		{"framing of requests", "request_headers: {content-length: '5'}", `1:35: request_headers.content-length: "content-length" is a header that Holdfast itself has to write or to know`},
		{"host of requests", "request_headers: {Host: a}", `1:25: request_headers.Host: "Host" is a header that Holdfast itself has to write or to know; see upstream_host`},
		{"client of requests", "routes: [{match: /a, request_headers: {X-Real-IP: 1.2.3.4}}]", `1:51: routes[0].request_headers.X-Real-IP: "X-Real-IP" is a header in which Holdfast says who the client is; see trusted_proxies and external`},
		{"underscore in requests", "request_headers: {X_User: a}", `1:27: request_headers.X_User: "X_User" has other characters than letters, digits and dashes: PHP and CGI read them as another name`},
		{"line break in requests", `request_headers: {X-A: "secret\nX-B: c"}`, `1:24: request_headers.X-A: "X-A" has a control character, such as a line break, in its value`},
		{"variable of nginx", "request_headers: {X-A: $remote_user}", `1:24: request_headers.X-A: "X-A" has $remote_user; want $user`},
		{"unknown variable", "request_headers: {X-A: a$b}", `1:24: request_headers.X-A: "X-A" has a $ that begins no variable; want $user, $client, $host or $scheme, or $$ for a dollar sign`},
		{"several values", "request_headers: {X-A: [a, b]}", `1:24: request_headers.X-A: is a list; want text or null`},
		{"word", "request_headers: {X-A: {add: b}}", `1:24: request_headers.X-A: has the word add, which is for headers of responses; want text or null`},
		{"unknown word", "headers: {X-A: {set: b}}", `1:16: headers.X-A: is a block of keys; want text, a list, or one of {add: VALUE} and {default: VALUE}; want names and values such as {X-Frame-Options: DENY, X-Powered-By: null}`},
		{"httpoxy", "fastcgi_params: {HTTP_PROXY: ''}", `1:30: fastcgi_params.HTTP_PROXY: "HTTP_PROXY" is a name by which programs choose the proxy for their own requests (httpoxy)`},
		{"computed", "sites: [{default: true, fastcgi_params: {SCRIPT_FILENAME: /x}}]", `1:59: sites[0].fastcgi_params.SCRIPT_FILENAME: "SCRIPT_FILENAME" is a parameter that Holdfast computes of the request; see root and script_root`},
		{"no status", "error_pages: {200: /a.html}", `1:20: error_pages.200: "200" is no list of statuses from 400 to 599, such as 404 or "502 503 504"`},
		{"script as a page", "error_pages: {404: /404.php}", `1:20: error_pages.404: "/404.php" is a script's; want a file that is sent as it is, such as /404.html`},
		{"relative page", "error_pages: {404: 404.html}", `1:20: error_pages.404: "404.html" is no path; want a file below root such as /404.html, or anywhere such as /srv/pages/down.html`},
		{"page with dots", "error_pages: {404: /a/../b.html}", `1:20: error_pages.404: "/a/../b.html" is no path; want a file below root such as /404.html, or anywhere such as /srv/pages/down.html`},
		{"trace", "trace: true", `1:8: trace: "true" is neither off nor log nor make`},
		{"trace of a route", "routes: [{match: /a, trace: 'on'}]", `1:29: routes[0].trace: "on" is neither off nor log nor make`},
		{"sample", "trace_sample: 101", `1:15: trace_sample: 101 is out of range; want 0 to 100`},
		{"sample below zero", "trace_sample: -1", `1:15: trace_sample: -1 is out of range; want 0 to 100`},
		{"two traces", "trace: make\nrequest_headers: {TraceParent: x}", `2:32: request_headers.TraceParent: is set besides trace: make, which makes it; want null, so that no client's is believed`},
		{"two traces, by a route", "request_headers: {tracestate: a=b}\nroutes: [{match: /a, trace: make}]", `2:29: routes[0].trace: make makes tracestate, which request_headers sets; want null there, so that no client's is believed`},
		{"word in a parameter", "fastcgi_params: {A: {add: b}}", `1:21: fastcgi_params.A: has the word add, which is for headers; want text or null`},
	})
}

// TestAnswersOfLevels: a route has what its site has, by name and by key, and its own takes nothing from the others.
func TestAnswersOfLevels(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
headers: {X-A: top, X-B: top, Link: {add: [a, b]}}
allow: [10.0.0.0/8]
expires: 30d
sites:
- hosts: [a.test]
  headers: {x-a: site, X-C: null}
  basic_auth: /etc/users
  routes:
  - {match: /r, headers: {X-B: {default: route}}, allow: [], basic_auth: off, expires: max}
  - {match: /s, expires: off}
- hosts: [b.test]
`))
	if err != nil {
		t.Fatal(err)
	}
	show := func(b *Block) string {
		age, _ := b.MaxAge()
		var list []string
		for _, h := range b.Changes() {
			list = append(list, fmt.Sprintf("%s %d %v", h.Name, h.How, h.Values))
		}
		return fmt.Sprintf("%s; allow %v; users %q; %d days", strings.Join(list, ", "), b.Allow, b.Users(), age/(24*time.Hour))
	}
	for _, tt := range []struct {
		b    *Block
		want string
	}{
		{&c.Block, `Link 1 [a b], X-A 0 [top], X-B 0 [top]; allow [10.0.0.0/8]; users ""; 30 days`},
		{&c.Sites[0].Block, `Link 1 [a b], X-B 0 [top], X-C 3 [], x-a 0 [site]; allow [10.0.0.0/8]; users "/etc/users"; 30 days`},
		{&c.Sites[0].Routes[0].Block, `Link 1 [a b], X-B 2 [route], X-C 3 [], x-a 0 [site]; allow []; users ""; 3650 days`},
		{&c.Sites[0].Routes[1].Block, `Link 1 [a b], X-B 0 [top], X-C 3 [], x-a 0 [site]; allow [10.0.0.0/8]; users "/etc/users"; 0 days`},
		{&c.Sites[1].Block, `Link 1 [a b], X-A 0 [top], X-B 0 [top]; allow [10.0.0.0/8]; users ""; 30 days`},
	} {
		if got := show(tt.b); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
