//go:build e2e && linux

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// doctorApp is an app that does everything right. Its set-ups replace a script.
var doctorApp = map[string]string{
	"index.php": `<?php session_start(); echo 'welcome';`,
	"login.php": `<?php session_start(); $_SESSION['user'] = 'anna'; echo session_name(), '=', session_id();`,
	"authorize.php": `<?php session_start(['read_and_close' => true]);
if (!isset($_SESSION['user'])) { http_response_code(401); exit; }
http_response_code($_GET['channel'] === 'orders.1' ? 204 : 403);`,
	"slow.php": `<?php session_start(); session_write_close(); usleep(1500000); echo 'done';`,
}

// doctorSetUp is an nginx, a Holdfast and an app, with at most one fault.
type doctorSetUp struct {
	name   string
	nginx  []string          // replacements in the block of the documentation
	app    map[string]string // scripts in place of those of doctorApp
	config string            // in place of trusted_proxies: [127.0.0.1]
	rule   string            // of the channels with access authorize; empty: orders.**
	files  int               // the file limit; 0: as of the test
	flags  []string          // of doctor; %s is an address where nobody listens
	want   map[string]string // kinds of the findings that are not fine, by check
}

var doctorSetUps = []doctorSetUp{
	{name: "good"},
	{
		name: "buffering", nginx: []string{"proxy_read_timeout", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_read_timeout"},
		want: map[string]string{"stream": "broken"},
	},
	{
		name: "short read timeout", nginx: []string{"proxy_read_timeout 1h", "proxy_read_timeout 10s"}, flags: []string{"-wait", "14s"},
		want: map[string]string{"silence": "broken"},
	},
	{
		name: "Upgrade stripped", nginx: []string{"proxy_set_header Upgrade $http_upgrade;", "", `"upgrade"`, `""`},
		want: map[string]string{"upgrade": "broken"},
	},
	{
		name: "Host without port", nginx: []string{"Host $outside", "Host $host", "X-Forwarded-Port $server_port", `X-Forwarded-Port ""`},
		want: map[string]string{"host": "broken"},
	},
	{name: "proxy not trusted", config: "trusted_proxies: []", want: map[string]string{"address": "broken"}},
	{
		name: "cookie with a path", app: map[string]string{"index.php": `<?php session_set_cookie_params(['path' => '/shop/']); session_start();`},
		want: map[string]string{"cookie": "broken"},
	},
	{
		name: "authorize fails open", app: map[string]string{"authorize.php": `<?php @include 'check.php'; http_response_code(204);`},
		want: map[string]string{"open": "broken"},
	},
	{
		name: "session lock", app: map[string]string{
			"slow.php":      `<?php session_start(); usleep(1500000); echo 'done';`,
			"authorize.php": `<?php session_start(); if (!isset($_SESSION['user'])) { http_response_code(401); exit; } http_response_code($_GET['channel'] === 'orders.1' ? 204 : 403);`,
		},
		want: map[string]string{"lock": "will bite"},
	},
	{name: "API elsewhere", flags: []string{"-app-hooks", "http://%s"}, want: map[string]string{"api": "broken"}},
	{name: "few files", files: 512, want: map[string]string{"files": "will bite"}},
	{
		name: "HTTP/1.0", nginx: []string{"proxy_http_version 1.1", "proxy_http_version 1.0"},
		want: map[string]string{"http": "will bite", "upgrade": "broken"},
	},
	{
		name: "gzip", nginx: []string{"proxy_read_timeout", "gzip on; gzip_types text/event-stream; gzip_proxied any; proxy_read_timeout"},
		want: map[string]string{"compress": "will bite"},
	},
	{
		name: "forged host", nginx: []string{"proxy_set_header X-Forwarded-Host $outside;", ""},
		want: map[string]string{"forged": "will bite"},
	},
	{
		name: "channel not looked at", app: map[string]string{"authorize.php": `<?php session_start(['read_and_close' => true]); http_response_code(isset($_SESSION['user']) ? 204 : 401);`},
		want: map[string]string{"authorize": "will bite"},
	},
	{
		name: "authorize broken", app: map[string]string{"authorize.php": `<?php echo '<html>Please log in</html>';`},
		want: map[string]string{"authorize": "broken"},
	},
	{
		name: "authorize slow", app: map[string]string{"authorize.php": `<?php usleep(1200000); ` + strings.TrimPrefix(doctorApp["authorize.php"], "<?php ")},
		want: map[string]string{"authorize": "will bite"},
	},
	{
		name: "a rule for users alone", rule: "user.{user}", app: map[string]string{"authorize.php": `<?php http_response_code(204);`},
		want: map[string]string{"open": "will bite"},
	},
	{name: "user denied", flags: []string{"-channel", "orders.2"}, want: map[string]string{"authorize": "broken"}},
	{
		name: "cookies stripped", nginx: []string{"proxy_read_timeout", `proxy_set_header Cookie ""; proxy_read_timeout`},
		want: map[string]string{"cookie": "broken"},
	},
}

// TestDoctorNginx: doctor names the fault of each set-up, and nothing else.
func TestDoctorNginx(t *testing.T) {
	for _, s := range doctorSetUps {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := publicTempDir(t)
			root := filepath.Join(dir, "app")
			mkdirForApache(t, root)
			scripts := maps.Clone(doctorApp)
			maps.Copy(scripts, s.app)
			for name, text := range scripts {
				writeFile(t, filepath.Join(root, name), text)
			}
			h := s.startHoldfast(t, root, startFPM(t, dir, nil))
			addr := freeAddr(t)
			startNginxAt(t, addr, "listen "+addr+";\n"+strings.NewReplacer(s.nginx...).Replace(nginxRecipe(t, h.addr)))
			v := newVisitor(t, "http://"+addr)
			a := v.get("/login.php")
			a.want(t, http.StatusOK)
			r := runDoctor(t, h, "http://"+addr+"/", a.body, append([]string{"-wait", "2s", "-page", "/slow.php"}, s.flags...))
			r.wantFindings(t, s.want)
			if !strings.Contains(r.Front, "nginx") {
				t.Errorf("in front is %q, want nginx", r.Front)
			}
			for _, f := range r.Findings {
				for _, c := range f.Change {
					if c.In == "HAProxy" || c.In == "Apache" {
						t.Errorf("%s: a change for %s behind nginx", f.Check, c.In)
					}
				}
			}
		})
	}
}

func (s *doctorSetUp) startHoldfast(t *testing.T, root, socket string) *holdfast {
	t.Helper()
	listen, hooks := freeAddr(t), freeAddr(t)
	trusted := "trusted_proxies: [127.0.0.1]"
	if s.config != "" {
		trusted = s.config
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, fmt.Sprintf(`listen: %s
upstream: fastcgi+unix:%s
site: {root: %s}
hooks: {listen: %s, token: "0123456789abcdef"}
%s
push: {authorize_path: /authorize.php}
channels:
  - {match: "%s", access: authorize}
`, listen, socket, root, hooks, trusted, cmp.Or(s.rule, "orders.**")))
	cmd := exec.Command(executable, "-config", file)
	if s.files > 0 {
		cmd = exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" -config "$1"`, s.files), executable, file)
	}
	h := startHoldfastCommand(t, cmd, listen, hooks)
	h.config = file
	return h
}

// doctorReport is what doctor writes with -json.
type doctorReport struct {
	Front    string
	Findings []struct {
		Kind, Check, Title, Sent, Seen string
		Change                         []struct {
			In    string
			Lines []string
		}
	}
	text string
	code int
}

// runDoctor runs doctor with the configuration of h, a cookie and more flags.
func runDoctor(t *testing.T, h *holdfast, url, cookie string, flags []string) *doctorReport {
	t.Helper()
	args := []string{"doctor", "-json", "-config", h.config}
	for _, f := range flags {
		args = append(args, strings.ReplaceAll(f, "%s", freeAddr(t)))
	}
	cmd := exec.CommandContext(t.Context(), executable, append(args, url)...)
	if slices.Contains(flags, "-cookie") {
		cmd.Stdin = strings.NewReader("Cookie: " + cookie + "\n")
	} else {
		cmd.Env = append(os.Environ(), "HOLDFAST_COOKIE="+cookie)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := &doctorReport{text: out.String(), code: cmd.ProcessState.ExitCode()}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return r
}

// wantFindings wants these kinds of findings that are not fine, and nothing else.
func (r *doctorReport) wantFindings(t *testing.T, want map[string]string) {
	t.Helper()
	got, code := map[string]string{}, 0
	for _, f := range r.Findings {
		if f.Kind == "fine" {
			continue
		}
		if got[f.Check] = f.Kind; f.Kind == "broken" {
			code = 1
		}
		if f.Title == "" || f.Seen == "" || len(f.Change) == 0 {
			t.Errorf("the finding of %s does not say what it means, what was seen and what to change", f.Check)
		}
	}
	if len(r.Findings) == 0 || !maps.Equal(got, want) || r.code != code {
		t.Errorf("doctor found %v, want %v; exit code %d, want %d:\n%s", got, want, r.code, code, r.text)
	}
}
