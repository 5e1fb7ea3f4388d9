package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/accesslog"
	"holdfast/internal/http1"
	"holdfast/internal/wiretest"
)

// logged gives the proxy an access log and returns a function that waits for n lines.
func logged(t *testing.T, jsonLines bool) (change func(*Options), lines func(n int) []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := accesslog.Open(path, jsonLines)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { l.Serve(ctx, func(err error) { t.Error(err) }) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return func(o *Options) { o.Access = l }, func(n int) []string {
		t.Helper()
		var got []string
		wiretest.Eventually(t, fmt.Sprintf("%d lines in the access log", n), func() bool {
			l.Flush()
			b, _ := os.ReadFile(path)
			got = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
			return len(b) > 0 && len(got) >= n
		})
		if len(got) != n {
			t.Fatalf("%d lines, want %d:\n%s", len(got), n, strings.Join(got, "\n"))
		}
		return got
	}
}

// TestAccessLog follows requests that end in every way there is.
func TestAccessLog(t *testing.T) {
	date := regexp.MustCompile(`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`)
	tests := []struct {
		name, method, sent, answer string // an answer without end is followed by a reset
		want, end                  string
	}{
		{"complete", "GET", lines("GET /a?b=c HTTP/1.1", "Host: x", "Referer: http://x/", "User-Agent: me", "Cookie: secret", "Authorization: Basic YW5uYTpzZWNyZXQ="), string(ok("hello")),
			`127.0.0.1 - anna [] "GET /a?b=c HTTP/1.1" 200 5 "http://x/" "me"`, ""},
		{"chunked", "GET", lines("GET / HTTP/1.0", "Connection: keep-alive"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			`127.0.0.1 - - [] "GET / HTTP/1.0" 200 5 "-" "-"`, ""},
		{"HEAD", "HEAD", lines("HEAD / HTTP/1.1", "Host: x"), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
			`127.0.0.1 - - [] "HEAD / HTTP/1.1" 200 0 "-" "-"`, ""},
		{"cut", "GET", lines("GET / HTTP/1.1", "Host: x"), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhel",
			`127.0.0.1 - - [] "GET / HTTP/1.1" 200 3 "-" "-"`, "closed before the response was complete"},
		{"no answer", "GET", lines("GET / HTTP/1.1", "Host: x"), "",
			`127.0.0.1 - - [] "GET / HTTP/1.1" 502 100 "-" "-"`, "closed before the response was complete"},
		{"refused", "GET", "GET / HTTP/1.1\r\nHost: x\r\nBad Name: \x1b\r\n\r\n", "",
			`127.0.0.1 - - [] "GET / HTTP/1.1" 400 100 "-" "-"`, "invalid byte in a header field's name"},
		{"not HTTP", "GET", "\x16\x03\x01\r\n\r\n", "",
			`127.0.0.1 - - [] "\x16\x03\x01" 400 37 "-" "-"`, "TLS on a port that speaks plain HTTP"},
		{"bad chunk", "POST", lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "zz\r\n", "",
			`127.0.0.1 - - [] "POST / HTTP/1.1" 400 100 "-" "-"`, "malformed chunked body"},
	}
	for _, tt := range tests {
		for _, jsonLines := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " json ", jsonLines), func(t *testing.T) {
				u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
					if _, err := http.ReadRequest(c.Reader); err == nil {
						fmt.Fprint(c, tt.answer)
					}
				})
				change, wait := logged(t, jsonLines)
				addr, _ := start(t, u.Addr, change)
				c := wiretest.Dial(t, addr)
				c.Send(tt.sent)
				line := wait(1)[0]
				if strings.Contains(line, "secret") || strings.Contains(line, "YW5uYTpzZWNyZXQ") {
					t.Errorf("a secret is in %s", line)
				}
				if !jsonLines {
					want := strings.Replace(tt.want, " 100 ", fmt.Sprintf(" %d ", pageSize(line)), 1)
					if got := date.ReplaceAllString(line, "[]"); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
					return
				}
				var got struct{ End, Upstream string }
				if err := json.Unmarshal([]byte(line), &got); err != nil || got.End != tt.end {
					t.Errorf("end %q, error %v; want %q in %s", got.End, err, tt.end, line)
				}
			})
		}
	}
}

// pageSize is the body of the page that a line's status has.
func pageSize(line string) int {
	for _, status := range []int{400, 502} {
		if strings.Contains(line, fmt.Sprintf(`" %d `, status)) {
			_, body, _ := strings.Cut(string(http1.Page(status, 0, "", true)), "\r\n\r\n")
			return len(body)
		}
	}
	return -1
}

func TestAccessLogAfterClientGone(t *testing.T) {
	heard := make(chan struct{})
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		close(heard)
		c.Reader.ReadByte() // until the proxy closes
	})
	change, wait := logged(t, false)
	addr, _ := start(t, u.Addr, change)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x"))
	<-heard
	c.Close()
	if line := wait(1)[0]; !strings.Contains(line, `"GET / HTTP/1.1" 499 0 `) {
		t.Errorf("logged %s", line)
	}
}

func TestAccessLogOfATunnel(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		c.Reader.ReadByte()
	})
	change, wait := logged(t, true)
	addr, _ := start(t, u.Addr, change)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /ws HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: x"))
	c.Response(http.MethodGet)
	c.Expect("hello")
	c.Close()
	if line := wait(1)[0]; !strings.Contains(line, `"status":101,"bytes":5,`) {
		t.Errorf("logged %s", line)
	}
}
