package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/inspect"
	"holdfast/internal/wiretest"
)

// doctorCall sends an API request and returns the status and the body.
func doctorCall(t *testing.T, s *Server, method, target, body string) (int, string) {
	t.Helper()
	c := wiretest.Dial(t, s.HooksAddr().String())
	c.Send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body))
	resp, text := c.Response(method)
	return resp.StatusCode, text
}

func beginDoctor(t *testing.T, s *Server) (secret string) {
	t.Helper()
	var answer struct {
		Secret   string
		Settings inspect.Settings
	}
	status, text := doctorCall(t, s, "POST", "/doctor", "")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 || answer.Secret == "" {
		t.Fatalf("POST /doctor: %d %s, %v", status, text, err)
	}
	if got := answer.Settings; got.PushPaths[0] != "/_push" || got.AuthorizePath != "/push/authorize" || len(got.Rules) != 1 || got.Rules[0].Match != "**" {
		t.Errorf("the settings are %+v", got)
	}
	return answer.Secret
}

// TestDoctorIsAlone: only who knows the secret is admitted, what is published reaches nobody else, and the app is told
// of nothing.
func TestDoctorIsAlone(t *testing.T) {
	a := newToldApp(t)
	s, _ := serveTold(t, a, `
events: {url: /push/events, key: `+eventsKey+`, types: [connect, disconnect, occupied, vacated], grace: 200ms, delay: 1ms}
channels: [{match: "**", access: authorize, wildcards: true, occupancy_events: true}]
`)
	secret := beginDoctor(t, s)
	for _, query := range []string{"doctor=", "doctor=" + secret[1:], "doctor=" + secret + "0", "doctor=%00", "channel=" + inspectChannel(s, secret)} {
		c := wiretest.Dial(t, s.Addr().String())
		c.Send("GET /_push?wait=0&" + query + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.Response("GET"); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
	}
	held := wiretest.Dial(t, s.Addr().String())
	held.Send("GET /_push?doctor=" + secret + "&probe=one&authorize=orders.1 HTTP/1.1\r\nHost: x\r\nCookie: user=ann\r\nX-Forwarded-Access-Token: of-the-proxy\r\nX-Forwarded-Proto: http\r\nAccept: text/event-stream\r\n\r\n")
	held.Expect("HTTP/1.1 200 OK\r\n")
	all := hold(t, s, "bob", "**")
	wiretest.Eventually(t, "the publish has a subscriber", func() bool {
		_, text := doctorCall(t, s, "POST", "/doctor/"+secret+"/publish", "for doctor")
		return strings.Contains(text, `"subscribers":1`)
	})
	for _, target := range []string{"/publish?channel=", "/subscribe?channel="} {
		if status, text := doctorCall(t, s, "POST", target+strings.ReplaceAll(inspectChannel(s, secret), "!", "%21"), "x"); status != 400 {
			t.Errorf("%s: %d %s", target, status, text)
		}
	}
	if _, text := doctorCall(t, s, "POST", "/publish?channel=news", "for all"); !strings.Contains(text, `"subscribers":1`) {
		t.Errorf("publish: %s", text)
	}
	if line := all.until(`"data"`); !strings.Contains(line, "for all") {
		t.Errorf("a subscriber of ** received %s", line)
	}
	status, text := doctorCall(t, s, "GET", "/doctor/"+secret, "")
	var seen struct{ Requests []inspect.Request }
	if err := json.Unmarshal([]byte(text), &seen); err != nil || status != 200 || len(seen.Requests) != 1 {
		t.Fatalf("%d %s, %v", status, text, err)
	}
	r := seen.Requests[0]
	if r.Name != "one" || r.Authorize == nil || !r.Authorize.Allowed || r.Authorize.User != "ann" || r.Protocol != "HTTP/1.1" || r.Host != "x" || r.Scheme != "http" {
		t.Errorf("seen: %+v", r)
	}
	if strings.Contains(text, "user=ann") || strings.Contains(text, "of-the-proxy") || !strings.Contains(text, `["X-Forwarded-Proto","http"]`) {
		t.Errorf("a cookie or a token is shown, or not what is needed: %s", text)
	}
	if status, text := doctorCall(t, s, "POST", "/doctor/"+secret+"/end", ""); status != 200 || !strings.Contains(text, `"disconnected":1`) {
		t.Errorf("the end: %d %s", status, text)
	}
	for _, call := range []string{"GET /doctor/" + secret, "POST /doctor/" + secret + "/publish", "POST /doctor/" + secret + "/end", "GET /doctor/x/y"} {
		method, target, _ := strings.Cut(call, " ")
		if status, text := doctorCall(t, s, method, target, ""); status != 404 {
			t.Errorf("%s after the end: %d %s", call, status, text)
		}
	}
	if status, text := doctorCall(t, s, "POST", "/publish?channel=news", "again"); status != 200 || !strings.Contains(text, `"subscribers":1`) {
		t.Errorf("after the end, the subscriber of ** is gone: %d %s", status, text)
	}
	wantTold(t, a.await(2), "start, connect bob") // that of the subscriber of **
}

// inspectChannel returns the channel of a session.
func inspectChannel(s *Server, secret string) string { return s.doctor.Channel(secret, time.Now()) }
