package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// statusAnswer is what the page reads.
type statusAnswer struct {
	State state
	Since int64
	Costs map[pane]cost
}

func TestPage(t *testing.T) {
	a := New(Options{PushPath: `/push"&<`, AutoMove: 20 * time.Second})
	w := do(t, a, "GET", "/", "")
	wantStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type is %s", got)
	}
	body := w.Body.String()
	ids := []string{"move", "move-result", "curl", "stream", "panes"}
	for _, p := range paneViews {
		for _, part := range []string{"count", "busy", "delay", "average", "status", "light", "changes", "missed"} {
			ids = append(ids, string(p.ID)+"-"+part)
		}
	}
	for _, id := range ids {
		if n := strings.Count(body, fmt.Sprintf(`id=%q`, id)); n != 1 {
			t.Errorf("id %s is there %d times", id, n)
		}
	}
	for _, want := range []string{
		`data-push="/push&#34;&amp;&lt;"`,
		`data-channel="public.parcel.HF-2041"`,
		`data-every="3000"`,
		"moves every 20 seconds",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, step := range steps {
		if !strings.Contains(body, "<span>"+step+"</span>") {
			t.Errorf("the page has no step %q", step)
		}
	}
	for _, file := range []struct{ path, contentType string }{
		{"/page.css", "text/css; charset=utf-8"},
		{"/page.js", "text/javascript; charset=utf-8"},
	} {
		if !strings.Contains(body, `"`+file.path+`"`) {
			t.Errorf("the page does not use %s", file.path)
		}
		w := do(t, a, "GET", file.path, "")
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get("Content-Type"); got != file.contentType {
			t.Errorf("Content-Type of %s is %s, want %s", file.path, got, file.contentType)
		}
	}
	wantStatus(t, do(t, a, "GET", "/page.html", ""), http.StatusNotFound) // the template itself
}

// TestPageWorksOffline wants no address of another machine in what is served.
func TestPageWorksOffline(t *testing.T) {
	a := New(Options{})
	for _, path := range []string{"/", "/page.css", "/page.js"} {
		body := do(t, a, "GET", path, "").Body.String()
		body = strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "") // a name, not an address
		body = strings.ReplaceAll(body, "http://127.0.0.1:8080", "")
		for _, sign := range []string{"http://", "https://", "url(", "@import", "src=\"//", "href=\"//"} {
			if strings.Contains(body, sign) {
				t.Errorf("%s has %s in it", path, sign)
			}
		}
	}
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		a := New(Options{}) // 400ms, as documented
		a.client.Transport = new(hooksListener)
		ask := func(target string) statusAnswer {
			t.Helper()
			before := time.Now()
			w := do(t, a, "GET", target, "")
			wantStatus(t, w, http.StatusOK)
			if took := time.Since(before); took != 400*time.Millisecond {
				t.Errorf("it took %v, want 400ms", took)
			}
			return decode[statusAnswer](t, w.Body.Bytes())
		}
		want := state{Parcel: "HF-2041", Status: "Order received", Step: 1, Steps: 6, Version: 1, ChangedAt: begin.UnixMilli()}
		got := ask("/poll/status")
		if c := got.Costs[panePoll]; got.State != want || c != costOf(1) || got.Since != begin.UnixMilli() {
			t.Errorf("got %+v, want %+v", got, want)
		}

		// It says what is so at its end, not at its beginning.
		move := time.AfterFunc(399*time.Millisecond, func() { do(t, a, "POST", "/parcels/HF-2041/move", "") })
		defer move.Stop()
		want.Status, want.Step, want.Version, want.ChangedAt = "Packed", 2, 2, time.Now().Add(399*time.Millisecond).UnixMilli()
		got = ask("/poll/status")
		if got.State != want || got.Costs[panePoll] != costOf(2) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// costOf is the cost of n answers that take 400 ms each.
func costOf(n int) cost { return cost{Answered: n, BusyMS: int64(400 * n)} }

func TestCountsArePerPane(t *testing.T) {
	a := New(Options{StatusDelay: time.Nanosecond})
	var got statusAnswer
	for _, p := range []pane{panePoll, panePush, panePoll, paneWatch, panePoll, paneTold} {
		w := do(t, a, "GET", "/"+string(p)+"/status", "")
		wantStatus(t, w, http.StatusOK)
		got = decode[statusAnswer](t, w.Body.Bytes())
	}
	for p, want := range map[pane]int{panePoll: 3, paneAbsorbed: 0, paneTold: 1, paneShim: 0, paneWatch: 1, panePush: 1} {
		if c, ok := got.Costs[p]; !ok || c.Answered != want {
			t.Errorf("%s: answered %d, want %d", p, c.Answered, want)
		}
	}
	wantStatus(t, do(t, a, "GET", "/left/status", ""), http.StatusNotFound)
}

// TestRules wants the configuration of the panes to be about paths and channels of the app: the shim's poll names the
// channel that ends it.
func TestRules(t *testing.T) {
	a := New(Options{StatusDelay: time.Nanosecond})
	rules := Rules()
	for _, p := range []pane{paneAbsorbed, paneTold, paneShim, paneWatch} {
		path := "/" + string(p) + "/status"
		wantStatus(t, do(t, a, "GET", path, ""), http.StatusOK)
		if !strings.Contains(rules, " "+path+",") {
			t.Errorf("no rule is about %s", path)
		}
	}
	for _, p := range []pane{panePoll, panePush} {
		if strings.Contains(rules, "/"+string(p)+"/") {
			t.Errorf("a rule is about %s", p)
		}
	}
	if got := do(t, a, "GET", "/shim/status", "").Header().Get("Push-Channel"); got != channel+"; hold=10" {
		t.Errorf("Push-Channel is %s", got)
	}
}

// TestClientGoesDuringStatus wants a request that was not answered not to count as one that was.
func TestClientGoesDuringStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "GET", "/poll/status", nil)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Body.Len() > 0 {
			t.Errorf("a client that has gone gets %s", w.Body)
		}
		got := decode[statusAnswer](t, do(t, a, "GET", "/poll/status", "").Body.Bytes())
		if n := got.Costs[panePoll].Answered; n != 1 {
			t.Errorf("answered is %d, want 1", n)
		}
	})
}

func TestMovePublishesOneMessage(t *testing.T) {
	var l hooksListener
	a := start(t, &l)
	w := do(t, a, "POST", "/parcels/HF-2041/move", "") // no session, as curl sends it
	wantStatus(t, w, http.StatusOK)
	s := a.parcel.state()
	message := fmt.Sprintf(`{"parcel":"HF-2041","status":"Packed","step":2,"steps":6,"version":2,"changed_at":%d`, s.ChangedAt)
	if got, want := w.Body.String(), message+`,"published":true,"subscribers":2}`+"\n"; got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
	got := l.requests()
	if want := "POST /publish?channel=public.parcel.HF-2041 " + message + "}"; len(got) != 1 || got[0] != want {
		t.Errorf("published %q, want only %q", got, want)
	}
}

// TestMessagesLeaveInOrder moves the parcel from many sides at once.
func TestMessagesLeaveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l hooksListener
		a := New(Options{})
		a.client.Transport = &l
		const moves = 50
		for range moves {
			go do(t, a, "POST", "/parcels/HF-2041/move", "")
		}
		synctest.Wait()
		got := l.requests()
		if len(got) != moves {
			t.Fatalf("%d messages for %d moves", len(got), moves)
		}
		last := int64(0)
		for i, request := range got {
			_, body, _ := strings.Cut(request, " {")
			s := decode[state](t, []byte("{"+body))
			if s.Version != i+2 || s.ChangedAt <= last {
				t.Errorf("message %d has version %d, changed at %d after %d", i, s.Version, s.ChangedAt, last)
			}
			last = s.ChangedAt
		}
	})
}

func TestMoveToStatus(t *testing.T) {
	var l hooksListener
	a := start(t, &l)
	for _, test := range []struct {
		name, target, body string
		code               int
		status             string // after it
		published          int
	}{
		{"a status", "/parcels/HF-2041/move", "status=Delivered", 200, "Delivered", 1},
		{"behind the last", "/parcels/HF-2041/move", "", 200, "Order received", 2},
		{"in any case", "/parcels/HF-2041/move", "status=picked+UP", 200, "Picked up", 3},
		{"none that there is", "/parcels/HF-2041/move", "status=Lost", 400, "Picked up", 3},
		{"a bad form", "/parcels/HF-2041/move", "status=%zz", 400, "Picked up", 3},
		{"a large form", "/parcels/HF-2041/move", "status=" + strings.Repeat("x", maxForm), 400, "Picked up", 3},
		{"of another parcel", "/parcels/HF-1/move", "", 404, "Picked up", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := do(t, a, "POST", test.target, test.body)
			wantStatus(t, w, test.code)
			if got := a.parcel.state().Status; got != test.status {
				t.Errorf("the parcel is %q, want %q", got, test.status)
			}
			if got := len(l.requests()); got != test.published {
				t.Errorf("%d messages, want %d", got, test.published)
			}
		})
	}
	wantStatus(t, do(t, a, "GET", "/parcels/HF-2041/move", ""), http.StatusMethodNotAllowed)
}

func TestMoveReportsPublishError(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect of the API listener was followed")
	}))
	defer elsewhere.Close()

	for _, test := range []struct {
		name string
		app  *App
		want string
	}{
		{"refused", start(t, &hooksListener{status: 400, body: `{"error":"no rule"}`}), `400 Bad Request: {"error":"no rule"}`},
		{"not one", start(t, &hooksListener{body: "<h1>It works</h1>"}), "the response of the API"},
		{"gone", New(Options{HooksURL: gone.URL}), "dial tcp"},
		{"a redirect", start(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect)), "307"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := do(t, test.app, "POST", "/parcels/HF-2041/move", "")
			wantStatus(t, w, http.StatusOK)
			got := decode[struct {
				Status    string
				Published bool
				Error     string
			}](t, w.Body.Bytes())
			if got.Status != "Packed" || test.app.parcel.state().Status != "Packed" {
				t.Errorf("the parcel has not moved: %s", w.Body)
			}
			if got.Published || !strings.Contains(got.Error, test.want) {
				t.Errorf("the answer does not say %q: %s", test.want, w.Body)
			}
		})
	}

	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := New(Options{})
			a.client.Transport = hangs{}
			begin := time.Now()
			w := do(t, a, "POST", "/parcels/HF-2041/move", "")
			if took := time.Since(begin); took != publishTimeout {
				t.Errorf("it took %v, want %v", took, publishTimeout)
			}
			if !strings.Contains(w.Body.String(), `"published":false`) {
				t.Errorf("the answer is %s", w.Body)
			}
		})
	})
}

// TestClientGoesDuringMove wants a message for every move, even if nobody waits for the answer.
func TestClientGoesDuringMove(t *testing.T) {
	var l hooksListener
	a := start(t, &l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", "/parcels/HF-2041/move", nil)
	a.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if n := len(l.requests()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestMoveFromOtherSites(t *testing.T) {
	for _, test := range []struct {
		fields []string
		code   int
	}{
		{nil, 200}, // curl
		{[]string{"Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:8080"}, 200},
		{[]string{"Sec-Fetch-Site: none"}, 200},
		{[]string{"Origin: http://127.0.0.1:8080"}, 200}, // a browser without Sec-Fetch-Site
		{[]string{"Sec-Fetch-Site: cross-site"}, 403},
		{[]string{"Sec-Fetch-Site: same-site"}, 403}, // another port of this machine
		{[]string{"Origin: http://evil.test"}, 403},
		{[]string{"Origin: null"}, 403},
	} {
		t.Run(strings.Join(test.fields, ", "), func(t *testing.T) {
			var l hooksListener
			a := start(t, &l)
			wantStatus(t, do(t, a, "POST", "/parcels/HF-2041/move", "", test.fields...), test.code)
			published := map[int]int{200: 1, 403: 0}[test.code]
			if got := len(l.requests()); got != published {
				t.Errorf("%d messages, want %d", got, published)
			}
			if got := a.parcel.state().Version; got != 1+published {
				t.Errorf("version %d, want %d", got, 1+published)
			}
		})
	}
}

// TestChannel: the page and the app mean the same channel, and no character of it needs quoting in a shell.
func TestChannel(t *testing.T) {
	if url.QueryEscape(channel) != channel {
		t.Errorf("%s is not %s in a query", channel, url.QueryEscape(channel))
	}
}
