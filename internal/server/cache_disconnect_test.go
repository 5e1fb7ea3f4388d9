package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestDisconnectEndsStored: what is stored of a session ends when the app shuts its user, its connection or its channel out.
func TestDisconnectEndsStored(t *testing.T) {
	a := newAbsorbed(t, `
push: {authorize_path: /authorize, logout: {cookies: [sid]}}
channels: [{match: "**", access: authorize}]
polls:
- {match: /status.php, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0}
- {match: /other.php, key: [query, session], fresh: 1h, pass: 0}
`)
	a.app.responds(func(w http.ResponseWriter, r *http.Request) {
		n := a.app.count()
		who, _ := r.Cookie("sid")
		if r.URL.Path == "/authorize" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"user": %q}`, who.Value)
			return
		}
		fmt.Fprintf(w, "%s #%d", who.Value, n)
	})
	for _, c := range []struct {
		body                string
		ann, bob, annsOther bool // is still stored
	}{
		{`{"user": "ann"}`, false, true, false},
		{`{"user": "eve"}`, true, true, true},
		{`{"connection": "%s"}`, false, true, false},
		{`{"channel": "parcel.1"}`, false, false, false},
		{`{"channel": "parcel.2"}`, true, true, true},
	} {
		hold(t, a.s, "x; sid=ann", "parcel.1")
		hold(t, a.s, "x; sid=bob", "parcel.3")
		for _, user := range []string{"ann", "bob"} {
			a.ask(user, "GET", "/status.php?id=1", "")
			a.ask(user, "GET", "/other.php", "")
		}
		body := c.body
		if strings.Contains(body, "%s") {
			_, id, _ := strings.Cut(a.api("GET", "/connections?user=ann", ""), `"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			body = fmt.Sprintf(body, id)
		}
		a.api("POST", "/disconnect", body)
		stored := func(user, target string) bool {
			_, status := a.ask(user, "GET", target, "")
			return strings.HasPrefix(status, "hit")
		}
		if ann, bob, other := stored("ann", "/status.php?id=1"), stored("bob", "/status.php?id=1"), stored("ann", "/other.php"); ann != c.ann || bob != c.bob || other != c.annsOther {
			t.Errorf("%s: stored are %v, %v, %v; want %v, %v, %v", body, ann, bob, other, c.ann, c.bob, c.annsOther)
		}
		a.api("POST", "/disconnect", `{"user": "ann"}`)
		a.api("POST", "/disconnect", `{"user": "bob"}`)
	}
}

// api calls the API, and returns what it says.
func (a *absorbed) api(method, target, body string) string {
	a.t.Helper()
	q, err := http.NewRequest(method, "http://"+a.s.HooksAddr().String()+target, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		a.t.Fatalf("%s %s: %d %s, %v", method, target, r.StatusCode, text, err)
	}
	return string(text)
}
