package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/hooks"
	"holdfast/internal/config"
	"holdfast/internal/metric"
)

// TestMetricsAreDescribed: each metric has one HELP and one TYPE, before its lines, which are together.
func TestMetricsAreDescribed(t *testing.T) {
	dir := t.TempDir()
	writeCert(t, dir+"/a.pem", "a.test")
	c, err := config.Parse("test.yaml", []byte("listen: ['127.0.0.1:0', {address: '127.0.0.1:0', tls: true}]\n"+
		"tls: {certificates: [{cert: "+dir+"/a.pem, key: "+dir+"/a.pem}], acme: {names: [b.test], accept_terms: true, folder: "+dir+"/acme}}\nhooks: {listen: 127.0.0.1:0}\n"+
		"upstreams: [{url: 'http://127.0.0.1:1'}, {url: 'https://127.0.0.1:2'}]\nupstream_tls: {cert: "+dir+"/a.pem, key: "+dir+"/a.pem}\n"+
		"push: {headers: true, history_file: "+t.TempDir()+"/history}\nevents: {url: /events, key: "+eventsKey+", types: [connect]}\n"+
		"channels: [{match: a, access: public, presence: api}]\nwatch: [{channel: a, url: /a}]\npolls: [{match: /a, hold: 1s}]\ninject: [{match: /, polls: [/a]}]\ncompress: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.owned.stop(time.Now())
	served := make(chan error, 1)
	go func() { served <- s.hooks.Serve(s.hooksListener) }()
	resp, err := http.Get("http://" + s.HooksAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("answered %d %q, %v", resp.StatusCode, body, err)
	}
	resp.Body.Close()
	s.shutdownHooks()
	if err := <-served; !errors.Is(err, hooks.ErrClosed) {
		t.Error(err)
	}
	seen, current, typed := map[string]bool{}, "", ""
	for line := range strings.Lines(string(body)) {
		if m := regexp.MustCompile(`^# HELP (\w+) .*\w.*\.\n$`).FindStringSubmatch(line); m != nil {
			if seen[m[1]] {
				t.Errorf("%s is described twice", m[1])
			}
			seen[m[1]], current = true, m[1]
			continue
		}
		if m := regexp.MustCompile(`^# TYPE (\w+) (?:gauge|counter|histogram|summary)\n$`).FindStringSubmatch(line); m != nil {
			typed = m[1]
			continue
		}
		name := regexp.MustCompile(`^\w+`).FindString(line)
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count"); seen[base] {
			name = base
		}
		if name != "" && (name != current || name != typed) {
			t.Errorf("%s is not described where it is", name)
		}
	}
	table, err := os.ReadFile("../metric/families.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`"(holdfast_\w+)"`).FindAllStringSubmatch(string(table), -1)
	for _, m := range names {
		// These have no value before the first request that counts.
		later := []string{"holdfast_api_requests_total", "holdfast_responses_total", "holdfast_upstream_notices_total"}
		if !seen[m[1]] && !slices.Contains(later, m[1]) {
			t.Errorf("%s is not there", m[1])
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d metrics are in the table", len(names))
	}
}

// TestSeriesAreUnique: no metric is written twice with the same labels, whatever shares an upstream.
func TestSeriesAreUnique(t *testing.T) {
	x := serveReloaded(t, `
upstreams: [{url: "http://127.0.0.1:1"}, {url: "http://127.0.0.1:2"}]
routes: [{match: /a, upstream: "http://127.0.0.1:1"}, {match: /b, upstreams: [{url: "http://127.0.0.1:2"}, {url: "http://127.0.0.1:3"}]}]
sites:
- {hosts: [a.test], upstream: "http://127.0.0.1:1"}
- {hosts: [b.test], upstream: "https://127.0.0.1:1", routes: [{match: /a, upstream: "http://127.0.0.1:3"}]}
`)
	for _, format := range []metric.Format{metric.Text, metric.OpenMetrics} {
		var b bytes.Buffer
		x.writeMetrics(metric.NewWriter(&b, format))
		seen := map[string]bool{}
		for line := range strings.Lines(b.String()) {
			series := line[:strings.LastIndexByte(line, ' ')]
			if seen[series] && !strings.HasPrefix(series, "#") {
				t.Errorf("%s twice", series)
			}
			seen[series] = true
		}
		if !seen[`holdfast_upstream_active{upstream="127.0.0.1:3"}`] {
			t.Error("an upstream lacks")
		}
	}
}
