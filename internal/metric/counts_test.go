package metric

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// TestStatuses: what several loops have counted is added up by code.
func TestStatuses(t *testing.T) {
	var a, b Statuses
	for _, code := range []int{100, 200, 200, 599, 99, 600, 0} {
		a.Add(code)
	}
	b.Add(200)
	sums := map[string]int64{}
	a.AddTo(sums)
	b.AddTo(sums)
	if want := map[string]int64{"100": 1, "200": 3, "599": 1, "other": 3}; !maps.Equal(sums, want) {
		t.Errorf("counted %v, want %v", sums, want)
	}
}

// TestHistogram: buckets are cumulative, and a duration that is a bound is within it.
func TestHistogram(t *testing.T) {
	var a, b Durations
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Second} {
		a.Add(d)
	}
	b.Add(time.Hour)
	var h Histogram
	a.AddTo(&h)
	b.AddTo(&h)
	var out strings.Builder
	NewWriter(&out).Histogram("holdfast_request_duration_seconds", &h)
	text := out.String()
	for _, want := range []string{
		"# TYPE holdfast_request_duration_seconds histogram\nholdfast_request_duration_seconds_bucket{le=\"0.001\"} 2\n",
		"_bucket{le=\"0.005\"} 3\n", "_bucket{le=\"0.5\"} 3\n", "_bucket{le=\"1\"} 4\n", "_bucket{le=\"60\"} 4\n", "_bucket{le=\"+Inf\"} 5\n",
		"holdfast_request_duration_seconds_sum 3601.002000001\n", "holdfast_request_duration_seconds_count 5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "# HELP"); n != 1 {
		t.Errorf("described %d times", n)
	}
}

// TestCountingCost: on the way of each request, so it allocates nothing.
func TestCountingCost(t *testing.T) {
	var s Statuses
	var d Durations
	if n := testing.AllocsPerRun(100, func() { s.Add(200); d.Add(time.Second) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
