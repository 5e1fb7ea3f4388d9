package doctor

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/internal/inspect"
)

// fakeAPI is an API that begins sessions, and has seen what seen returns.
func fakeAPI(t *testing.T, seen func() string) *httptest.Server {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/doctor":
			fmt.Fprint(w, `{"secret": "THESECRET", "settings": {"push_paths": ["/_push"], "authorize_path": "/auth", "rules": [{"match": "a"}]}}`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"requests": [`+seen()+`]}`)
		default:
			fmt.Fprint(w, `{"subscribers": 0}`)
		}
	}))
	t.Cleanup(api.Close)
	return api
}

// written returns a report in both forms.
func written(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestReportHasNoSecrets: a report goes to others. It has neither the session's secret, nor the login of the URL or of the
// API's, nor the cookie or its hash.
func TestReportHasNoSecrets(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	api := fakeAPI(t, func() string { return "" })
	for _, o := range []Options{
		{URL: strings.Replace(gone.URL, "http://", "http://ann:hunter2@", 1), API: api.URL},
		{URL: strings.Replace(gone.URL, "http://", "http://ann:hunter2@", 1), API: strings.Replace(gone.URL, "http://", "http://ann:hunter2@", 1)},
	} {
		o.Wait, o.Cookie, o.Token = time.Second, "sid=0123", "thetoken"
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		text := written(t, r)
		if r.Count(Broken) == 0 || !strings.Contains(text, "refused") {
			t.Errorf("what is wrong is not said: %s", text)
		}
		for _, secret := range []string{"THESECRET", "hunter2", "sid=0123", "thetoken"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", secret, text)
			}
		}
	}
	const cookie = "sid=0123"
	v := visitOf(t, "http://app.test/", inspect.Settings{PushPaths: []string{"/_push"}, AuthorizePath: "/auth"})
	front := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(front.Close)
	v.page.Host = strings.TrimPrefix(front.URL, "http://")
	v.front = newBrowser(v.page, false)
	defer v.front.close()
	v.server.api = newAPI(fakeAPI(t, func() string {
		return `{"name": "user", "fields": [["Cookie", "` + inspect.Hidden("sid=4567") + `"]], "authorize": {"channel": "a", "status": 403}}`
	}).URL, "")
	v.authorize(t.Context(), "user", "a", cookie)
	text := written(t, v.report)
	if !strings.Contains(text, "removes or changes cookies") || !strings.Contains(text, "8 bytes") || strings.Contains(text, "SHA-256") {
		t.Error(text)
	}
}

// TestNothingIsRedirected: neither the API's token nor the cookie goes where a redirect leads.
func TestNothingIsRedirected(t *testing.T) {
	var strays []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		strays = append(strays, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header))
	}))
	defer elsewhere.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	if _, err := newAPI(front.URL, "thetoken").begin(t.Context()); err == nil || !strings.Contains(err.Error(), "status 307") {
		t.Errorf("the API: %v", err)
	}
	v := visitOf(t, front.URL+"/", inspect.Settings{PushPaths: []string{"/_push"}})
	v.front = newBrowser(v.page, false)
	defer v.front.close()
	if a, err := v.front.get(t.Context(), front.URL+"/slow", "sid=0123", nil); err != nil || a.status != 307 {
		t.Errorf("a page: %v, %v", a, err)
	}
	if list := v.openPage(t.Context()); len(list) > 0 {
		t.Errorf("cookies of elsewhere: %v", list)
	}
	c := v.front.webSocket(t.Context(), "websocket", front.URL+"/_push")
	<-c.donec
	if len(strays) > 0 {
		t.Errorf("sent elsewhere: %v", strays)
	}
}

// TestLoginOfURL: who asks for the login of the URL gets it with every request, WebSockets included.
func TestLoginOfURL(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "hunter2" {
			w.WriteHeader(401)
		}
	}))
	defer front.Close()
	api := fakeAPI(t, func() string { return "" })
	r, err := Run(t.Context(), Options{URL: strings.Replace(front.URL, "http://", "http://ann:hunter2@", 1), API: api.URL, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if text := written(t, r); !strings.Contains(text, "status 200") || strings.Contains(text, "hunter2") {
		t.Error(text)
	}
	v := visitOf(t, strings.Replace(front.URL, "http://", "http://ann:hunter2@", 1)+"/", inspect.Settings{})
	v.front = newBrowser(v.page, false)
	defer v.front.close()
	c := v.front.webSocket(t.Context(), "websocket", front.URL+"/_push")
	<-c.donec
	if status, _, _, _ := c.look(); status != 200 {
		t.Errorf("the WebSocket: status %d", status)
	}
}

// TestReceivesWithoutEnd: of a response that never ends, a part is kept.
func TestReceivesWithoutEnd(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	}))
	defer front.Close()
	v := visitOf(t, front.URL+"/", inspect.Settings{})
	v.front = newBrowser(v.page, false)
	defer v.front.close()
	c := v.front.fetch(t.Context(), "sse", front.URL+"/_push", "text/event-stream")
	<-c.donec
	if _, _, got, _ := c.look(); len(got) > maxGot+4096 {
		t.Errorf("%d bytes are kept", len(got))
	}
}

// TestClipControls: what others wrote is one line, and can't control a terminal.
func TestClipControls(t *testing.T) {
	if got := clip("a\nb\x1b[2Jc\u009b2Jd\u202ee\xff"); got != "a b [2Jc 2Jd e\ufffd" {
		t.Errorf("%q", got)
	}
	if got := clip(strings.Repeat("x", 200)); len([]rune(got)) != 161 {
		t.Errorf("%q", got)
	}
}
