package server

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// changed calls POST /changed and returns the response.
func (a *absorbed) changed(query string) string {
	a.t.Helper()
	c := wiretest.Dial(a.t, a.s.HooksAddr().String())
	c.Send("POST /changed?" + query + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_, body := c.Response("POST")
	return strings.TrimSpace(body)
}

// TestChanged: the app is asked again after what it says has changed, and only then.
func TestChanged(t *testing.T) {
	a := newAbsorbed(t, absorbConfig)
	n := 0
	ask := func(user, target string, hit bool) {
		t.Helper()
		text, status := a.ask(user, "GET", target, "")
		if !hit {
			n++
		}
		if strings.HasPrefix(status, "hit") != hit || !hit && !strings.HasSuffix(text, fmt.Sprintf("#%d", n)) {
			t.Errorf("%s %s: %q, %q; want a hit %v", user, target, text, status, hit)
		}
	}
	all := func(parcel, other, public bool) {
		t.Helper()
		ask("anna", "/status.php?id=42", parcel)
		ask("bert", "/status.php?id=42", parcel)
		ask("anna", "/status.php?id=43", other)
		ask("", "/public?a", public)
	}
	all(false, false, false)
	all(true, true, true)
	for _, c := range []struct {
		query, dropped        string
		parcel, other, public bool
	}{
		{"channel=parcel.42", "2", false, true, true},
		{"channel=parcel.4", "0", true, true, true},
		{"url=/status.php%3Fid%3D42", "2", false, true, true},
		{"url=http://app.test/public?a", "1", true, true, false},
		{"url=https://app.test/public?a", "0", true, true, true},
		{"prefix=/status.php", "3", false, false, true},
		{"prefix=http://app.test", "4", false, false, false},
		{"group=none", "0", true, true, true},
	} {
		if got := a.changed(c.query); !strings.HasPrefix(got, `{"dropped":`+c.dropped+`,`) {
			t.Errorf("%s: %s, want %s dropped", c.query, got, c.dropped)
		}
		all(c.parcel, c.other, c.public)
		all(true, true, true)
	}
}
