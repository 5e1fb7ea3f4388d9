package config

import (
	"reflect"
	"testing"

	"gopkg.in/yaml.v3"

	"holdfast/internal/config/value"
)

func TestListenList(t *testing.T) {
	tcp := func(address string) Listener { return Listener{Address: Listen{Network: "tcp", Address: address}} }
	redirect := func(l Listener) Listener { l.RedirectHTTPS = true; return l }
	for text, want := range map[string]Listeners{
		"listen: 127.0.0.1:80":                                                            {tcp("127.0.0.1:80")},
		"listen: [127.0.0.1:80]":                                                          {tcp("127.0.0.1:80")},
		"listen: ['0.0.0.0:80', '[::]:80', 'unix:/a']":                                    {tcp("0.0.0.0:80"), tcp("[::]:80"), {Address: Listen{Network: "unix", Address: "/a"}}},
		"listen: [{address: ':80', redirect_https: true}, 127.0.0.1:443]":                 {redirect(tcp(":80")), tcp("127.0.0.1:443")},
		"listen: [{address: ':80', redirect_https: true}]\ntrusted_proxies: [10.0.0.0/8]": {redirect(tcp(":80"))},
		"listen: [&a {address: ':1'}, ':2']":                                              {tcp(":1"), tcp(":2")},
	} {
		c, err := Parse("c.yaml", []byte(text))
		if err != nil || !reflect.DeepEqual(c.Listen, want) {
			t.Errorf("%s: %+v, %v", text, c, err)
			continue
		}
		data, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("c.yaml", data)
		if err != nil || !reflect.DeepEqual(again.Listen, want) {
			t.Errorf("%s: written as\n%s\nand read as %+v, %v", text, data, again, err)
		}
	}
}

func TestListenListErrors(t *testing.T) {
	const want = "; want host:port such as 127.0.0.1:8080, or unix:/path"
	check(t, []errorCase{
		{"block alone", "listen: {address: ':80'}", "1:9: listen: a block of keys" + want},
		{"empty list", "listen: []", "1:9: listen: an empty list" + want},
		{"bad entry", "listen: [':80', '81']", `1:17: listen[1]: "81" has no host:port` + want},
		{"entry that is a list", "listen: [':80', [a]]", "1:17: listen[1]: a list" + want + ", or a block with address"},
		{"null entry", "listen: [':80', ~]", "1:17: listen[1]: no value" + want + ", or a block with address"},
		{"bad address in a block", "listen:\n- ':80'\n- address: a", `3:12: listen[1].address: "a" has no host:port` + want},
		{"no address", "listen:\n- ':80'\n- redirect_https: false", "3:3: listen[1].address: missing" + want},
		{"unknown key", "listen: [{address: ':1', redirect_htps: true}]", `1:26: listen[0].redirect_htps: unknown key; did you mean "redirect_https"?`},
		{"twice", "listen: ['127.0.0.1:80', 'localhost:80']", "1:26: listen[1]: localhost:80 and listen[0] 127.0.0.1:80 are the same address; want each once"},
		{"below a wildcard", "listen: ['0.0.0.0:80', '10.0.0.1:80']", "1:24: listen[1]: 10.0.0.1:80 and listen[0] 0.0.0.0:80 are the same address; want each once"},
		{"two wildcards", "listen: [':80', '[::]:80']", "1:17: listen[1]: [::]:80 and listen[0] :80 are the same address; want each once"},
		{"one socket", "listen: ['unix:/a/b', 'unix:/a/./b']", "1:23: listen[1]: unix:/a/./b and listen[0] unix:/a/b are the same address; want each once"},
		{"entry is the hooks", "listen: [':80', '127.0.0.1:9090']", "1:17: listen[1]: hooks.listen 127.0.0.1:9090 and listen 127.0.0.1:9090 are the same address; want two"},
		{"entry is the upstream", "listen: [':80', ':8081']", "1:17: listen[1]: upstream http://127.0.0.1:8081 and listen :8081 are the same address; Holdfast would call itself"},
		{"entry is a route's upstream", "listen: [':80', ':82']\nroutes: [{match: /a, upstream: 'http://localhost:82'}]", "2:32: routes[0].upstream: http://localhost:82 and listen :82 are the same address; Holdfast would call itself"},
		{"nothing but redirects", "listen: [{address: ':80', redirect_https: true}]", "1:10: listen[0]: redirects all requests to https, and so does every other address: want one for the requests that come back, or trusted_proxies if a proxy there ends TLS"},
	})
}

// TestBind: what the system would refuse otherwise.
func TestBind(t *testing.T) {
	for _, tt := range []struct {
		entries  []string
		networks []string
	}{
		{[]string{":80"}, []string{"tcp"}},
		{[]string{"0.0.0.0:80"}, []string{"tcp4"}},
		{[]string{"[::]:80"}, []string{"tcp"}},
		{[]string{"0.0.0.0:80", "[::]:80", "[::]:81"}, []string{"tcp4", "tcp6", "tcp"}},
		{[]string{"[::]:80", "127.0.0.1:80"}, []string{"tcp6", "tcp4"}},
		{[]string{"[::1]:80", "127.0.0.1:80", "unix:/a", "localhost:82"}, []string{"tcp", "tcp4", "unix", "tcp"}},
	} {
		var ls Listeners
		for _, e := range tt.entries {
			var l Listener
			if err := l.Address.UnmarshalText([]byte(e)); err != nil {
				t.Fatal(err)
			}
			ls = append(ls, l)
		}
		for i := range ls {
			if network, address := ls.Bind(i); network != tt.networks[i] || address != ls[i].Address.Address {
				t.Errorf("%v: entry %d binds %s %s", tt.entries, i, network, address)
			}
			for j := range i {
				if value.Overlap(ls[i].Address, ls[j].Address) || value.Overlap(ls[j].Address, ls[i].Address) {
					t.Errorf("%v: %d and %d overlap", tt.entries, i, j)
				}
			}
		}
	}
}
