package server

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
)

// TestMetricsAreDescribed: each metric has one HELP and one TYPE, before its lines, which are together.
func TestMetricsAreDescribed(t *testing.T) {
	c, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0}\n"+
		"upstreams: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2'}]\n"+
		"push: {history_file: "+t.TempDir()+"/history}\nevents: {url: /events, key: "+eventsKey+", types: [connect]}\n"+
		"channels: [{match: a, access: public, presence: api}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.owned.stop(time.Now())
	var b strings.Builder
	s.writeMetrics(&b)
	seen, current, typed := map[string]bool{}, "", ""
	for line := range strings.Lines(b.String()) {
		if m := regexp.MustCompile(`^# HELP (holdfast_\w+) .*\w.*\.\n$`).FindStringSubmatch(line); m != nil {
			if seen[m[1]] {
				t.Errorf("%s is described twice", m[1])
			}
			seen[m[1]], current = true, m[1]
			continue
		}
		if m := regexp.MustCompile(`^# TYPE (\w+) (?:gauge|counter)\n$`).FindStringSubmatch(line); m != nil {
			typed = m[1]
			continue
		}
		if name := regexp.MustCompile(`^holdfast_\w+`).FindString(line); name != "" && (name != current || name != typed) {
			t.Errorf("%s is not described where it is", name)
		}
	}
	for name := range metricHelp {
		if !seen["holdfast_"+name] && !strings.Contains(name, "dropped") && !strings.Contains(name, "skipped") && !strings.Contains(name, "notices") && name != "held" {
			t.Errorf("holdfast_%s is not there", name)
		}
	}
}
