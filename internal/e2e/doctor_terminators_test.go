//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDoctorTerminators: behind the TLS terminators of the documentation doctor finds nothing, and the fault where there
// is one.
func TestDoctorTerminators(t *testing.T) {
	const page = "docs/operate/tls.md"
	for _, tt := range []struct {
		name    string
		change  []string // replacements in the recipe
		flags   []string
		proxied bool // the PROXY header is used
		want    map[string]string
	}{
		{name: "nginx"},
		{name: "nginx without scheme", change: []string{"proxy_set_header X-Forwarded-Proto $scheme;", "", "X-Forwarded-Port $server_port", `X-Forwarded-Port ""`}, want: map[string]string{"scheme": "broken"}},
		{name: "haproxy"},
		{name: "haproxy with a short timeout", change: []string{"timeout tunnel 1h", "timeout tunnel 3s"}, flags: []string{"-wait", "6s"}, want: map[string]string{"silence": "broken"}},
		{name: "haproxy with a short wait", change: []string{"timeout server 60s", "timeout server 3s"}, flags: []string{"-wait", "6s"}, want: map[string]string{"silence": "broken"}},
		{name: "haproxy without address", change: []string{"http-request set-header X-Forwarded-For %[src]", ""}, want: map[string]string{"address": "broken"}},
		{name: "haproxy by TCP", proxied: true},
		{name: "apache"},
		{name: "apache with another host", change: []string{"ProxyPreserveHost On", "ProxyPreserveHost Off", "RequestHeader unset Forwarded", "ProxyAddHeaders Off\n    RequestHeader set X-Forwarded-For 192.0.2.1"}, want: map[string]string{"host": "broken"}},
		{name: "apache without upgrade", change: []string{"RewriteEngine On", "RewriteEngine Off"}, want: map[string]string{"upgrade": "broken"}},
		{name: "apache that believes visitors", change: []string{"RequestHeader unset X-Forwarded-Host", "", "RequestHeader unset Forwarded", "ProxyAddHeaders Off\n    RequestHeader set X-Forwarded-For 192.0.2.1"}, want: map[string]string{"forged": "will bite"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := publicTempDir(t)
			root := filepath.Join(dir, "app")
			mkdirForApache(t, root)
			for name, text := range doctorApp {
				writeFile(t, filepath.Join(root, name), text)
			}
			var h *holdfast
			if tt.proxied { // which a path of php-fpm can't be, as Holdfast asks it by its own listener
				h = startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
					return fmt.Sprintf("listen: %s\nupstream: http://%s\nhooks: {listen: %s}\ntrusted_proxies: [127.0.0.1]\nproxy_protocol: true\n", listen, freeAddr(t), hooks)
				})
			} else {
				h = new(doctorSetUp).startHoldfast(t, root, startFPM(t, dir, nil))
			}
			addr, pem := freeAddr(t), newCertificate(t, t.TempDir())
			recipe := func(language string) string {
				var list []string
				for _, b := range pageBlocks(t, page) {
					if b.language == language {
						list = append(list, b.code)
					}
				}
				code := list[0]
				if tt.proxied {
					code = list[1]
				}
				for i := 0; i < len(tt.change); i += 2 {
					if !strings.Contains(code, tt.change[i]) {
						t.Fatalf("the recipe has no %q", tt.change[i])
					}
				}
				return strings.NewReplacer(append(slices.Clone(tt.change), "127.0.0.1:8080", h.addr)...).Replace(code)
			}
			switch kind, _, _ := strings.Cut(tt.name, " "); kind {
			case "nginx":
				startNginxAt(t, addr, fmt.Sprintf("listen %s ssl; ssl_certificate %s; ssl_certificate_key %[2]s;\n%s", addr, pem, recipe("nginx")))
			case "haproxy":
				file := filepath.Join(t.TempDir(), "haproxy.cfg")
				writeFile(t, file, strings.NewReplacer("bind :443", "bind "+addr, "/etc/haproxy/www.pem", pem).Replace(recipe("haproxy"))+"\n")
				start(t, "haproxy", exec.Command(program(t, "/usr/sbin/haproxy", "haproxy"), "-db", "-f", file)).waitListening(t, addr)
			case "apache":
				var modules string
				for _, name := range []string{"headers", "rewrite", "proxy", "proxy_http", "proxy_wstunnel", "socache_shmcb", "ssl"} {
					modules += "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
				}
				code := strings.NewReplacer("*:443", "*:"+portOf(t, addr), `"443"`, `"`+portOf(t, addr)+`"`).Replace(recipe("apache"))
				startApache(t, dir, dir, modules+"SSLCertificateFile "+pem+"\nListen "+addr+"\n"+code+"\n")
			}
			login := ""
			if !tt.proxied {
				v := newVisitor(t, "https://"+addr)
				v.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // its own certificate
				a := v.get("/login.php")
				a.want(t, http.StatusOK)
				login = a.body
			}
			r := runDoctor(t, h, "https://"+addr+"/", login, append([]string{"-insecure", "-wait", "2s", "-page", "/slow.php", "-channel", "orders.1", "-cookie", "-"}, tt.flags...))
			r.wantFindings(t, tt.want)
			wantLines := map[string][]string{"nginx": {"nginx"}, "apache": {"Apache"}, "haproxy": {"nginx", "HAProxy", "Apache"}} // which gives no name
			got := map[string]bool{}
			for _, f := range r.Findings {
				for _, c := range f.Change {
					if f.Kind != "fine" && c.In != "config.yaml" {
						got[c.In] = true
					}
				}
			}
			kind, _, _ := strings.Cut(tt.name, " ")
			if len(tt.want) > 0 && !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(wantLines[kind]))) {
				t.Errorf("changes are for %v, want %v", got, wantLines[kind])
			}
		})
	}
}

// TestDoctorCertificate: a certificate that browsers refuse is named, and nothing is sent to such a server.
func TestDoctorCertificate(t *testing.T) {
	h := startHoldfast(t, "http://"+freeAddr(t), "")
	addr, pem := freeAddr(t), newCertificate(t, t.TempDir())
	startNginxAt(t, addr, fmt.Sprintf("listen %s ssl; ssl_certificate %s; ssl_certificate_key %[2]s;\n%s", addr, pem, nginxRecipe(t, h.addr)))
	r := runDoctor(t, h, "https://"+addr, "", []string{"-hooks", h.hooks})
	if len(r.Findings) == 0 || r.Findings[0].Check != "reach" || r.Findings[0].Title != "Browsers refuse the certificate." || r.code != 1 {
		t.Errorf("exit code %d:\n%s", r.code, r.text)
	}
}

// TestDoctorRefusals: a wrong token of doctor's, and one that the app has sent before.
func TestDoctorRefusals(t *testing.T) {
	dir := publicTempDir(t)
	s := doctorSetUp{}
	h := s.startHoldfast(t, dir, filepath.Join(dir, "none.sock"))
	r := runDoctor(t, h, h.url, "", []string{"-token", "fedcba9876543210"})
	if len(r.Findings) == 0 || r.Findings[0].Check != "api" || r.Findings[0].Title != "Holdfast's API refuses the token." || r.code != 1 {
		t.Errorf("a wrong token: exit code %d:\n%s", r.code, r.text)
	}
	r = runDoctor(t, h, h.url, "", []string{"-wait", "1s"})
	for _, f := range r.Findings {
		if f.Check == "api" && (f.Kind != "will bite" || !strings.Contains(f.Title, "1 with status 401")) {
			t.Errorf("after one request was refused:\n%s", r.text)
		}
	}
	if !strings.Contains(r.Front, "without a proxy") || len(r.Findings) < 10 {
		t.Errorf("without a proxy in front:\n%s", r.text)
	}
}

// TestDoctorElsewhere: a URL that leads to another server, or nowhere, and an API that does not answer.
func TestDoctorElsewhere(t *testing.T) {
	h := startHoldfast(t, "http://"+freeAddr(t), "")
	other := startApp(t, http.NotFoundHandler())
	for _, tt := range []struct{ url, hooks, check string }{
		{other, h.hooks, "reach"},
		{"http://" + freeAddr(t), h.hooks, "reach"},
		{h.url, "http://" + freeAddr(t), "api"},
		{h.url, other, "api"},
	} {
		r := runDoctor(t, h, tt.url, "", []string{"-hooks", tt.hooks})
		if len(r.Findings) == 0 || r.Findings[0].Check != tt.check || r.Findings[0].Kind != "broken" || r.code != 1 {
			t.Errorf("%s with the API %s: exit code %d:\n%s", tt.url, tt.hooks, r.code, r.text)
		}
	}
}
