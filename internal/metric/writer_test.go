package metric

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

// TestWriter: samples, by hand or from a metrics.Set, with HELP and TYPE before the first of each family only.
func TestWriter(t *testing.T) {
	var b strings.Builder
	w := NewWriter(&b, Text)
	w.Int("holdfast_channels", 3)
	w.Ints("holdfast_connections_held", "transport", map[string]int64{"websocket": 2, "sse": 1})
	w.Int("holdfast_upstream_notices_total", -1, "upstream", "a\\b\"c\nd é", "kind", "x")
	if _, err := io.WriteString(w, "holdfast_api_requests_total{code=\"200\"} 1\nholdfast_api_requests_total{code=\"404\"} 2\nelse 7\n"); err != nil {
		t.Fatal(err)
	}
	want := `# HELP holdfast_channels Channels with subscribers or history.
# TYPE holdfast_channels gauge
holdfast_channels 3
# HELP holdfast_connections_held Held connections, by transport.
# TYPE holdfast_connections_held gauge
holdfast_connections_held{transport="sse"} 1
holdfast_connections_held{transport="websocket"} 2
# HELP holdfast_upstream_notices_total Faults in an upstream's responses that Holdfast corrects, by kind.
# TYPE holdfast_upstream_notices_total counter
holdfast_upstream_notices_total{upstream="a\\b\"c\nd é",kind="x"} -1
# HELP holdfast_api_requests_total Requests to the API listener, by status code.
# TYPE holdfast_api_requests_total counter
holdfast_api_requests_total{code="200"} 1
holdfast_api_requests_total{code="404"} 2
`
	if err := w.Close(); b.String() != want || err != nil {
		t.Errorf("written, with error %v:\n%s", err, b.String())
	}
}

// TestWriterKeepsTheFirstError: and writes nothing after it.
func TestWriterKeepsTheFirstError(t *testing.T) {
	first := errors.New("full")
	calls := 0
	w := NewWriter(writerFunc(func([]byte) (int, error) { calls++; return 0, first }), OpenMetrics)
	w.Int("holdfast_channels", 1)
	w.Int("holdfast_channels", 2)
	if err := w.Close(); !errors.Is(err, first) || calls != 1 {
		t.Errorf("%d writes, error %v", calls, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestOpenMetrics: families without what the type adds to their samples, with their units, and an end.
func TestOpenMetrics(t *testing.T) {
	var b strings.Builder
	w := NewWriter(&b, OpenMetrics)
	w.Int("holdfast_build_info", 1, "version", "1.0")
	w.Int("holdfast_proxy_requests_total", 3)
	w.Int("holdfast_compress_read_bytes_total", 4)
	w.Int("holdfast_cache_bytes", 5)
	want := `# TYPE holdfast_build info
# HELP holdfast_build The version of this build; always 1.
holdfast_build_info{version="1.0"} 1
# TYPE holdfast_proxy_requests counter
# HELP holdfast_proxy_requests Requests.
holdfast_proxy_requests_total 3
# TYPE holdfast_compress_read_bytes counter
# UNIT holdfast_compress_read_bytes bytes
# HELP holdfast_compress_read_bytes Bytes of bodies before compression.
holdfast_compress_read_bytes_total 4
# TYPE holdfast_cache_bytes gauge
# UNIT holdfast_cache_bytes bytes
# HELP holdfast_cache_bytes Memory for the stored responses of polls and cache, with their keys.
holdfast_cache_bytes 5
# EOF
`
	if err := w.Close(); b.String() != want || err != nil {
		t.Errorf("written, with error %v:\n%s", err, b.String())
	}
}

// TestNegotiate: OpenMetrics for those who prefer it to the text format.
func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		accept string
		want   Format
	}{
		{"", Text},
		{"*/*", Text},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text},                                                                                                                                       // a browser
		{"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OpenMetrics},                                                          // Prometheus 2
		{"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", OpenMetrics}, // Prometheus 3
		{"Application/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics},
		{"application/openmetrics-text", OpenMetrics},
		{"application/openmetrics-text; version=2.0.0, text/plain", Text},
		{"application/openmetrics-text; version=2.0.0", Text},
		{"application/openmetrics-text;q=0.3, text/plain;q=0.5", Text},
		{"application/openmetrics-text;q=0.5, text/plain;q=0.5", Text},
		{"application/openmetrics-text;q=0", Text},
		{"application/openmetrics-text;q=much", Text},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5", Text},
	} {
		if got := Negotiate(c.accept); got != c.want {
			t.Errorf("%s: %s", c.accept, got.ContentType())
		}
	}
}

// TestFamilies: names and types follow the conventions of Prometheus, and each HELP is a sentence.
func TestFamilies(t *testing.T) {
	name, help := regexp.MustCompile(`^(holdfast|process|go)(_[a-z]+)+$`), regexp.MustCompile(`^[A-Z0-9][^"\\]*[A-Za-z0-9)]\.$`) // nothing to escape
	reserved := regexp.MustCompile(`_(total|created|count|sum|bucket|info)$`)
	open := map[string]string{}
	for n, f := range families {
		if other := open[f.openName(n)]; other != "" {
			t.Errorf("%s and %s have one name in OpenMetrics", n, other)
		}
		open[f.openName(n)] = n
		if !name.MatchString(n) || !help.MatchString(f.help) || strings.HasSuffix(n, "_total") != (f.kind == counter) ||
			strings.HasSuffix(n, "_info") != (f.kind == info) || reserved.MatchString(f.openName(n)) {
			t.Errorf("%s: %+v", n, f)
		}
	}
}
