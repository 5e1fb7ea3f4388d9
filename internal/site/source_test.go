package site

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSources asks for files that a web server would show and that nobody meant to publish.
func TestSources(t *testing.T) {
	hidden := strings.Fields(`a.cgi a.fcgi a.pl a.py a.rb a.sh a.jsp a.asp a.aspx a.twig a.tpl a.ini a.yml a.yaml a.sql a.bak a.log a.inc a.phps a.PY
		a.php~ a.py~ #a.html# a.swp a.old a.orig a.html.orig a.dist a.lock a.env a.toml a.conf a.sqlite a.sql.gz dump.SQL.zip error.log.1 a.log.2.gz
		composer.json composer.lock package.json Makefile a.inc.bak x.htpasswd a.module a.tex notes.txt
		server.key a.ppk a.JKS a.keystore id_rsa ID_ED25519 server.key.bak`)
	served := strings.Fields(`a.html a.js a.css a.json a.map a.md a.txt a.xml a.pdf a.zip a.tar.gz a.jar a.ts a.wasm a.log.js jquery.tpl.js py log a.7z
		a.pem a.crt a.p12 id_rsa.pub key a.keys
		a.properties a.exe a.csv a.woff2 sql.html a.min.css release.1 data.sqlx`)
	files := map[string]string{"x.php": "<?php"}
	for _, name := range slices.Concat(hidden, served) {
		files[name] = "text of " + name
	}
	root := newTree(t, files)
	escape := strings.NewReplacer("#", "%23").Replace
	s := newSite(t, Options{Root: root, Hide: []string{".tex", "notes.txt"}})
	for _, name := range hidden {
		a, err := s.Serve(&Request{Method: "GET", Path: "/" + escape(name)})
		if err != nil || a.Status != 404 || a.Reason == "" {
			t.Errorf("%s: %d %q, %v", name, a.Status, a.Reason, err)
		}
		if !strings.Contains(name, ".php") && !strings.Contains(a.Reason, "serve_files") {
			t.Errorf("%s: the reason %q names no key", name, a.Reason)
		}
	}
	for _, name := range served {
		if got := ask(t, s, "/"+name); got != "file text of "+name {
			t.Errorf("%s: %s", name, got)
		}
	}
	s = newSite(t, Options{Root: root, Serve: []string{".LOG", ".sql", "composer.json", ".bak"}, Plain: false})
	for name, want := range map[string]bool{"a.log": true, "error.log.1": true, "dump.SQL.zip": true, "composer.json": true, "composer.lock": false, "a.bak": true, "a.py": false, "a.phps": false, "a.php~": false} {
		if got := ask(t, s, "/"+name); (got != "404") != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := ask(t, newSite(t, Options{Root: root, Plain: true}), "/a.py"); got != "file text of a.py" {
		t.Errorf("what only an app hands out: %s", got)
	}
	for _, o := range []Options{
		{Hide: []string{""}}, {Hide: []string{"."}}, {Hide: []string{"a/b"}}, {Hide: []string{"*.log"}}, {Serve: []string{".php"}}, {Serve: []string{"a.phtml.txt"}},
		{Types: []string{"pcx"}}, {Types: []string{"a/b\r\nX: y"}},
	} {
		o.Root = root
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestFindUnprotected(t *testing.T) {
	root := newTree(t, map[string]string{
		".htaccess":           "RewriteEngine On\n<FilesMatch \"^\\.ht\">\nRequire all denied\n</FilesMatch>\nRewriteRule . /index.php [L]\n",
		"a/.htaccess":         "# upload\n  php_flag  engine off\n",
		"b/.htaccess":         "Order deny,allow\nDeny from all\n",
		"c/d/.htaccess":       "AuthType Basic\nRequire valid-user\n",
		"e/.htaccess":         "<Files *.php>\ndeny from all\n</Files>\n",
		"f/.htaccess":         "<FilesMatch \"\\.(txt|md)$\">\nRequire all denied\n</FilesMatch>\n",
		"g/.htaccess":         "Require all granted\nExpiresActive On\n",
		"h/.htaccess":         "RewriteRule ^secret - [F,L]\n",
		"quiet/sub/.htaccess": "php_flag engine off\n",
		".git/.htaccess":      "Deny from all\n",
		"i/.htaccess":         "RemoveHandler .php\n",
	})
	var got []string
	for _, u := range FindUnprotected(root, "/", []string{"/quiet/"}, nil) {
		got = append(got, fmt.Sprintf("%s|%s|%s", strings.TrimPrefix(u.File, root), u.Line, u.Rule))
	}
	want := []string{
		"/a/.htaccess|php_flag engine off|no_scripts: [/a]",
		"/b/.htaccess|Deny from all|routes: [{match: /b, internal: true}], before all others",
		"/c/d/.htaccess|AuthType Basic|routes: [{match: /c/d, internal: true}], before all others",
		"/e/.htaccess|deny from all|no_scripts: [/e]",
		"/f/.htaccess|Require all denied|hide_files, with the endings or names that <filesmatch \"\\.(txt|md)$\"> names",
		"/h/.htaccess|RewriteRule ^secret - [F,L]|routes: [{match: /h/secret, internal: true}], before all others",
		"/i/.htaccess|RemoveHandler .php|no_scripts: [/i]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if list := FindUnprotected(root+"/none", "/", nil, nil); list != nil {
		t.Errorf("without a root: %v", list)
	}
}

// TestProtection: what an .htaccess in /a does that Holdfast does not, and what would. An empty rule is for what is
// refused here as well, or refuses nothing.
func TestProtection(t *testing.T) {
	const before = ", before all others"
	whole := "routes: [{match: /a, internal: true}]" + before
	for text, want := range map[string]string{
		"RedirectMatch 403 ^/a/uploads/.*\\.php$": `no_scripts, with the folders of ^/a/uploads/.*\.php$`,
		"RedirectMatch 404 /a/private/.*":         "routes: [{match: /a/private, internal: true}]" + before,
		"Redirect 403 /a/photos/":                 "routes: [{match: /a/photos, internal: true}]" + before,
		"Redirect Gone \"/a/old\"":                "routes: [{match: /a/old, internal: true}]" + before,
		"<IfModule mod_authz_core.c>\n\t<RequireAll>\n\t\tRequire  all\tdenied\n\t</RequireAll>\n</IfModule>": whole,
		"<If \"%{REQUEST_METHOD} == 'GET'\">\nRequire all denied\n</If>":                                      whole,
		"<Limit GET POST>\nRequire all denied\n</Limit>":                                                      whole,
		"RewriteEngine on\nRewriteRule ^ - [NC,R=403,L]":                                                      whole,
		"RewriteRule .* - [ F ]":                                 whole,
		"RewriteRule ^(.*)$ - [redirect=404]":                    whole,
		"RewriteRule ^private/ \\\n  - \\\n  [forbidden]":        "routes: [{match: /a/private, internal: true}]" + before,
		"RewriteRule ^xmlrpc\\.php$ - [F]":                       "routes: [{match: /a/xmlrpc.php, internal: true}]" + before,
		"RewriteRule \"\\.(txt|log)$\" - [gone]":                 `hide_files, with the endings or names that \.(txt|log)$ names`,
		"RewriteRule ^(tmp|cache)/ - [F,L]":                      "routes with internal: true" + before + ", for the paths of ^(tmp|cache)/",
		"Order allow, deny\nAllow from 10.0.0.0/8":               whole,
		"order Deny,Allow\nDeny from all\nAllow from 10.0.0.0/8": whole,
		"Require not ip 10.0.0.1":                                whole,
		"php_value engine \"Off\"":                               "no_scripts: [/a]",
		"AddType application/octet-stream .php .phtml":           "no_scripts: [/a]",
		"ForceType application/octet-stream":                     "no_scripts: [/a]",
		"<Files *.php>\nRewriteRule ^ - [F]\n</Files>":           "no_scripts: [/a]",

		"order ALLOW,DENY\nallow from all":                                       "",
		"RedirectMatch 404 \"(?:^|/)\\.\"\nRewriteRule (^|/)\\.git - [F]":        "",
		"Redirect 404 /.git\nRewriteRule ^\\.env - [F]":                          "",
		"Redirect 301 /a/x /a/404\nRedirectMatch ^/x$ /gone":                     "",
		"RewriteRule ^(.*)$ /index.php [L,R=301]\nRewriteRule . index.php [QSA]": "",
		"AddType application/x-httpd-php .html\nAddHandler php-script .phtml":    "",
		"AddHandler fcgid-script .php\nphp_flag engine on":                       "",
		"# Require all denied":                                                   "",
		"<FilesMatch \"^\\.ht\">\nRequire all denied\n</FilesMatch>":             "",
	} {
		root := newTree(t, map[string]string{"a/.htaccess": text + "\n"})
		got := ""
		for _, u := range FindUnprotected(root, "/", nil, nil) {
			got += u.Rule
		}
		if got != want {
			t.Errorf("%s\nneeds %q, want %q", text, got, want)
		}
	}
	for _, tt := range []struct {
		text              string
		noScripts, closed []string
		at, want          string
	}{
		{"RedirectMatch 403 \\.php$\nphp_flag engine off", []string{"/a"}, nil, "/", ""},
		{"Require all denied", nil, []string{"/a"}, "/", ""},
		{"Require all denied", nil, []string{"/b", "/"}, "/", ""},
		{"Require all denied", nil, []string{"/a/b"}, "/", "routes: [{match: /a, internal: true}], before all others"},
		{"Redirect 403 /a/b", nil, []string{"/a/b"}, "/", ""},
		{"RewriteRule ^b/ - [F]\nRewriteRule ^c/ - [F]", nil, []string{"/a/b/"}, "/", "routes: [{match: /a/c, internal: true}], before all others"},
		{"Require all denied", nil, nil, "/assets", "routes: [{match: /assets/a, internal: true}], before all others"},
	} {
		root := newTree(t, map[string]string{"a/.htaccess": tt.text + "\n"})
		got := ""
		for _, u := range FindUnprotected(root, tt.at, tt.noScripts, tt.closed) {
			got += u.Rule
		}
		if got != tt.want {
			t.Errorf("%s at %s, no scripts in %v, closed %v: needs %q, want %q", tt.text, tt.at, tt.noScripts, tt.closed, got, tt.want)
		}
	}
}
