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
	w := NewWriter(&b)
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
else 7
`
	if b.String() != want || w.Err() != nil {
		t.Errorf("written, with error %v:\n%s", w.Err(), b.String())
	}
}

// TestWriterKeepsTheFirstError: and writes nothing after it.
func TestWriterKeepsTheFirstError(t *testing.T) {
	first := errors.New("full")
	calls := 0
	w := NewWriter(writerFunc(func([]byte) (int, error) { calls++; return 0, first }))
	w.Int("holdfast_channels", 1)
	w.Int("holdfast_channels", 2)
	if !errors.Is(w.Err(), first) || calls != 1 {
		t.Errorf("%d writes, error %v", calls, w.Err())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFamilies: names and types follow the conventions of Prometheus, and each HELP is a sentence.
func TestFamilies(t *testing.T) {
	name, help := regexp.MustCompile(`^holdfast_[a-z]+(_[a-z]+)*$`), regexp.MustCompile(`^[A-Z0-9].*[a-z0-9)]\.$`)
	for n, f := range families {
		if !name.MatchString(n) || !help.MatchString(f.help) || strings.HasSuffix(n, "_total") != (f.kind == counter) {
			t.Errorf("%s: %+v", n, f)
		}
	}
}
