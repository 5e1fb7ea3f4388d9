//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// accessScript shows what a script learns of a login and of its parameters.
const accessScript = `<?php
header('X-Powered-By: PHP/0'); header('X-Frame-Options: ALLOWALL'); header('Vary: Cookie');
foreach (['REMOTE_USER', 'AUTH_TYPE', 'PHP_AUTH_USER', 'HTTP_AUTHORIZATION', 'HTTP_REMOTE_USER', 'HTTP_PROXY', 'APP_ENV', 'SERVER_NAME', 'HTTP_X_MODE', 'REMOTE_ADDR'] as $n)
	echo $n, '=', ($_SERVER[$n] ?? '') ?: '-', "\n";
echo 'memory_limit=', ini_get('memory_limit'), ' precision=', ini_get('precision'), "\n";`

// TestAccessBesideNginx: the same rules, and the same requests, give the same answers as nginx, and scripts learn the same.
func TestAccessBesideNginx(t *testing.T) {
	htpasswd := program(t, "/usr/bin/htpasswd", "apache2-utils")
	dir := publicTempDir(t)
	root := filepath.Join(dir, "app")
	for _, name := range []string{"open", "closed", "private", "either"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name, "a.php"), accessScript)
		writeFile(t, filepath.Join(root, name, "a.txt"), name)
	}
	users := filepath.Join(dir, "users")
	for i, method := range []string{"-cbB", "-bm", "-bs", "-b2", "-b5"} {
		if out, err := exec.Command(htpasswd, method, users, fmt.Sprint("user", i), fmt.Sprint("secret", i)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Chmod(users, 0o644); err != nil {
		t.Fatal(err)
	}
	socket := startFPM(t, dir, nil)
	nginx := startNginxWith(t, fmt.Sprintf(`
		server_name app.test;
		root %[1]s;
		set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; real_ip_recursive on;
		add_header X-Frame-Options DENY always; fastcgi_hide_header X-Frame-Options; fastcgi_hide_header X-Powered-By;
		location ~ \.php$ { %[4]s }
		location /closed/ { auth_basic "Back office"; auth_basic_user_file %[3]s; location ~ \.php$ { %[4]s } location ~ \.txt$ { expires 30d; } }
		location /private/ { allow 192.0.2.0/24; deny all; location ~ \.php$ { %[4]s } }
		location /either/ { satisfy any; allow 192.0.2.0/24; deny all; auth_basic "Back office"; auth_basic_user_file %[3]s; location ~ \.php$ { %[4]s } }
	`, root, socket, users, fmt.Sprintf(`include /etc/nginx/fastcgi.conf;
			fastcgi_param APP_ENV production; fastcgi_param SERVER_NAME shop.test; fastcgi_param HTTP_X_MODE ours;
			fastcgi_param PHP_VALUE "memory_limit=77M
precision=9"; fastcgi_param HTTP_PROXY "";
			fastcgi_pass unix:%s;`, socket)))
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`listen: %s
hooks: {listen: %s}
trusted_proxies: [127.0.0.1]
upstream: fastcgi+unix:%s
root: %s
headers: {X-Frame-Options: DENY, X-Powered-By: null}
fastcgi_params: {APP_ENV: production, SERVER_NAME: shop.test, HTTP_X_MODE: ours, PHP_VALUE: ["memory_limit=77M", "precision=9"]}
routes:
- {match: /closed, basic_auth: %[5]s, basic_auth_realm: Back office, expires: 30d}
- {match: /private, allow: [192.0.2.0/24]}
- {match: /either, satisfy: any, allow: [192.0.2.0/24], basic_auth: %[5]s, basic_auth_realm: Back office}
`, listen, hooks, socket, root, users)
	})
	ask := func(url, target, from string, login []string) (status int, challenge, lifetime, frame, body string) {
		req, err := http.NewRequest(http.MethodGet, url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "app.test"
		req.Header = http.Header{"X-Forwarded-For": {from}, "Remote-User": {"mallory"}, "Proxy": {"http://evil.test"}, "X-Mode": {"client"}}
		if login != nil {
			req.SetBasicAuth(login[0], login[1])
		}
		a, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		challenge, _, _ = strings.Cut(a.Header.Get("WWW-Authenticate"), ",")
		if a.StatusCode == 200 {
			body = string(text)
		}
		return a.StatusCode, challenge, a.Header.Get("Cache-Control"), strings.Join(a.Header["X-Frame-Options"], "|") + a.Header.Get("X-Powered-By"), body
	}
	logins := [][]string{nil, {"user0", "secret1"}, {"nobody", "secret0"}, {"user0", ""}}
	for i := range 5 {
		logins = append(logins, []string{fmt.Sprint("user", i), fmt.Sprint("secret", i)})
	}
	seen := map[int]int{}
	for _, target := range []string{"/open/a.txt", "/open/a.php", "/closed/a.txt", "/closed/a.php", "/closed/none.txt", "/private/a.txt", "/private/a.php", "/either/a.txt", "/either/a.php"} {
		for i, from := range []string{"192.0.2.7", "198.51.100.1"} {
			for j, login := range logins {
				from := from
				if i == 1 {
					from = fmt.Sprint("198.51.100.", j+1) // or the address has failed too often
				}
				s1, c1, l1, f1, b1 := ask(nginx, target, from, login)
				s2, c2, l2, f2, b2 := ask(h.url, target, from, login)
				if l1 == "max-age=2592000" && l1 != l2 && s2 == 200 {
					t.Errorf("%s: Cache-Control %q; nginx has %q", target, l2, l1)
				}
				// nginx has as REMOTE_USER whoever a client says it is where nobody has to log in.
				user := "-"
				if strings.HasPrefix(target, "/closed/") || strings.HasPrefix(target, "/either/") && i == 1 {
					if login != nil {
						user = login[0]
					}
				}
				if strings.HasSuffix(target, ".php") && s2 == 200 && !strings.HasPrefix(b2, "REMOTE_USER="+user+"\nAUTH_TYPE="+map[bool]string{true: "-", false: "Basic"}[user == "-"]+"\n") {
					t.Errorf("%s from %s with %v: %q", target, from, login, b2)
				}
				if _, rest, ok := strings.Cut(b1, "PHP_AUTH_USER"); ok {
					b1 = rest
					_, b2, _ = strings.Cut(b2, "PHP_AUTH_USER")
				}
				if s1 != s2 || c1 != c2 || f1 != f2 || b1 != b2 {
					t.Errorf("%s from %s with %v: %d %s %s %q\nnginx: %d %s %s %q", target, from, login, s2, c2, f2, b2, s1, c1, f1, b1)
				}
				seen[s2]++
			}
		}
	}
	for _, status := range []int{200, 401, 403, 404} {
		if seen[status] < 3 {
			t.Errorf("statuses %v", seen)
		}
	}
}
