package changes

import (
	"slices"
	"strings"
	"testing"

	"holdfast/internal/config"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const sites = `
sites:
  - hosts: [a.test]
    upstream: http://127.0.0.1:1
    routes: [{match: /x, limits: {body: 1MB}}]
`

func TestKeys(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"", "", ""},
		{"", "# a comment\nlog: {level: info}", ""},
		{"", "log: {level: debug}", "log.level"},
		{"listen: 127.0.0.1:1", "listen: 127.0.0.1:2", "listen[0].address"},
		{"listen: 127.0.0.1:1", "listen: [127.0.0.1:1, 127.0.0.1:2]", "listen"},
		{"upstream: http://127.0.0.1:1", "upstream: http://127.0.0.1:2\npush: {heartbeat: 5s}", "upstream push.heartbeat"},
		{"trusted_proxies: []", "trusted_proxies: [10.0.0.0/8]", "trusted_proxies"},
		{"channels: [{match: a, access: public}]", "channels: [{match: a, access: public, history: {messages: 1, age: 1m}}]", "channels[0].history.messages channels[0].history.age"},
		{"channels: [{match: a, access: public}]", "channels: []", "channels"},
		{sites, strings.Replace(sites, "1MB", "2MB", 1), "sites[0].routes[0].limits.body"},
		{sites, strings.Replace(sites, "routes: [", "timeouts: {send: 5s}\n    routes: [", 1), "sites[0].timeouts.send sites[0].routes[0].timeouts.send"},
		{"", "fastcgi_params: {A: b}", "fastcgi_params"},
	} {
		if got := strings.Join(Keys(parse(t, tt.a), parse(t, tt.b)), " "); got != tt.want {
			t.Errorf("%q and %q: %s; want %s", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	keys := []string{"log.level", "log.format", "sites", "sites[0].routes[1].limits.body", "routes[0].limits.header", "push.path"}
	if got := Without(keys, "log.level", "limits.body", "sites", "push"); !slices.Equal(got, []string{"log.format", "routes[0].limits.header"}) {
		t.Error(got)
	}
	if got := Without([]string{"push.pathology", "sites[0].limits.body"}, "push.path", "limits.body"); !slices.Equal(got, []string{"push.pathology"}) {
		t.Error(got)
	}
}
