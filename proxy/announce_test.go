package proxy

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
)

// TestChannelIsAnnounced: an answer that is kept names the channel that ends it, as it comes and from memory. One that is
// not kept names none, nor does one whose channel has a cookie in its name.
func TestChannelIsAnnounced(t *testing.T) {
	policy := cache.Policy{Fresh: time.Hour, IgnoreApp: true}
	list := []rules.Options{
		{Name: "a", Match: "/query", Channel: "parcel.{query.id}", MaxBytes: 1 << 20, Policy: policy, Pass: 5 * time.Minute},
		{Name: "b", Match: "/cookie", Parts: []string{"query", "cookie.town"}, Channel: "town.{cookie.town}", MaxBytes: 1 << 20, Policy: policy},
		{Name: "c", Match: "/small", Channel: "small", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: 10 * time.Second, IgnoreApp: true}},
		{Name: "d", Match: "/none", MaxBytes: 1 << 20, Policy: policy},
	}
	a := newCachedApp(t, list, func(_ int64, r *http.Request, _ []byte) []byte {
		status, field := "200 OK", ""
		switch r.FormValue("say") {
		case "error":
			status = "500 Internal Server Error"
		case "own":
			field = "Push-Channel: own\r\n"
		case "cookie":
			field = "Set-Cookie: a=b\r\n"
		}
		return fmt.Appendf(nil, "HTTP/1.1 %s\r\n%sContent-Length: 1\r\n\r\nx", status, field)
	})
	for target, want := range map[string]string{
		"/query?id=4%2E2":         "parcel.4%2E2; fresh=300",
		"/query?id=42&say=own":    "own",
		"/query?id=42&say=error":  "",
		"/query?id=42&say=cookie": "",
		"/query":                  "",
		"/cookie?id=1":            "",
		"/small":                  "small; fresh=10",
		"/none":                   "",
	} {
		for range 2 {
			r, _ := a.get("GET", target, "Cookie: town=Linz")
			if got := r.Header.Get("Push-Channel"); got != want {
				t.Errorf("%s: %q, want %q (%s)", target, got, want, r.Header.Get("Cache-Status"))
			}
		}
	}
}
