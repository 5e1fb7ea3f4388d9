package explain

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/config"
)

// tree makes files with their names in them, below a folder of its own.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func parse(t *testing.T, format string, args ...any) *config.Config {
	t.Helper()
	c, err := config.Parse("c.yaml", fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRequest(t *testing.T) {
	root := tree(t, "index.php", "a.css", "dir/index.html", ".env", "x/tool.php")
	c := parse(t, `upstream: fastcgi+unix:/run/php.sock
sites:
  - hosts: [app.test]
    push: true
    root: %[1]s
    try_files: [/index.php$path]
    deny: ["*.sql"]
    routes:
      - {match: /up, limits: {body: 5MB}}
      - {pattern: "^/old/(.*)$", redirect: "/new/$1"}
      - {exact: /soon, redirect: /later, redirect_status: 302}
      - {match: /api, upstream: "http://127.0.0.1:9", upstream_prefix: /v1, upstream_host: api.internal, cache: [{match: /api/list}], inject: [{match: /api/page, polls: [/x]}]}
      - {match: /files, root: %[1]s}
      - {match: /secret, internal: true}
      - {match: /back, allow: [10.0.0.0/8]}
      - {exact: /one, rewrite: "/x/tool.php?a=b"}
  - hosts: [b.test]
    redirect: https://app.test
`, root)
	for request, wants := range map[string][]string{
		"GET https://app.test/up/x?y":            {"site      app.test (sites[0], line 3)", "route     /up (sites[0].routes[0], line 9)", "by the script " + root + "/index.php", `PATH_INFO "/up/x"`},
		"https://app.test/a.css":                 {"request   GET /a.css", "route     none of 8", "200, the file " + root + "/a.css"},
		"HEAD https://app.test/a.css":            {"200, the head of a file"},
		"GET https://app.test":                   {"request   GET /\n", "by the script " + root + "/index.php"},
		"GET https://app.test/dir?x":             {"301 to /dir/?x"},
		"GET https://app.test/.env":              {"404: name that begins with a dot"},
		"GET https://app.test/x.sql":             {"404, as deny names the path"},
		"GET https://app.test/old/a%20b?z":       {"301 to /new/a%20b?z"},
		"POST https://app.test/old/a":            {"308 to /new/a"},
		"POST https://app.test/soon":             {"302 to /later"},
		"GET https://app.test/api/list?a":        {"GET /v1/list?a with Host api.internal, by 127.0.0.1:9", "rule      sites[0].routes[3].cache[0] /api/list, answered from memory"},
		"POST https://app.test/api/page":         {"POST /v1/page", "inject    sites[0].routes[3].inject[0] /api/page"},
		"GET https://app.test/files/a.css":       {"path      /a.css", "200, the file " + root + "/a.css"},
		"GET https://app.test/files":             {"301 to /files/"},
		"GET https://app.test/files/x/tool.php":  {"404: script below a prefix of no_scripts"},
		"GET https://app.test/secret/x":          {"404 Not Found: route that is internal"},
		"GET https://app.test/back/x":            {"access    for some clients only", "by the script"},
		"GET https://app.test/one":               {"by the script " + root + "/x/tool.php", `QUERY_STRING "a=b"`},
		"GET https://app.test/_push?channel=a":   {"by Holdfast itself: the push path /_push"},
		"GET https://b.test/x?y":                 {"301 to https://app.test/x?y"},
		"GET https://c.test/":                    {"421 Misdirected Request: Host that no site has"},
		"GET https://app.test/files/..%2fup":     {"400 Bad Request"},
		"GET https://app.test/a%zz":              {"400 Bad Request"},
		"TRACE https://app.test/":                {"405 Method Not Allowed"},
		"GET https://app.test/a?b#c":             {"request   GET /a?b\n"},
		"GET https://a b.test/":                  nil,
		"app.test":                               nil,
		"":                                       nil,
		"GET ftp://app.test/":                    nil,
		"GET https://app.test/\r\nHost: b.test ": nil,
	} {
		got, err := Request(c, request)
		if (err != nil) != (wants == nil) {
			t.Errorf("%q: error %v", request, err)
		}
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%q: no %q in\n%s", request, want, got)
			}
		}
	}
}

// TestFrom: each value has the level that says it.
func TestFrom(t *testing.T) {
	root := tree(t, "index.html")
	c := parse(t, `timeouts: {send: 7s}
try_files: [/index.php]
deny: [a]
push_headers: true
sites:
  - hosts: [app.test]
    upstream: http://127.0.0.1:9
    timeouts: {body: 8s}
    routes:
      - {match: /up, limits: {body: 5MB}, deny: []}
      - {match: /files, root: %s}
`, root)
	for request, wants := range map[string][]string{
		"GET http://app.test/up": {
			"upstream http://127.0.0.1:9 site, line 7", "timeouts.send 7s top, line 1", "timeouts.body 8s site, line 8", "limits.body 5MB route, line 10",
			"limits.burst 0 default", "deny none route, line 10", "push_headers false default", "upstream_host none default",
		},
		"GET http://app.test/":       {"limits.body 0 default", "deny [a] top, line 3"},
		"GET http://app.test/files/": {"root " + root + " route, line 11", "try_files none default", "index [index.html] default", "timeouts.body 8s site, line 8"},
	} {
		got, err := Request(c, request)
		if err != nil {
			t.Fatal(err)
		}
		got = regexp.MustCompile(`(?m)^ +| +$`).ReplaceAllString(regexp.MustCompile(` +`).ReplaceAllString(got, " "), "")
		for _, want := range wants {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("%s: no %q in\n%s", request, want, got)
			}
		}
		for _, no := range []string{"timeouts.idle", "limits.header", "buffers.total"} {
			if strings.Contains(got, no) {
				t.Errorf("%s: has %s", request, no)
			}
		}
	}
}
