package doctor

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/inspect"
)

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		cookie, target string
		want           bool
	}{
		{"/", "/_push", true},
		{"/legacy", "/_push", false},
		{"/legacy", "/legacy/_push", true},
		{"/legacy/", "/legacy/_push", true},
		{"/leg", "/legacy/_push", false},
		{"/_push", "/_push", true},
		{"/_push/", "/_push", false},
	} {
		if got := covers(tt.cookie, tt.target); got != tt.want {
			t.Errorf("a cookie of %s is sent to %s: %v", tt.cookie, tt.target, got)
		}
	}
}

// visitOf returns a visit of a page by a push path.
func visitOf(t *testing.T, page string, s inspect.Settings) *visit {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	return &visit{page: u, server: &session{Settings: s}, report: &Report{}}
}

func TestCookieFault(t *testing.T) {
	for _, tt := range []struct{ page, cookie, want string }{
		{"http://app.test/", "PHPSESSID=1; path=/", ""},
		{"http://app.test/", "PHPSESSID=1", ""},
		{"http://app.test/login.php", "PHPSESSID=1", ""},
		{"http://app.test/shop/login.php", "PHPSESSID=1", "only for /shop"},
		{"http://app.test/shop/", "JSESSIONID=1; Path=/shop", "only for /shop"},
		{"http://app.test/", "id=1; Path=/_push/", "only for /_push/"},
		{"http://app.test/", "sid=1; Path=/; Secure", "only for https"},
		{"http://127.0.0.1:8080/", "sid=1; Path=/; Secure", ""},
		{"https://app.test/", "sid=1; Path=/; Secure; SameSite=None", ""},
		{"https://app.test/", "sid=1; Path=/; SameSite=None", "without Secure"},
		{"https://www.app.test/", "sid=1; Path=/; Domain=app.test", ""},
		{"https://app.test/", "sid=1; Path=/; Domain=.app.test", ""},
		{"https://app.test/", "sid=1; Path=/; Domain=inside.test", "for the host inside.test"},
		{"https://badapp.test/", "sid=1; Path=/; Domain=app.test", "for the host app.test"},
	} {
		v := visitOf(t, tt.page, inspect.Settings{PushPaths: []string{"/_push"}})
		c, err := http.ParseSetCookie(tt.cookie)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.cookieFault(setCookie{c, v.page.Path}).Title; (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s on %s: %q, want %q", tt.cookie, tt.page, got, tt.want)
		}
	}
	v := visitOf(t, "http://app.test/shop/", inspect.Settings{PushPaths: []string{"/_push", "/shop/_push"}})
	if f := v.cookieFault(setCookie{&http.Cookie{Name: "a", Path: "/shop"}, "/shop/"}); f.Title != "" {
		t.Errorf("one of two push paths is enough: %q", f.Title)
	}
}

func TestIsSession(t *testing.T) {
	for _, tt := range []struct {
		known []string
		name  string
		want  bool
	}{
		{nil, "PHPSESSID", true}, {nil, "JSESSIONID", true}, {nil, "sessionid", true}, {nil, "connect.sid", true},
		{nil, "wordpress_logged_in_0a", true}, {nil, "theme", false}, {nil, "_ga", false},
		{[]string{"login", "wp_*"}, "login", true}, {[]string{"login", "wp_*"}, "wp_0a", true}, {[]string{"login", "wp_*"}, "PHPSESSID", false},
	} {
		if got := visitOf(t, "http://a.test/", inspect.Settings{SessionCookies: tt.known}).isSession(tt.name); got != tt.want {
			t.Errorf("%s, with %v configured: %v", tt.name, tt.known, got)
		}
	}
}

func TestInventChannel(t *testing.T) {
	for rules, want := range map[string]tried{
		"orders.**":               {"orders.holdfast-doctor-", true, false},
		"orders.*":                {"orders.holdfast-doctor-", true, false},
		"**":                      {"holdfast-doctor-", true, false},
		"*.news":                  {"holdfast-doctor-", true, false},
		"news":                    {"news", false, false},
		"user.{user}":             {"user.holdfast-doctor", false, true},
		"user.{user}.**":          {"user.holdfast-doctor.holdfast-doctor-", false, true},
		"user.{user} orders.**":   {"orders.holdfast-doctor-", true, false},
		"user.{user} page.{user}": {"user.holdfast-doctor", false, true},
	} {
		var list []inspect.Rule
		for match := range strings.FieldsSeq(rules) {
			list = append(list, inspect.Rule{Match: match})
		}
		got := inventChannel(list)
		if !strings.HasPrefix(got.name, want.name) || got.invented != want.invented || got.owned != want.owned || strings.ContainsAny(got.name, "*{") {
			t.Errorf("%s: %+v, want %+v", rules, got, want)
		}
	}
}

func TestAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"http App.test": "app.test 80", "https app.test": "app.test 443", "https app.test:8443": "app.test 8443",
		"http [::1]:8080": "::1 8080", "http [::1]": "::1 80",
	} {
		scheme, host, _ := strings.Cut(in, " ")
		if name, port := authority(scheme, host); name+" "+port != want {
			t.Errorf("%s: %s %s, want %s", in, name, port, want)
		}
	}
}

// TestReportText: what hurts most stands first, and no line is longer than a terminal.
func TestReportText(t *testing.T) {
	r := &Report{URL: "https://app.test/", Front: "behind nginx", NotTested: []string{strings.Repeat("word ", 40)}}
	r.add(Finding{Kind: Fine, Check: checkReach, Title: "It is reached."})
	r.add(Finding{Kind: WillBite, Check: checkFiles, Title: "Few files.", Seen: "512"})
	r.add(Finding{Kind: Broken, Check: checkSilence, Title: "Cut.", Change: []Change{{In: "nginx", Lines: []string{"proxy_read_timeout 1h;"}}, inConfig("push: {heartbeat: 5s}"), {In: ours, Lines: []string{"a: b"}, Also: true}}})
	r.add(Finding{Kind: Broken, Check: checkStream, Title: "Buffered."})
	r.sort()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `https://app.test/, behind nginx

BROKEN     Buffered.

BROKEN     Cut.
  change   nginx:
               proxy_read_timeout 1h;
  or       config.yaml:
               push: {heartbeat: 5s}
  and      config.yaml:
               a: b

WILL BITE  Few files.
  seen     512

fine       It is reached.
not tested word`
	if !strings.HasPrefix(b.String(), want) || !strings.HasSuffix(b.String(), "\n\n2 broken, 1 will bite, 1 fine\n") {
		t.Errorf("got\n%s", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > textWidth+1 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
}

// TestClip: nothing of others gets to a terminal that acts on it.
func TestClip(t *testing.T) {
	if got := clip("a\x1b[31m\nb\x7f"); got != "a [31m b " {
		t.Errorf("%q", got)
	}
	if got := clip(strings.Repeat("é", 100)); len(got) > 170 || !strings.HasSuffix(got, "é…") {
		t.Errorf("%q", got)
	}
}

// TestEveryCheckHasARank: a finding of a check that is not in order would stand first.
func TestEveryCheckHasARank(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range order {
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
	}
	for _, name := range []string{
		checkReach, checkAPI, checkOpen, checkStream, checkPublish, checkScheme, checkHost, checkUpgrade, checkSilence, checkCookie,
		checkAuthorize, checkLock, checkAddress, checkForged, checkCompress, checkHTTP, checkFiles,
	} {
		if !seen[name] {
			t.Errorf("%s has no rank", name)
		}
	}
}

func TestJudgeLock(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name                        string
		page, longest, ended, usual time.Duration
		failure                     string
		want                        Kind // empty: not tested
	}{
		{"a lock", 1500 * ms, 1400 * ms, 1510 * ms, 5 * ms, "", WillBite},
		{"seen by the second request", 1500 * ms, 800 * ms, 1500 * ms, 5 * ms, "", WillBite},
		{"no lock", 1500 * ms, 6 * ms, 110 * ms, 5 * ms, "", Fine},
		{"a slow machine", 1500 * ms, 600 * ms, 700 * ms, 5 * ms, "", Fine},
		{"always slow", 1500 * ms, 1400 * ms, 1500 * ms, 1300 * ms, "", Fine},
		{"a fast page", 40 * ms, 6 * ms, 110 * ms, 5 * ms, "", ""},
		{"a lock beyond the timeout", 20000 * ms, 5000 * ms, 5100 * ms, 5 * ms, "timeout", Broken},
	} {
		v := visitOf(t, "http://app.test/", inspect.Settings{})
		v.judgeLock(v.page, tt.page, tt.longest, tt.ended, tt.usual, tt.failure)
		got := Kind("")
		if len(v.report.Findings) > 0 {
			got = v.report.Findings[0].Kind
		}
		if got != tt.want || (got == "") != (len(v.report.NotTested) == 1) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
