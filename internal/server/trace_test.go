package server

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestTraces: each line of the access log ends with the trace of its request, also of one that subscribes, and a route may
// have none.
func TestTraces(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	file := filepath.Join(t.TempDir(), "access.log")
	var log wiretest.Log
	s, _, stop := serve(t, strings.Join([]string{"listen: 127.0.0.1:0", "hooks: {listen: 127.0.0.1:0}", "upstream: " + newApp(t), "trace: make", "routes: [{match: /off, trace: 'off'}]",
		"channels: [{match: a, access: public}]", "log: {access_log: " + file + ", access_format: combined_trace}"}, "\n"), &log)
	t.Cleanup(stop)
	var want []string
	for _, x := range []struct{ target, end string }{
		{"/new", "[0-9a-f]{32}"}, {"/own", id}, {"/off", "-"}, {"/_push?channel=a&wait=0", id}, {"/_push?channel=b", "[0-9a-f]{32}"}, {"/_push/none", id},
		{"/_push?channel=c&wait=0", id},
	} {
		c := wiretest.Dial(t, s.Addr().String())
		field := ""
		if x.end == id {
			field = "Traceparent: 00-" + id + "-00f067aa0ba902b7-00\r\n"
		}
		c.Send("GET " + x.target + " HTTP/1.1\r\nHost: app.test\r\n" + field + "\r\n")
		c.Response(http.MethodGet)
		want = append(want, `"GET `+regexp.QuoteMeta(x.target)+` HTTP/1.1" \d+ \d+ "-" "-" `+x.end)
	}
	wiretest.Eventually(t, "all requests are in the access log", func() bool {
		s.accessLog.Flush()
		b, err := os.ReadFile(file)
		return err == nil && strings.Count(string(b), "\n") == len(want)
	})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range want {
		if !regexp.MustCompile(`(?m)` + line + `$`).Match(b) {
			t.Errorf("no line %s in\n%s", line, b)
		}
	}
	if new := regexp.MustCompile(`(?m)[0-9a-f]{32}$`).FindAllString(strings.ReplaceAll(string(b), id, ""), -1); len(new) != 2 || new[0] == new[1] {
		t.Errorf("new ones are %q", new)
	}
	if want := regexp.MustCompile(`msg="subscribe rejected" .* channel=c trace_id=` + id); !want.MatchString(log.String()) {
		t.Errorf("no line %s in\n%s", want, log.String())
	}
}
