package proxy

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestHealthCheckFastCGI: a GET by FastCGI, whose status decides. What is no script of the site is php-fpm's own to answer.
func TestHealthCheckFastCGI(t *testing.T) {
	for _, tt := range []struct {
		path, stdout, asked string
		down                bool
	}{
		{"/app.php?a=b", "Content-Type: text/plain\r\n\r\nfine", "GET %s/app.php /app.php a=b", false},
		{"/app.php", "Status: 302 Found\r\nLocation: http://x/\r\n\r\n", "GET %s/app.php /app.php ", false},
		{"/app.php", "Status: 500 Error\r\n\r\n", "GET %s/app.php /app.php ", true},
		{"/app.php", "no head", "GET %s/app.php /app.php ", true},
		{"/ping", "Content-Type: text/plain\r\n\r\npong", "GET /ping /ping ", false},
		{"/a.txt", "", "", true},
	} {
		t.Run(tt.path, func(t *testing.T) {
			site, root := folder(t)
			asked := make(chan string, 100)
			var answered atomic.Int64
			fpm := responder(t, func(id uint16, p map[string]string, stdin string) string {
				select {
				case asked <- fmt.Sprint(p["REQUEST_METHOD"], " ", p["SCRIPT_FILENAME"], " ", p["SCRIPT_NAME"], " ", p["QUERY_STRING"], stdin):
				default:
				}
				answered.Add(1)
				return whole(id, tt.stdout)
			})
			_, p := start(t, fpm.Addr, site, func(o *Options) { o.CheckPath, o.CheckEvery = tt.path, 20*time.Millisecond })
			donec := make(chan struct{})
			go func() { defer close(donec); p.Upstreams().Check(t.Context()) }()
			t.Cleanup(func() { <-donec })
			if tt.asked != "" {
				want := strings.ReplaceAll(tt.asked, "%s", root)
				if got := <-asked; got != want {
					t.Errorf("asked %q, want %q", got, want)
				}
				wiretest.Eventually(t, "one check is over", func() bool { return answered.Load() > 1 })
			}
			wiretest.Eventually(t, fmt.Sprintf("down is %v", tt.down), func() bool { return p.Stats().Upstreams[0].Down == tt.down })
		})
	}
}
