package request

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// TestRules: the client's fields of a rule's name are gone, however they are spelled, and the rule's own are sent once.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes []Change
		user    string
		fields  string // of the client
		want    string // lines besides those without rules
		not     string
	}{
		{"set", []Change{{Name: "X-Tenant", Value: " shop "}}, "", "x-tenant: evil\r\nX-TENANT: more\r\n", "X-Tenant: shop\r\n", "evil"},
		{"removed", []Change{{Name: "Cookie", Remove: true}}, "", "cookie: a=b\r\n", "", "ookie"},
		{"the login", []Change{{Name: "X-Remote-User", Value: "$user"}}, "anna", "X-Remote-User: root\r\n", "X-Remote-User: anna\r\n", "root"},
		{"no login", []Change{{Name: "X-Remote-User", Value: "$user"}}, "", "X-Remote-User: root\r\n", "", "Remote-User"},
		{"variables", []Change{{Name: "X-Who", Value: "${client} at $scheme://$host$$"}}, "", "", "X-Who: 192.0.2.7 at http://app.test:81$\r\n", ""},
		{"the prefix", []Change{{Name: "X-Forwarded-Prefix", Value: "/outside"}}, "", "X-Forwarded-Prefix: /evil\r\n", "X-Forwarded-Prefix: /outside\r\n", "Prefix: /a"},
		{"a login of the app", []Change{{Name: "Authorization", Value: "Basic YTpi"}}, "", "Authorization: Bearer x\r\n", "Authorization: Basic YTpi\r\n", "Bearer"},
	} {
		rules, err := NewRules(tt.changes)
		if err != nil {
			t.Fatal(err)
		}
		var h http1.Head
		if r := h.Parse([]byte("GET /a/x HTTP/1.1\r\nHost: app.test:81\r\nX-Other: stays\r\n"+tt.fields+"\r\n"), http1.Limits{Bytes: 1000, Fields: 20}); r != nil {
			t.Fatal(r)
		}
		reader := Reader{Trusted: func(netip.Addr) bool { return false }}
		var q Request
		reader.Read(&q, netip.MustParseAddrPort("192.0.2.7:5"), false, h.Host, &h.Forwarding)
		to := For{Mapping: &http1.Mapping{Match: "/a", Mapped: true}, Rules: rules, User: tt.user}
		got := string(q.AppendHead(nil, &h, to))
		if tt.want != "" && strings.Count(got, "\r\n"+tt.want) != 1 || tt.not != "" && strings.Contains(got, tt.not) || !strings.Contains(got, "X-Other: stays\r\n") {
			t.Errorf("%s:\n%s", tt.name, got)
		}
		var script strings.Builder
		for _, f := range q.ScriptFields(&h, to) {
			if !f.Drop {
				script.WriteString("\r\n" + string(f.Name) + ": " + string(f.Value) + "\r\n")
			}
		}
		if got := script.String(); tt.want != "" && strings.Count(got, "\r\n"+tt.want) != 1 || tt.not != "" && strings.Contains(got, tt.not) {
			t.Errorf("%s, for a script:\n%s", tt.name, got)
		}
	}
}

// TestChangesRefused: what frames or routes a request, says who its client is, or is read as another name.
func TestChangesRefused(t *testing.T) {
	for _, c := range []Change{
		{Name: "", Value: "a"}, {Name: "X_User", Value: "a"}, {Name: "X.User", Value: "a"}, {Name: "X User", Value: "a"}, {Name: "X-User:", Value: "a"},
		{Name: "Host", Value: "a"}, {Name: "host", Remove: true}, {Name: "CONTENT-LENGTH", Value: "5"}, {Name: "Transfer-Encoding", Value: "chunked"},
		{Name: "Connection", Value: "close"}, {Name: "Upgrade", Remove: true}, {Name: "TE", Value: "gzip"}, {Name: "Expect", Value: "100-continue"},
		{Name: "If-None-Match", Value: "*"}, {Name: "Range", Value: "bytes=0-1"}, {Name: "Sec-WebSocket-Key", Value: "a"}, {Name: "Destination", Value: "/"},
		{Name: "X-Forwarded-For", Value: "1.2.3.4"}, {Name: "x-real-ip", Remove: true}, {Name: "Forwarded", Value: "for=a"}, {Name: "X-Forwarded-Proto", Value: "https"},
		{Name: "Proxy", Value: "a"}, {Name: "Accept-Encoding", Value: "gzip"}, {Name: "Authorization", Value: "Negotiate abc"},
		{Name: "X-A", Value: " "}, {Name: "X-A", Value: "a\r\nX-B: c"}, {Name: "X-A", Value: "a\x00"}, {Name: "X-A", Value: "$"}, {Name: "X-A", Value: "$http_cookie"}, {Name: "X-A", Value: "${user"},
	} {
		if err := CheckChange(&c); !errors.Is(err, ErrChange) {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := NewRules([]Change{c}); err == nil {
			t.Errorf("%+v is compiled", c)
		}
	}
	if err := CheckChange(&Change{Name: "Accept-Encoding", Remove: true}); err != nil {
		t.Error(err)
	}
}
