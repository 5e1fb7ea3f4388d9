package route

import (
	"strings"
	"testing"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/site"
)

func head(t *testing.T, target string) *http1.Head {
	t.Helper()
	h := new(http1.Head)
	if r := h.Parse([]byte("GET "+target+" HTTP/1.1\r\nHost: a.test\r\n\r\n"), http1.Limits{Bytes: 1 << 20, Fields: 10}); r != nil {
		t.Fatalf("%s: %v", target, r)
	}
	return h
}

// only returns the route of a table that has one.
func only(t *testing.T, o Options) *Table {
	t.Helper()
	table, err := NewTable(balance.NewSet(balance.Options{}), Options{Match: "/"}, []Options{o})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestLocation: whatever a client sends, it cannot choose the host of a redirect, nor end its line.
func TestLocation(t *testing.T) {
	for _, tt := range []struct {
		o            Options
		target, want string
	}{
		{Options{Match: "/a", Redirect: "https://b.test/c/"}, "/a/d?e", "https://b.test/c/d?e"},
		{Options{Match: "/a", Redirect: "/b"}, "/a", "/b/"},
		{Options{Match: "/a", Redirect: "/"}, "/a/d?e", "/d?e"},
		{Options{Match: "/a", Redirect: "/"}, "/a//evil.test", "/.//evil.test"},
		{Options{Match: "/a", Redirect: "/"}, `/a/\evil.test`, `/./\evil.test`},
		{Options{Match: "/a", Redirect: "https://b.test"}, "/a//evil.test", "https://b.test//evil.test"},
		{Options{Match: "/a", Redirect: "/b$path"}, "/a//d?e", "/b/a//d?e"},
		{Options{Exact: "/", Redirect: "/start/"}, "/?a=b", "/start/?a=b"},
		{Options{Exact: "/", Redirect: "/start/?x=1"}, "/?a=b", "/start/?x=1"},
		{Options{Exact: "/", Redirect: "/s?$query"}, "/?a=b", "/s?a=b"},
		{Options{Pattern: "^/go/(.*)$", Redirect: "$1"}, "/go/https://evil.test", "/https:/evil.test"},
		{Options{Pattern: "^/go(.*)$", Redirect: "$1"}, "/go//evil.test", "/evil.test"},
		{Options{Pattern: "^/go(.*)$", Redirect: "$1"}, "/go", "/"},
		{Options{Pattern: "^/go$", Redirect: "$query"}, `/go?\evil.test`, `/./\evil.test?\evil.test`},
		{Options{Pattern: "^/go/(.*)$", Redirect: "/$1"}, "/go//evil.test", "/evil.test"},
		{Options{Pattern: "^/go/(.*)$", Redirect: "/$1"}, "/go/%5cevil.test", "/%5Cevil.test"},
		{Options{Pattern: "^/(.*)$", Redirect: "$path"}, "//evil.test", "/.//evil.test"},
		{Options{Pattern: "^/go/(.*)$", Redirect: "https://b.test/$1"}, "/go/a%3Fb%23c&d", "https://b.test/a%3Fb%23c%26d"},
		{Options{Pattern: "^/go/(?P<id>[0-9]+)$", Redirect: "/a/${id}.html"}, "/go/%37", "/a/7.html"},
	} {
		table, h := only(t, tt.o), head(t, tt.target)
		r, refusal := table.Find(h.Path)
		if refusal != nil || r == table.Rest() {
			t.Errorf("%s: %v", tt.target, refusal)
			continue
		}
		if got := string(r.Location(h)); got != "Location: "+tt.want+"\r\n" {
			t.Errorf("%+v: %s: %q, want %q", tt.o, tt.target, got, tt.want)
		}
	}
}

func TestLookup(t *testing.T) {
	plain, err := site.New(site.Options{Root: "/srv"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		o            Options
		target       string
		path, base   string
		query        string
		lacksASlash  bool
		isOfTheTable bool
	}{
		{Options{Match: "/a", Files: plain}, "/a/b%20c?d", "/a/b%20c", "", "d", false, true},
		{Options{Match: "/a", Files: plain, Below: true}, "/a/b?d", "/b", "/a", "d", false, true},
		{Options{Match: "/a", Files: plain, Below: true}, "/a", "/", "/a", "", true, true},
		{Options{Match: "/a", Site: plain, Below: true}, "/a", "/", "/a", "", true, true},
		{Options{Match: "/a", Files: plain, Rewrite: "/x$path?y=$query"}, "/a/b?d", "/x/a/b", "", "y=d", false, true},
		{Options{Pattern: "^/a/(.*)$", Files: plain, Rewrite: "/$1"}, "/a/b%20c%2Fd%3f?e", "/b%20c%2Fd%3F", "", "e", false, true},
		{Options{Pattern: "^/a/(.*)$", Files: plain, Rewrite: "/$1"}, "/a/%2e%2e", "", "", "", false, false},
	} {
		table, h := only(t, tt.o), head(t, tt.target)
		r, _ := table.Find(h.Path)
		if is := r != table.Rest(); is != tt.isOfTheTable {
			t.Errorf("%s: of the table: %v", tt.target, is)
		} else if !is {
			continue
		}
		q := r.Lookup(h)
		if q.Path != tt.path || q.Base != tt.base || q.Query != tt.query || r.LacksSlash(h) != tt.lacksASlash {
			t.Errorf("%s: path %q, base %q, query %q, lacks a slash: %v", tt.target, q.Path, q.Base, q.Query, r.LacksSlash(h))
		}
	}
}

func TestNewSitesErrors(t *testing.T) {
	for want, list := range map[string][]SiteOptions{
		"is of two sites": {{Hosts: []string{"a"}}, {Hosts: []string{"b", "a"}}},
		"pattern":         {{Hosts: []string{"a"}, Routes: []Options{{Pattern: "("}}}},
		"redirect":        {{Hosts: []string{"a"}, Main: Options{Redirect: "/$1"}}},
		"rewrite":         {{Hosts: []string{"a"}, Routes: []Options{{Match: "/a", Rewrite: "/$"}}}},
	} {
		if _, err := NewSites(balance.NewSet(balance.Options{}), Options{Settings: new(Settings)}, list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// TestAppOfTheTop: sites without an app of their own share one group of servers, and one that nobody uses is not made.
func TestAppOfTheTop(t *testing.T) {
	app := Options{Upstreams: []balance.Upstream{{Address: "127.0.0.1:1"}}, Settings: new(Settings)}
	other := Options{Upstreams: []balance.Upstream{{Address: "127.0.0.1:2"}}}
	set := balance.NewSet(balance.Options{})
	s, err := NewSites(set, app, []SiteOptions{{Hosts: []string{"a"}}, {Hosts: []string{"b"}, Main: other}, {Hosts: []string{"c"}, Routes: []Options{{Match: "/x"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if a, c := s.Tables[0].Rest(), s.Tables[2].Rest(); a.Servers != c.Servers || s.Tables[2].Routes[0].Servers != a.Servers || len(set.Servers()) != 2 {
		t.Errorf("%d servers", len(set.Servers()))
	}
	set = balance.NewSet(balance.Options{})
	if _, err := NewSites(set, app, []SiteOptions{{Hosts: []string{"a"}, Main: Options{Redirect: "https://b"}}, {Hosts: []string{"b"}, Main: other}}); err != nil || len(set.Servers()) != 1 {
		t.Errorf("%d servers, %v", len(set.Servers()), err)
	}
}
