//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ruleRow is a path, and what both servers answer: "file", "script NAME INFO ?QUERY", "to LOCATION" or "denied".
type ruleRow struct{ target, want string }

// testRules wants the configuration of a page to answer as nginx does with the rules that the app's own manual has for it. Files
// are below the root: each answers with its name, and a script with what it was run for.
func testRules(t *testing.T, page, root, files, nginx string, rows []ruleRow) {
	t.Helper()
	dir := publicTempDir(t)
	here := filepath.Join(dir, "app")
	for name := range strings.FieldsSeq(files) {
		text := "file /" + name
		if strings.HasSuffix(name, ".php") {
			text = `<?php echo 'script ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '', ' ?', $_SERVER['QUERY_STRING'] ?? '';
				if ($_SERVER['SCRIPT_FILENAME'] !== __FILE__ || $_SERVER['DOCUMENT_ROOT'] !== '` + here + `') echo ' of ', $_SERVER['SCRIPT_FILENAME'], ' in ', $_SERVER['DOCUMENT_ROOT'];
				if ($_SERVER['REQUEST_URI'] !== $_SERVER['HTTP_X_TARGET']) echo ' for ', $_SERVER['REQUEST_URI'];`
		}
		name = filepath.Join(here, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, text)
	}
	socket := startFPM(t, dir, nil)
	test := func(url string) func(t *testing.T) {
		return func(t *testing.T) {
			v := newVisitor(t, url)
			for _, row := range rows {
				a := v.do(http.MethodGet, row.target, http.Header{"X-Target": {row.target}}, nil)
				got := fmt.Sprintf("%d %s", a.StatusCode, a.body)
				switch {
				case a.StatusCode == http.StatusOK && (strings.HasPrefix(a.body, "script ") || strings.HasPrefix(a.body, "file ")):
					got = strings.TrimSpace(a.body)
				case a.StatusCode == http.StatusMovedPermanently || a.StatusCode == http.StatusFound:
					got = "to " + strings.TrimPrefix(a.Header.Get("Location"), url)
				case a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusForbidden:
					got = "denied"
				}
				if got != row.want {
					t.Errorf("%s: %q, want %q", row.target, got, row.want)
				}
			}
		}
	}
	t.Run("nginx", test(startNginxWith(t, strings.NewReplacer("ROOT", here, "FPM", "unix:"+socket).Replace(nginx))))
	p := newAppPage(t, page)
	p.settings = []string{"/run/php/php-fpm.sock", socket, root, here}
	t.Run("holdfast", test(p.start(t).url))
}

// TestMediaWikiShortURLs: pages below /wiki/, and only those scripts of /w/ that clients need.
func TestMediaWikiShortURLs(t *testing.T) {
	testRules(t, "docs/how-to/mediawiki-short-urls.md", "/var/www/mediawiki",
		"w/index.php w/load.php w/api.php w/rest.php w/maintenance/update.php w/LocalSettings.php w/images/a.png w/images/6/64/Favicon.ico w/images/deleted/a.png "+
			"w/resources/assets/logo.svg w/resources/lib/x/x.js w/resources/Resources.txt w/skins/Vector/style.css w/skins/Vector/skin.json w/extensions/X/x.js w/COPYING w/README robots.txt other.txt",
		`
		root ROOT;
		location ~ ^/w/(index|load|api|thumb|opensearch_desc|rest|img_auth)\.php$ {
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_pass FPM;
		}
		location /w/images { }
		location /w/images/deleted { deny all; }
		location ~ ^/w/resources/(assets|lib|src) { try_files $uri =404; }
		location ~ ^/w/(skins|extensions)/.+\.(css|js|gif|jpg|jpeg|png|svg|wasm|ttf|woff|woff2)$ { try_files $uri =404; }
		location = /favicon.ico { alias ROOT/w/images/6/64/Favicon.ico; }
		location ~ ^/w/(COPYING|CREDITS)$ { }
		location /w/rest.php/ { try_files $uri $uri/ /w/rest.php?$query_string; }
		location /wiki/ { rewrite ^/wiki/(.*)$ /w/index.php; }
		location = /robots.txt { }
		location = / { return 301 /wiki/Main_Page; }
		location / { return 404; }`,
		[]ruleRow{
			{"/", "to /wiki/Main_Page"}, {"/wiki/Main_Page", "script /w/index.php  ?"}, {"/wiki/Talk:C%2B%2B?action=edit", "script /w/index.php  ?action=edit"},
			{"/wiki/Caf%C3%A9", "script /w/index.php  ?"}, {"/wiki/AC%2FDC", "script /w/index.php  ?"}, {"/wiki/a.php", "script /w/index.php  ?"}, {"/wiki/100%25", "script /w/index.php  ?"},
			{"/wiki/What%3F", "script /w/index.php  ?"}, {"/wiki/.htaccess", "script /w/index.php  ?"}, {"/wiki", "denied"},
			{"/w/index.php?title=A&x=1", "script /w/index.php  ?title=A&x=1"}, {"/w/load.php?x", "script /w/load.php  ?x"}, {"/w/api.php", "script /w/api.php  ?"},
			{"/w/rest.php/v1/page/A?x=1", "script /w/rest.php  ?x=1"}, {"/w/rest.php", "script /w/rest.php  ?"},
			{"/w/index.php/A", "denied"}, {"/w/maintenance/update.php", "denied"}, {"/w/LocalSettings.php", "denied"}, {"/w/thumb.php", "denied"}, {"/w/", "denied"}, {"/w/README", "denied"}, {"/other.txt", "denied"},
			{"/w/images/a.png", "file /w/images/a.png"}, {"/w/images/deleted/a.png", "denied"}, {"/w/images/none.png", "denied"},
			{"/w/resources/assets/logo.svg", "file /w/resources/assets/logo.svg"}, {"/w/resources/lib/x/x.js", "file /w/resources/lib/x/x.js"}, {"/w/resources/Resources.txt", "denied"},
			{"/w/skins/Vector/style.css", "file /w/skins/Vector/style.css"}, {"/w/skins/Vector/skin.json", "denied"}, {"/w/extensions/X/x.js", "file /w/extensions/X/x.js"},
			{"/w/COPYING", "file /w/COPYING"}, {"/favicon.ico", "file /w/images/6/64/Favicon.ico"}, {"/robots.txt", "file /robots.txt"}, {"/x/../w/README", "denied"}, {"/x/../wiki/A", "script /w/index.php  ?"},
		})
}

// TestWordPressMultisite: the sites of a network are folders in the path, which do not exist on the disk.
func TestWordPressMultisite(t *testing.T) {
	testRules(t, "docs/how-to/wordpress-multisite.md", "/var/www/wordpress",
		"index.php wp-login.php xmlrpc.php wp-cron.php wp-admin/index.php wp-admin/post.php wp-admin/css/a.css wp-content/themes/t/style.css wp-content/uploads/2026/a.png wp-content/uploads/evil.php "+
			"wp-includes/ms-files.php wp-includes/js/a.js readme.html .htaccess",
		`
		root ROOT;
		index index.php;
		location ~ /\. { deny all; }
		location ~* /(?:uploads|files)/.*\.php$ { deny all; }
		location ~ ^(/[^/]+/)?files/(.+) { try_files /wp-content/blogs.dir/-999/files/$2 /wp-includes/ms-files.php?file=$2; }
		if (!-e $request_filename) {
			rewrite /wp-admin$ $scheme://$host:$server_port$request_uri/ permanent;
			rewrite ^(/[^/]+)?(/wp-.*) $2 last;
			rewrite ^(/[^/]+)?(/.*\.php) $2 last;
		}
		location / { try_files $uri $uri/ /index.php?$args; }
		location ~ \.php$ {
			try_files $uri =404;
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_pass FPM;
		}`,
		[]ruleRow{
			{"/", "script /index.php  ?"}, {"/?p=1", "script /index.php  ?p=1"}, {"/2026/11/hello/", "script /index.php  ?"}, {"/site/", "script /index.php  ?"}, {"/site/2026/?s=a%20b", "script /index.php  ?s=a%20b"},
			{"/wp-login.php", "script /wp-login.php  ?"}, {"/site/wp-login.php?a=1", "script /wp-login.php  ?a=1"}, {"/site/xmlrpc.php", "script /xmlrpc.php  ?"}, {"/wp-admin", "to /wp-admin/"}, {"/wp-admin?a", "to /wp-admin/?a"}, {"/wp-admin/", "script /wp-admin/index.php  ?"},
			{"/wp-admin/post.php?post=1", "script /wp-admin/post.php  ?post=1"}, {"/site/wp-admin/post.php", "script /wp-admin/post.php  ?"}, {"/site/wp-admin/", "script /wp-admin/index.php  ?"}, {"/site/wp-admin", "to /site/wp-admin/"},
			{"/site/wp-admin/css/a.css", "file /wp-admin/css/a.css"}, {"/wp-content/themes/t/style.css?ver=1", "file /wp-content/themes/t/style.css"}, {"/site/wp-content/themes/t/style.css", "file /wp-content/themes/t/style.css"},
			{"/site/wp-includes/js/a.js", "file /wp-includes/js/a.js"}, {"/wp-content/uploads/2026/a.png", "file /wp-content/uploads/2026/a.png"}, {"/readme.html", "file /readme.html"},
			{"/wp-content/uploads/evil.php", "denied"}, {"/site/wp-content/uploads/evil.php", "denied"}, {"/wp-content/UPLOADS/x.PHP", "denied"}, {"/site/files/2026/a.php", "denied"},
			{"/site/files/2026/a.png", "script /wp-includes/ms-files.php  ?file=2026/a.png"}, {"/files/2026/a.png", "script /index.php  ?"}, {"/none.php", "denied"}, {"/site/none.php", "denied"}, {"/site/wp-none.php", "denied"},
			{"/site/wp-none", "script /index.php  ?"}, {"/a/b/wp-includes/js/a.js", "script /index.php  ?"}, {"/.htaccess", "denied"}, {"/.git/config", "denied"}, {"/site/.env", "denied"},
		})
}

// TestNextcloud: one front controller with the path as PATH_INFO, some scripts of their own, and folders that are nobody's.
func TestNextcloud(t *testing.T) {
	testRules(t, "docs/how-to/nextcloud.md", "/var/www/nextcloud",
		"index.php remote.php public.php cron.php status.php console.php occ version.php ocs/v1.php ocs/v2.php ocs-provider/index.php updater/index.php core/ajax/update.php core/css/server.css core/js/main.js core/img/logo.svg "+
			"core/fonts/a.woff2 apps/files/img/a.png apps/files/appinfo/info.php config/config.php data/admin/files/a.txt lib/base.php 3rdparty/x.php .htaccess robots.txt .well-known/acme-challenge/token apps/richdocumentscode/proxy.php",
		`
		root ROOT;
		index index.php index.html /index.php$request_uri;
		location = /robots.txt { }
		location ^~ /.well-known {
			location = /.well-known/carddav { return 301 /remote.php/dav/; }
			location = /.well-known/caldav { return 301 /remote.php/dav/; }
			location /.well-known/acme-challenge { try_files $uri $uri/ =404; }
			location /.well-known/pki-validation { try_files $uri $uri/ =404; }
			return 301 /index.php$request_uri;
		}
		location ~ ^/(?:build|tests|config|lib|3rdparty|templates|data)(?:$|/) { return 404; }
		location ~ ^/(?:\.|autotest|occ|issue|indie|db_|console) { return 404; }
		location ~ \.php(?:$|/) {
			rewrite ^/(?!index|remote|public|cron|core\/ajax\/update|status|ocs\/v[12]|updater\/.+|ocs-provider\/.+|.+\/richdocumentscode(_arm64)?\/proxy) /index.php$request_uri;
			fastcgi_split_path_info ^(.+?\.php)(/.*)$;
			set $path_info $fastcgi_path_info;
			try_files $fastcgi_script_name =404;
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_param PATH_INFO $path_info;
			fastcgi_pass FPM;
		}
		location ~ \.(?:css|js|mjs|svg|gif|ico|jpg|png|webp|wasm|tflite|map|ogg|flac|mp4|webm)$ { try_files $uri /index.php$request_uri; }
		location ~ \.(otf|woff2?)$ { try_files $uri /index.php$request_uri; }
		location /remote { return 301 /remote.php$request_uri; }
		location / { try_files $uri $uri/ /index.php$request_uri; }`,
		[]ruleRow{
			{"/", "script /index.php  ?"}, {"/index.php", "script /index.php  ?"}, {"/index.php/apps/files/?dir=/a", "script /index.php /apps/files/ ?dir=/a"}, {"/apps/dashboard/", "script /index.php /apps/dashboard/ ?"},
			{"/apps/mail?x=1", "script /index.php /apps/mail ?x=1"}, {"/apps/files/", "script /index.php /apps/files/ ?"}, {"/s/aBcd", "script /index.php /s/aBcd ?"}, {"/login?direct=1", "script /index.php /login ?direct=1"},
			{"/remote.php/dav/files/anna/a%20b.txt", "script /remote.php /dav/files/anna/a b.txt ?"}, {"/remote.php", "script /remote.php  ?"}, {"/public.php/webdav/", "script /public.php /webdav/ ?"}, {"/status.php", "script /status.php  ?"}, {"/cron.php", "script /cron.php  ?"},
			{"/ocs/v2.php/cloud/user?format=json", "script /ocs/v2.php /cloud/user ?format=json"}, {"/ocs-provider/index.php", "script /ocs-provider/index.php  ?"}, {"/updater", "to /updater/"}, {"/updater/", "script /updater/index.php  ?"}, {"/updater/index.php", "script /updater/index.php  ?"}, {"/core/ajax/update.php", "script /core/ajax/update.php  ?"},
			{"/apps/richdocumentscode/proxy.php", "script /apps/richdocumentscode/proxy.php  ?"},
			{"/version.php", "script /index.php /version.php ?"}, {"/apps/files/appinfo/info.php", "script /index.php /apps/files/appinfo/info.php ?"}, {"/none.php", "script /index.php /none.php ?"}, {"/remote/dav", "to /remote.php/remote/dav"}, {"/remote", "to /remote.php/remote"},
			{"/core/css/server.css?v=1", "file /core/css/server.css"}, {"/core/js/main.js", "file /core/js/main.js"}, {"/core/img/logo.svg", "file /core/img/logo.svg"}, {"/core/fonts/a.woff2", "file /core/fonts/a.woff2"}, {"/apps/files/img/a.png", "file /apps/files/img/a.png"},
			{"/css/theme.css", "script /index.php /css/theme.css ?"}, {"/core/fonts/none.woff", "script /index.php /core/fonts/none.woff ?"}, {"/robots.txt", "file /robots.txt"},
			{"/config/config.php", "denied"}, {"/config", "denied"}, {"/data/admin/files/a.txt", "denied"}, {"/lib/base.php", "denied"}, {"/3rdparty/x.php", "denied"}, {"/.htaccess", "denied"}, {"/occ", "denied"}, {"/console.php", "denied"}, {"/db_structure.xml", "denied"},
			{"/configuration", "script /index.php /configuration ?"}, {"/x/../data/a", "denied"},
			{"/.well-known/caldav", "to /remote.php/dav/"}, {"/.well-known/carddav", "to /remote.php/dav/"}, {"/.well-known/webfinger?resource=acct:a", "to /index.php/.well-known/webfinger?resource=acct:a"},
			{"/.well-known/acme-challenge/token", "file /.well-known/acme-challenge/token"}, {"/.well-known/acme-challenge/none", "denied"},
		})
}
