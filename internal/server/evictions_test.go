package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestEvictionsAreReported(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	var e evictions
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		evicted uint64
		after   time.Duration
		want    string
	}{
		{0, 0, ""},
		{3, 0, "total=3\n"},
		{5, time.Second, ""}, // too soon, and not forgotten
		{7, time.Minute, "total=7\n"},
		{7, time.Hour, ""},
	} {
		now = now.Add(tt.after)
		b.Reset()
		e.look(tt.evicted, now, log)
		if (b.Len() == 0) != (tt.want == "") || !strings.HasSuffix(b.String(), tt.want) {
			t.Errorf("at %d: %q; want %q", tt.evicted, b.String(), tt.want)
		}
	}
}
