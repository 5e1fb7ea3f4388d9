package cache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache/structured"
)

func TestCacheStatus(t *testing.T) {
	e := entryOf(t, &strict, "Cache-Control: max-age=60, stale-if-error=60", "", start)
	for _, c := range []struct{ got, want string }{
		{string(e.AppendHit(nil, start.Add(20*time.Second))), "holdfast; hit; ttl=40"},
		{string(e.AppendHit(nil, start.Add(65*time.Second))), "holdfast; hit; ttl=-5"},
		{string(AppendForwarded(nil, FwdURIMiss, 0, None)), "holdfast; fwd=uri-miss; stored"},
		{string(AppendForwarded(nil, FwdStale, 304, None)), "holdfast; fwd=stale; fwd-status=304; stored"},
		{string(AppendForwarded(nil, FwdVary, 0, SetsCookie)), "holdfast; fwd=vary-miss; detail=set_cookie"},
		{string(AppendForwarded(nil, FwdBypass, 0, HasSession)), "holdfast; fwd=bypass; detail=session"},
		{string(AppendCollapsed(nil, FwdURIMiss, None)), "holdfast; fwd=uri-miss; collapsed"},
		{string(AppendCollapsed(nil, FwdStale, Failed)), "holdfast; fwd=stale; collapsed; detail=error"},
	} {
		if c.got != "Cache-Status: "+c.want+"\r\n" {
			t.Errorf("%q; want %q", c.got, c.want)
		}
	}
}

// TestReasons: each has a text of its own, which is a token of a structured field and a label.
func TestReasons(t *testing.T) {
	var seen []string
	for _, r := range Reasons() {
		text := r.String()
		if slices.Contains(seen, text) || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("reason %d is %q", r, text)
		}
		seen = append(seen, text)
		if !structured.Dictionary([]byte("d="+text), func(_ string, v structured.Item) bool { return v.Kind == structured.Token }) {
			t.Errorf("%q is no token", text)
		}
	}
	if reasons.String() != "unknown" {
		t.Errorf("no reason is %q", reasons.String())
	}
}
