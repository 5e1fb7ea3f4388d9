package metric

import (
	"strings"
	"testing"
	"time"
)

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
	NewWriter(&out, Text).Histogram("holdfast_request_duration_seconds", &h)
	text := out.String()
	for _, want := range []string{
		"# TYPE holdfast_request_duration_seconds histogram\nholdfast_request_duration_seconds_bucket{le=\"0.0001\"} 1\n",
		"_bucket{le=\"0.001\"} 2\n", "_bucket{le=\"0.0025\"} 3\n", "_bucket{le=\"0.005\"} 3\n", "_bucket{le=\"0.5\"} 3\n", "_bucket{le=\"1\"} 4\n", "_bucket{le=\"60\"} 4\n", "_bucket{le=\"+Inf\"} 5\n",
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

// TestNegativeDuration: a clock that was set back makes no negative sum, and n at once are n.
func TestNegativeDuration(t *testing.T) {
	var d Durations
	d.AddN(-time.Hour, 2)
	d.AddN(time.Second, 3)
	d.AddN(time.Second, 0)
	var h Histogram
	d.AddTo(&h)
	if h.Count() != 5 || h.Sum() != 3*time.Second {
		t.Errorf("%d durations, sum %v", h.Count(), h.Sum())
	}
}

// TestQuantile: as PromQL's histogram_quantile estimates it.
func TestQuantile(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name      string
		durations []time.Duration
		q         float64
		want      time.Duration
	}{
		{"none", nil, 0.5, 0},
		{"one, the median is the middle of its bucket", []time.Duration{7 * ms}, 0.5, 7500 * time.Microsecond},
		{"the whole bucket", []time.Duration{7 * ms}, 1, 10 * ms},
		{"nothing", []time.Duration{7 * ms}, 0, 5 * ms},
		{"the first bucket begins at zero", []time.Duration{0, 0}, 0.5, 50 * time.Microsecond},
		{"the half ends with a bucket", []time.Duration{7 * ms, 70 * ms}, 0.5, 10 * ms},
		{"of several buckets", []time.Duration{7 * ms, 7 * ms, 7 * ms, 70 * ms}, 0.875, 75 * ms},
		{"above all bounds", []time.Duration{7 * ms, time.Hour}, 0.99, time.Minute},
	} {
		var d Durations
		for _, x := range c.durations {
			d.Add(x)
		}
		var h Histogram
		d.AddTo(&h)
		if got := h.Quantile(c.q); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSince: of two snapshots, and what two histograms have together.
func TestSince(t *testing.T) {
	var d Durations
	snapshot := func() (h Histogram) { d.AddTo(&h); return h }
	d.Add(time.Minute)
	before := snapshot()
	d.Add(7 * time.Millisecond)
	after := snapshot()
	recent := after.Since(&before)
	if recent.Count() != 1 || recent.Sum() != 7*time.Millisecond || recent.Quantile(1) != 10*time.Millisecond {
		t.Errorf("since then: %+v", recent)
	}
	if before.Add(&recent); before != after {
		t.Errorf("together %+v, want %+v", before, after)
	}
}

// TestHistogramFormats: several of one family, with their labels; bounds of OpenMetrics have a point.
func TestHistogramFormats(t *testing.T) {
	var d Durations
	d.Add(time.Second)
	var h Histogram
	d.AddTo(&h)
	for _, c := range []struct {
		format Format
		want   []string
	}{
		{Text, []string{`{upstream="a:1",le="1"} 1`, `{upstream="a:1",le="30"} 1`, `_sum{upstream="b:2"} 1`, `_count{upstream="b:2"} 1`}},
		{OpenMetrics, []string{`{upstream="a:1",le="1.0"} 1`, `{upstream="a:1",le="30.0"} 1`, `{upstream="a:1",le="0.0001"} 0`, `{upstream="b:2",le="+Inf"} 1`}},
	} {
		var b strings.Builder
		w := NewWriter(&b, c.format)
		for _, name := range []string{"a:1", "b:2"} {
			w.Histogram("holdfast_upstream_first_byte_seconds", &h, "upstream", name)
		}
		for _, want := range append(c.want, "# TYPE holdfast_upstream_first_byte_seconds histogram") {
			if strings.Count(b.String(), want+"\n") != 1 {
				t.Errorf("%s, in %s\n%s", want, c.format.ContentType(), b.String())
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	var d Durations
	for b.Loop() {
		d.Add(3 * time.Millisecond)
	}
}

// TestCountingCost: on the way of each request, so it allocates nothing.
func TestCountingCost(t *testing.T) {
	var s Statuses
	var d Durations
	if n := testing.AllocsPerRun(100, func() { s.Add(200); d.Add(time.Second); d.AddN(time.Minute, 3) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSinceOfNewCounts: where counting has begun anew, nothing is negative.
func TestSinceOfNewCounts(t *testing.T) {
	var old, anew Durations
	var before, now Histogram
	old.Add(time.Second)
	old.Add(time.Millisecond)
	anew.Add(time.Millisecond)
	old.AddTo(&before)
	anew.AddTo(&now)
	if d := now.Since(&before); d.Count() != 1 || d.Sum() != time.Millisecond {
		t.Errorf("%d durations, %v", d.Count(), d.Sum())
	}
}
