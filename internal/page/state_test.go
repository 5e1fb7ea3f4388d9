package page

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

// TestParse reads what a metric.Writer writes, with every sign that a label may have.
func TestParse(t *testing.T) {
	var b strings.Builder
	w := metric.NewWriter(&b, metric.Text)
	odd := "http://a b{}=\"\\\n,x=\" é"
	w.Int("holdfast_channels", 3)
	w.Ints("holdfast_connections_held", "transport", map[string]int64{"sse": 1, "websocket": 2})
	w.Int("holdfast_upstream_notices_total", 7, "upstream", odd, "kind", "no_colon")
	s := parse(time.Now(), []byte(b.String()+"process_resident_memory_bytes 1.5e+07\n"))
	if s.total("holdfast_channels") != 3 || s.total("holdfast_connections_held") != 3 || s.by("holdfast_connections_held")["sse"] != 1 ||
		s.value("holdfast_upstream_notices_total", odd, "no_colon") != 7 || s.total("process_resident_memory_bytes") != 1.5e7 || s.has("holdfast_none") {
		t.Errorf("%+v", s.series)
	}
}

// TestRates are about the time between two samples. A counter that began anew has no negative one.
func TestRates(t *testing.T) {
	at := time.Now()
	before := parse(at, []byte("a_total 10\nb_total 10\n"))
	now := parse(at.Add(2*time.Second), []byte("a_total 30\nb_total 4\n"))
	if a, b, none := now.rate(before, "a_total"), now.rate(before, "b_total"), now.rate(nil, "a_total"); a != 10 || b != 0 || none != 0 || now.rate(now, "a_total") != 0 {
		t.Errorf("%v %v %v", a, b, none)
	}
}

// TestState: what the page shows comes from the metrics, and is nothing where there are none.
func TestState(t *testing.T) {
	ready := errors.New("shutting down")
	p := New(Options{Version: "1.2.3", Ready: func() error { return ready }, Publish: func() bool { return true }})
	at := time.Now()
	empty := p.state(parse(at, nil), nil)
	if empty.NotReady != "shutting down" || !empty.Publish || empty.Seconds != 0 || empty.Cache != nil || empty.Watch || len(empty.Upstreams) != 0 || len(empty.Refusals) != 0 {
		t.Errorf("%+v", empty)
	}
	if text := string(empty.render()); !strings.Contains(text, `"refusals":[]`) || !strings.Contains(text, `"upstreams":[]`) {
		t.Error(text)
	}
	var requests, later metric.Durations
	var h0, h1 metric.Histogram
	requests.Add(time.Minute)
	requests.AddTo(&h0)
	later.Add(time.Minute)
	for range 100 {
		later.Add(2 * time.Millisecond)
	}
	later.AddTo(&h1)
	before := parse(at, []byte("holdfast_proxy_requests_total 10\n"))
	before.times.Requests = h0
	now := parse(at.Add(time.Second), []byte(`holdfast_proxy_requests_total 110
holdfast_connections_held{transport="sse"} 5
holdfast_cache_requests_total{result="HIT"} 9
holdfast_upstream_active{upstream="http://b"} 1
holdfast_upstream_active{upstream="http://a"} 2
holdfast_upstream_up{upstream="http://a"} 1
holdfast_upstream_up{upstream="http://b"} 0
holdfast_upstream_notices_total{upstream="http://a",kind="x"} 3
holdfast_upstream_notices_total{upstream="http://a",kind="y"} 1
`))
	now.times.Requests = h1
	s := p.state(now, before)
	if s.Figures["requests_rate"] != 100 || s.Held["sse"] != 5 || s.Cache["HIT"] != 9 || s.Seconds != 1 || s.Delivery != nil {
		t.Errorf("%s", s.render())
	}
	if s.Requests == nil || s.Requests.Count != 100 || s.Requests.P50 > 5 || s.Requests.P50 <= 0 || s.Requests.P99 > 5 {
		t.Errorf("times of the last second: %+v", s.Requests)
	}
	want := []upstream{{Name: "http://a", Up: true, Active: 2, Notices: 4}, {Name: "http://b", Active: 1}}
	if !slices.Equal(s.Upstreams, want) {
		t.Errorf("%+v", s.Upstreams)
	}
}

// TestRefusals: each has its count, its newest line of the log, and what to set.
func TestRefusals(t *testing.T) {
	r := Record(slog.NewTextHandler(new(wiretest.Log), nil))
	l := slog.New(r)
	l.Info("subscribe rejected", "reason", "foreign origin; see push.origins", "client", "192.0.2.1")
	l.Info("subscribe rejected", "reason", "push.max_connections reached", "client", "192.0.2.2")
	l.Info("subscribe rejected", "reason", "foreign origin; see push.origins", "client", "192.0.2.3")
	l.Warn("API request refused", "status", 403, "reason", "host not allowed")
	l.Warn("API request refused", "status", 401, "reason", "token is missing or wrong")
	l.Info("TLS connection failed", "reason", "not_tls")
	l.Info("TLS connection failed", "reason", "version")
	p := New(Options{Lines: r})
	at := time.Now()
	text := `holdfast_subscribe_rejected_total{reason="origin"} 2
holdfast_subscribe_rejected_total{reason="connection_limit"} 1
holdfast_subscribe_rejected_total{reason="denied"} 0
holdfast_api_requests_total{code="200"} 1000
holdfast_api_requests_total{code="403"} 7
holdfast_tls_failures_total{reason="not_tls"} 4
holdfast_events_lost_total 3
`
	got := p.refusals(parse(at, []byte(text)), parse(at, []byte("holdfast_subscribe_rejected_total{reason=\"origin\"} 1\n")))
	var list []string
	for _, r := range got {
		last := "none"
		if r.Last != nil {
			last = r.Last.field("client") + r.Last.field("status") + r.Last.field("reason")
		}
		list = append(list, r.Reason+" | "+last)
		if r.Remedy == "" || r.Count == 0 {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		"TLS failed: not_tls | not_tls",
		"API request refused: Host, or a browser | 403host not allowed",
		"Subscribe rejected: foreign page | 192.0.2.3foreign origin; see push.origins",
		"Subscribe rejected: too many connections | 192.0.2.2push.max_connections reached",
		"Event lost | none",
	}
	if !slices.Equal(list, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
	if got[2].Recent != 1 || got[2].Count != 2 {
		t.Errorf("%+v", got[2])
	}
}

// TestCausesAreThoseOfTheCode: the lines of the log are in the code, and the keys of the remedies in config.yaml.
func TestCausesAreThoseOfTheCode(t *testing.T) {
	sources := ""
	for _, root := range []string{"../../hooks", "../../proxy", "../../upgrade", "../../internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "../../internal/page/") {
				return err
			}
			text, err := os.ReadFile(name)
			sources += string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.ReadFile("../../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`\b(accesslog|buffers|cache_limits|events|hooks|limits|log|push|timeouts|upstream_pool)\.([a-z_]+)\b`)
	keys := 0
	for _, c := range causes {
		if !strings.Contains(sources, `"`+c.metric+`"`) && !strings.Contains(sources, c.metric+`{`) {
			t.Errorf("no metric is called %s", c.metric)
		}
		if c.line != "" && !strings.Contains(sources, `"`+c.line+`"`) {
			t.Errorf("no line of the log is %q", c.line)
		}
		if c.label != "" && c.metric != apiCalls && !strings.Contains(sources, `"`+c.label+`"`) {
			t.Errorf("%s has no label %s", c.metric, c.label)
		}
		for _, m := range key.FindAllStringSubmatch(c.remedy, -1) {
			keys++
			if !regexp.MustCompile(`(?m)^` + m[1] + `:$(?s:.*?)^  (?:# )?` + m[2] + `:`).Match(config) {
				t.Errorf("%q names %s, which config.yaml does not have", c.remedy, m[0])
			}
		}
		if !strings.HasSuffix(c.remedy, ".") {
			t.Errorf("%q is no sentence", c.remedy)
		}
	}
	if keys < 30 {
		t.Errorf("only %d keys found", keys)
	}
}

// TestScriptKnowsTheFigures: the script shows each figure, and asks for no other.
func TestScriptKnowsTheFigures(t *testing.T) {
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(?:f|state\.figures)\.([a-z_]+)\b`).FindAllSubmatch(pageJS, -1) {
		used[string(m[1])] = true
	}
	for name := range gauges {
		if !used[name] {
			t.Errorf("the script does not show %s", name)
		}
		delete(used, name)
	}
	for name := range rates {
		if !used[name+"_rate"] {
			t.Errorf("the script does not show %s_rate", name)
		}
		delete(used, name+"_rate")
	}
	for _, known := range []string{"key", "value"} { // of a field of a line
		delete(used, known)
	}
	if len(used) > 0 {
		t.Errorf("the script asks for %v", used)
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", 3599 * time.Second: "59 min 59 s",
		25 * time.Hour: "1 d 1 h", 3*time.Hour + 12*time.Minute: "3 h 12 min",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%v: %q; want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q; want %q", n, got, want)
		}
	}
}
