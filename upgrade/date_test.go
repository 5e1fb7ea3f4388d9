package upgrade_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestDate: every response of the push side has one Date, whoever wrote its head (RFC 9110 §6.6.1).
func TestDate(t *testing.T) {
	check := func(t *testing.T, resp *http.Response, err error, status int) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		dates := resp.Header["Date"]
		if resp.StatusCode != status || len(dates) != 1 {
			t.Fatalf("%d with Date %q; want %d with one", resp.StatusCode, dates, status)
		}
		d, err := http.ParseTime(dates[0])
		if age := time.Since(d); err != nil || age < 0 || age > wiretest.Timeout || !strings.HasSuffix(dates[0], " GMT") {
			t.Errorf("Date %q, %v; want now", dates[0], err)
		}
	}
	compressed := func(o *upgrade.Options) { o.Compress = 512 }
	run(t, func(t *testing.T, kind string) {
		status := 200
		if wires[kind].upgrades {
			status = 101
		}
		postponed := 503
		if wires[kind].postponed {
			postponed = 200
		}
		t.Run("held", func(t *testing.T) {
			w := start(t, compressed)
			first := w.publish(t, "1", "public.a")
			for _, size := range []int{10, 10 << 10} { // a long poll's are rendered in one piece, or sent in several
				w.publish(t, strings.Repeat("x", size), "public.a")
				for _, accept := range []string{"identity", "gzip"} {
					c := wiretest.Dial(t, w.addr)
					c.Send(request(kind, "/_push?channel=public.a&last_id="+first, "Accept-Encoding: "+accept))
					resp, err := http.ReadResponse(c.Reader, nil)
					check(t, resp, err, status)
				}
			}
		})
		t.Run("refused", func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) {
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{Status: 403}, nil })
			})
			for target, status := range map[string]int{"/_push?last_id=0": 400, "/_push?channel=user.a": 403, "/_push/x?a=b": 404} {
				c := wiretest.Dial(t, w.addr)
				c.Send(request(kind, target))
				resp, err := http.ReadResponse(c.Reader, nil)
				check(t, resp, err, status)
			}
		})
		t.Run("at shutdown", func(t *testing.T) {
			w := start(t)
			w.keeper.Drain()
			c := wiretest.Dial(t, w.addr)
			c.Send(request(kind, "/_push?channel=public.a"))
			resp, err := http.ReadResponse(c.Reader, nil)
			check(t, resp, err, postponed)
		})
	})
	t.Run("a long poll that is not allowed any more", func(t *testing.T) {
		w := start(t)
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", "/_push?channel=public.a"))
		w.waitHeld(t, 1)
		w.keeper.Disconnect(connection.Selection{Channel: "public.a"}, 4403, "disconnected")
		resp, err := http.ReadResponse(c.Reader, nil)
		check(t, resp, err, 403)
	})
	t.Run("the browser client", func(t *testing.T) {
		w := start(t)
		for fields, status := range map[string]int{"": 200, "If-None-Match: *\r\n": 304, "Content-Length: 1\r\n": 400} {
			c := wiretest.Dial(t, w.addr)
			c.Send("HEAD /_push/client.js HTTP/1.1\r\nHost: app.test\r\n" + fields + "\r\n")
			resp, err := http.ReadResponse(c.Reader, &http.Request{Method: http.MethodHead})
			check(t, resp, err, status)
		}
	})
}
