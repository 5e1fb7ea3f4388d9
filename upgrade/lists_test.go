package upgrade_test

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestListsOnSeveralLines checks that a list means the same on one line and on several (RFC 9110 §5.3), in any case.
func TestListsOnSeveralLines(t *testing.T) {
	get := func(fields ...string) string {
		return "GET /_push?channel=public.a HTTP/1.1\r\nHost: app.test\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	}
	handshake := "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key
	for _, tt := range []struct {
		name, sent  string
		status      int
		field, want string // of the answer
	}{
		{"Connection", get("Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket", handshake), 101, "Upgrade", "websocket"},
		{"Connection the other way", get("connection: UPGRADE", "Connection: keep-alive", "Upgrade: websocket", handshake), 101, "Upgrade", "websocket"},
		{"close first", get("Connection: close", "Connection: Upgrade", "Upgrade: websocket", handshake), 101, "Connection", "Upgrade"},
		{"close beside upgrade", get("Connection: close, Upgrade", "Upgrade: websocket", handshake), 101, "Connection", "Upgrade"},
		{"close behind upgrade", get("Connection: Upgrade, close", "Upgrade: websocket", handshake), 101, "Connection", "Upgrade"},
		{"close between others", get("Connection: keep-alive ,\tCLOSE, Upgrade", "Upgrade: websocket", handshake), 101, "Connection", "Upgrade"},
		{"close twice, and last", get("Connection: close,close, Upgrade", "Upgrade: websocket", handshake, "Connection: x,close"), 101, "Connection", "Upgrade"},
		{"close with holdfast.v1", get("Connection: close,Upgrade,", "Upgrade: websocket", handshake, "Sec-WebSocket-Protocol: holdfast.v1"), 101, "Connection", "Upgrade"},
		{"close of a stream", get("Connection: close", "Accept: text/event-stream"), 200, "Content-Type", "text/event-stream"},
		{"empty elements", get("Connection: ,UPGRADE,", "Upgrade: ,websocket", handshake), 101, "Upgrade", "websocket"},
		{"an empty line of a list", get("Connection:", "Connection: Upgrade", "Upgrade: websocket", handshake), 101, "Connection", "Upgrade"},
		{"Upgrade", get("Connection: Upgrade", "Upgrade: h2c, WebSocket", handshake), 101, "Upgrade", "websocket"},
		{"Upgrade on two lines", get("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket", handshake), 101, "Upgrade", "websocket"},
		{"subprotocols", get("Connection: Upgrade", "Upgrade: websocket", handshake, "Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: holdfast.v1"), 101, "Sec-Websocket-Protocol", "holdfast.v1"},
		{"Accept", get("Accept: text/html", "Accept: text/event-stream"), 200, "Content-Type", "text/event-stream"},
		{"Accept in upper case", get("Accept: TEXT/Event-Stream; charset=utf-8"), 200, "Content-Type", "text/event-stream"},
		{"Accept that refuses", get("Accept: application/x-ndjson;q=0, text/event-stream ;q=0.1"), 200, "Content-Type", "text/event-stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			c := wiretest.Dial(t, w.addr)
			c.Send(tt.sent)
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || strings.Join(resp.Header.Values(tt.field), "|") != tt.want {
				t.Errorf("answered %d %v; want %d, %s %q", resp.StatusCode, resp.Header, tt.status, tt.field, tt.want)
			}
			w.waitHeld(t, 1)
		})
	}
}

// TestPreflight checks what a browser asks before a page of another origin sends Prefer, Last-Event-ID or Authorization.
func TestPreflight(t *testing.T) {
	w := start(t, func(o *upgrade.Options) { o.Origins = []string{"https://other.test"} })
	for origin, status := range map[string]int{"https://other.test": 204, "https://stranger.test": 403} {
		c := wiretest.Dial(t, w.addr)
		c.Send("OPTIONS /_push?channel=public.a HTTP/1.1\r\nHost: app.test\r\nOrigin: " + origin +
			"\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: prefer, last-event-id\r\n\r\n")
		resp, _ := c.Response(http.MethodOptions)
		allowed := resp.Header.Get("Access-Control-Allow-Headers")
		if resp.StatusCode != status || (resp.Header.Get("Access-Control-Allow-Origin") == origin) != (status == 204) {
			t.Errorf("%s: answered %d %v; want %d", origin, resp.StatusCode, resp.Header, status)
		}
		if status == 204 && (!strings.Contains(allowed, "Prefer") || !strings.Contains(allowed, "Last-Event-ID")) {
			t.Errorf("allowed are %q", allowed)
		}
	}
	c := wiretest.Dial(t, w.addr)
	c.Send("OPTIONS /_push?channel=public.a HTTP/1.1\r\nHost: app.test\r\n\r\n")
	if resp, _ := c.Response(http.MethodOptions); resp.StatusCode != 405 {
		t.Errorf("OPTIONS without an Origin: answered %d; want 405", resp.StatusCode)
	}
	if w.held() != 0 {
		t.Errorf("%d are held", w.held())
	}
}
