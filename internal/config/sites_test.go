package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestInheritance: a route has what it says, or else its site, or else the top; a list replaces a list.
func TestInheritance(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
sites: # before what it takes
  - hosts: [Shop.example.com, "*.shop.example.com"]
    root: /var/www/shop
    timeouts: {upstream: 20s}
    deny: ["*.sql"]
    routes:
      - {match: /upload, limits: {body: 100MB}, timeouts: {upstream: 10m}, deny: []}
      - {match: /img, root: /srv/img}
      - {match: /mail, root: /srv/mail, alias: true}
      - {match: /api, upstream: "http://api:8080"}
      - {match: /old, redirect: /new}
  - hosts: [wiki.example.com]
    push: true
    upstream: http://wiki:8080
    upstream_host: wiki.internal
  - hosts: [example.com]
    default: true
    redirect: https://shop.example.com
    routes: [{match: /status, limits: {requests_per_second: 1}}]
upstream: fastcgi+unix:/run/php.sock
try_files: [/index.php]
index: [index.php]
timeouts: {upstream: 30s, send: 5s}
limits: {body: 1MB}
deny: ["*.bak"]
polls: [{match: /poll}]
routes: [{exact: /robots.txt, timeouts: {send: 6s}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	describe := func(b *Block) string {
		kind := "files " + b.Root
		switch {
		case b.Redirect != "":
			kind = "redirect " + b.Redirect
		case b.FastCGI():
			kind = fmt.Sprintf("scripts %s try %v index %v", b.Root, b.TryFiles, b.Index)
		case !b.Files():
			kind = "app " + b.Servers(c.UpstreamPool)[0].URL.String() + " " + b.Host
		}
		return fmt.Sprintf("%s upstream %s send %s body %s deny %v polls %d push %v", kind, b.Timeouts.Upstream, b.Timeouts.Send, b.Limits.Body, b.Deny, len(b.Polls), b.Headers)
	}
	shop, wiki, rest := &c.Sites[0], &c.Sites[1], &c.Sites[2]
	for _, tt := range []struct{ got, want string }{
		{describe(&shop.Block), "scripts /var/www/shop try [/index.php] index [index.php] upstream 20s send 5s body 1MB deny [*.sql] polls 1 push false"},
		{describe(&shop.Routes[0].Block), "scripts /var/www/shop try [/index.php] index [index.php] upstream 10m send 5s body 100MB deny [] polls 1 push false"},
		{describe(&shop.Routes[1].Block), "files /srv/img upstream 20s send 5s body 1MB deny [*.sql] polls 1 push false"},
		{describe(&shop.Routes[2].Block), "scripts /srv/mail try [/index.php] index [index.php] upstream 20s send 5s body 1MB deny [*.sql] polls 1 push false"},
		{describe(&shop.Routes[3].Block), "app http://api:8080  upstream 20s send 5s body 1MB deny [*.sql] polls 1 push false"},
		{describe(&shop.Routes[4].Block), "redirect /new upstream 20s send 5s body 1MB deny [*.sql] polls 1 push false"},
		{describe(&wiki.Block), "app http://wiki:8080 wiki.internal upstream 30s send 5s body 1MB deny [*.bak] polls 1 push false"},
		{describe(&wiki.Routes[0].Block), "app http://wiki:8080 wiki.internal upstream 30s send 6s body 1MB deny [*.bak] polls 1 push false"},
		{describe(&rest.Routes[0].Block), "redirect https://shop.example.com upstream 30s send 5s body 1MB deny [*.bak] polls 1 push false"},
	} {
		if tt.got != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
	if img, mail := &shop.Routes[1], &shop.Routes[2]; !slices.Equal(img.Index, []string{"index.html"}) || img.TryFiles != nil || !img.Cuts() || !mail.Cuts() {
		t.Errorf("files: %+v, %+v", img, mail)
	}
	if shop.Push || !wiki.Push || rest.Push || c.PushHost() != "wiki.example.com" || c.PushSite().Name() != "wiki.example.com" {
		t.Errorf("push on shop %v, wiki %v, rest %v", shop.Push, wiki.Push, rest.Push)
	}
	if got := c.Source("timeouts.upstream", shop.Routes[0].Key(), shop.Key(), ""); got != "sites[0].routes[0].timeouts.upstream" {
		t.Error(got)
	}
	if got := c.Source("timeouts.send", wiki.Routes[0].Key(), wiki.Key(), ""); got != "routes[0].timeouts.send" {
		t.Error(got)
	}
	if got := c.Source("timeouts.body", shop.Key(), ""); got != "" {
		t.Error(got)
	}
	if shop.Hosts[0] != "shop.example.com" {
		t.Error(shop.Hosts)
	}
}

// TestEarlierSite: the keys of root as they were written before there were sites mean what they meant.
func TestEarlierSite(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
upstream: fastcgi://127.0.0.1:9000
site: {root: /var/www/html, try_files: [/index.php], index: [home.php], hide_files: [.tex], follow_links: true}
routes:
  - {match: /blog, upstream: "fastcgi://127.0.0.1:9001", site: {root: /var/www/blog}}
  - {match: /files, root: /srv/files}
  - {match: /slow}
`))
	if err != nil {
		t.Fatal(err)
	}
	blog, files, slow := c.Routes[0], c.Routes[1], c.Routes[2]
	if blog.Root != "/var/www/blog" || blog.TryFiles != nil || blog.HideFiles != nil || blog.FollowLinks || len(blog.Index) != 2 || blog.Cuts() || !blog.FastCGI() {
		t.Errorf("blog: %+v", blog)
	}
	if files.Root != "/srv/files" || !files.Files() || files.TryFiles != nil || len(files.HideFiles) != 1 || files.FollowLinks || files.Index[0] != "index.html" || !files.Cuts() {
		t.Errorf("files: %+v", files)
	}
	if slow.Root != "/var/www/html" || !slow.FastCGI() || slow.Own() || slow.Cuts() {
		t.Errorf("slow: %+v", slow)
	}
}

func TestSiteErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no hosts", "sites: [{upstream: http://a}]", "sites[0].hosts: missing"},
		{"a bad host", "sites: [{hosts: ['a b']}]", "sites[0].hosts[0]: \"a b\" is not a host name"},
		{"a host with a port", "sites: [{hosts: ['a:80']}]", "has the port 80"},
		{"twice", "sites: [{hosts: [a]}, {hosts: [b, A]}]", "sites[1].hosts[1]: \"A\" is a host of sites[0].hosts[0] too, at line 1"},
		{"two defaults", "sites: [{hosts: [a], default: true}, {hosts: [b], default: true}]", "sites[1].default: sites[0] has it too"},
		{"a site's own listener", "sites: [{hosts: [a], listen: ':80'}]", "listen belongs at the top level"},
		{"a key of connections", "sites: [{hosts: [a], limits: {header: 8KB}}]", "sites[0].limits.header: is for connections"},
		{"scripts without a folder", "sites: [{hosts: [a], upstream: fastcgi://a}]", "sites[0].root: missing"},
		{"two kinds", "sites: [{hosts: [a], upstream: http://a, root: /srv}]", "more than one of upstream, root and redirect"},
		{"itself", "sites: [{hosts: [a], upstream: http://127.0.0.1:8080}]", "Holdfast would call itself"},
		{"authorize of nobody", "sites: [{hosts: [a], upstream: http://a}]\npush: {authorize_path: /a}", "no site that has it"},
		{"a route of a site", "sites: [{hosts: [a], routes: [{match: a}]}]", "sites[0].routes[0].match: \"a\" does not begin with /"},
		{"a shared route, once", "sites: [{hosts: [a]}, {hosts: [b]}]\nroutes: [{match: a}]", "c.yaml:2:18: routes[0].match: \"a\" does not begin with /"},
		{"rules in a site", "sites: [{hosts: [a], cache: [{match: b}]}]", "sites[0].cache[0].match"},
		{"an earlier key", "sites: [{hosts: [a], site: {root: /a}}]", "sites[0].site: unknown key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v; want one, %q", err, tt.want)
			}
		})
	}
}
