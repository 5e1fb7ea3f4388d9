//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile     = "deploy/prometheus/holdfast.rules.yml"
	rulesTestFile = "deploy/prometheus/holdfast.rules.test.yml"
	dashboardFile = "deploy/grafana/holdfast.json"
)

// startMeasured starts Holdfast with every feature that has metrics, and sends what has none before its first request.
func startMeasured(t *testing.T) *holdfast {
	t.Helper()
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/odd" {
			io.WriteString(w, "the app")
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")
	}))
	dir := t.TempDir()
	pem := newCertificate(t, dir)
	h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf(`
listen: [%q, {address: %q, tls: true}]
tls: {certificates: [{cert: %[3]s, key: %[3]s}], acme: {names: [b.test], accept_terms: true, directory: "https://127.0.0.1:1/", folder: %[4]s/acme}}
upstreams: [{url: %[5]q}, {url: "https://127.0.0.1:1", backup: true}]
upstream_tls: {cert: %[3]s, key: %[3]s}
hooks: {listen: %[6]s}
push: {history_file: %[4]s/history}
events: {url: /events, key: 0123456789abcdef0123456789abcdef, types: [connect]}
channels: [{match: "a.**", access: public, presence: api}]
watch: [{channel: a.watched, url: /watched}]
polls: [{match: /poll, hold: 1s}]
inject: [{match: /page, polls: [/poll]}]
compress: true
`, listen, freeAddr(t), pem, dir, app, hooks)
	})
	client, api := newVisitor(t, h.url), newVisitor(t, h.hooks)
	for _, path := range []string{"/a", "/odd", "/poll", "/_push?channel=a.b&wait=0"} {
		client.get(path).want(t, 200)
	}
	api.post("/publish?channel=a.b", url.Values{}).want(t, 200)
	return h
}

// scrape returns the metrics in the format that accept prefers.
func scrape(t *testing.T, h *holdfast, accept string) answer {
	t.Helper()
	a := newVisitor(t, h.hooks).do(http.MethodGet, "/metrics", http.Header{"Accept": {accept}}, nil)
	a.want(t, 200)
	return a
}

// samples returns the names and labels of the samples of a scrape.
func samples(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			all[regexp.MustCompile(`(le="\d+)\.0"`).ReplaceAllString(name, `$1"`)] = true // the form of OpenMetrics
		}
	}
	return all
}

// TestMetricFormats: promtool has nothing to say to the text format, and a strict parser of OpenMetrics takes the other, which
// has the same samples.
func TestMetricFormats(t *testing.T) {
	promtool := program(t, "promtool", "prometheus")
	python := program(t, "/usr/bin/python3", "python3-prometheus-client")
	h := startMeasured(t)
	text := scrape(t, h, "text/plain")
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text.body)
	if out := run(t, check); out != "" {
		t.Errorf("promtool check metrics:\n%s", out)
	}
	open := scrape(t, h, "application/openmetrics-text; version=1.0.0")
	for format, a := range map[string]answer{"text/plain; version=0.0.4; charset=utf-8": text, "application/openmetrics-text; version=1.0.0; charset=utf-8": open} {
		if got := a.Header.Get("Content-Type"); got != format {
			t.Errorf("Content-Type %q, want %q", got, format)
		}
	}
	parse := exec.Command(python, "-c", "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n"+
		"for f in parse(sys.stdin.read()):\n    print(f.name, f.type, f.unit, len(f.samples), bool(f.documentation))")
	parse.Stdin = strings.NewReader(open.body)
	families := run(t, parse)
	for _, want := range []string{
		"holdfast_request_duration_seconds histogram seconds 21 True\n", "holdfast_messages_published counter  1 True\n",
		"holdfast_cache_bytes gauge bytes 1 True\n", "holdfast_config info  1 True\n", "process_cpu_seconds counter seconds 1 True\n",
	} {
		if !strings.Contains(families, want) {
			t.Errorf("no family %q in\n%s", want, families)
		}
	}
	if strings.Contains(families, "unknown") || strings.Contains(families, "False") {
		t.Errorf("families that are not described:\n%s", families)
	}
	// A response was counted in between, and the machine may have begun to count what it had not.
	inText, inOpen := samples(text.body), samples(open.body)
	for name := range inText {
		if !inOpen[name] {
			t.Errorf("only the text format has %s", name)
		}
	}
	if len(inText) < 300 {
		t.Errorf("only %d samples", len(inText))
	}
}

var metricName = regexp.MustCompile(`\b(?:holdfast|process|go)_[a-z_]+`)

// TestAlertRules: promtool takes the rules, and each fires where it should, as their tests say.
func TestAlertRules(t *testing.T) {
	promtool := program(t, "promtool", "prometheus")
	run(t, exec.Command(promtool, "check", "rules", filepath.Join(repository, rulesFile)))
	run(t, exec.Command(promtool, "test", "rules", filepath.Join(repository, rulesTestFile)))
	tests := string(readFile(t, filepath.Join(repository, rulesTestFile)))
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(readFile(t, filepath.Join(repository, rulesFile))), -1)
	for _, m := range alerts {
		if !strings.Contains(tests, `alertname="`+m[1]+`"`) {
			t.Errorf("no test expects %s", m[1])
		}
	}
	if len(alerts) < 20 {
		t.Errorf("only %d alerts", len(alerts))
	}
}

// TestMonitorPage: promtool takes the configurations of the page, with the rules next to them.
func TestMonitorPage(t *testing.T) {
	promtool, dir := program(t, "promtool", "prometheus"), t.TempDir()
	writeFile(t, filepath.Join(dir, "holdfast.rules.yml"), string(readFile(t, filepath.Join(repository, rulesFile))))
	token := filepath.Join(dir, "holdfast.token")
	writeFile(t, token, "secret\n")
	n := 0
	for _, b := range pageBlocks(t, "docs/how-to/monitor.md") {
		if !strings.Contains(b.code, "scrape_configs:") {
			continue
		}
		n++
		file := filepath.Join(dir, "prometheus.yml")
		writeFile(t, file, strings.Replace(b.code, "/etc/prometheus/holdfast.token", token, 1))
		out := run(t, exec.Command(promtool, "check", "config", file))
		if want := "1 rule files found"; strings.Contains(b.code, "rule_files:") && !strings.Contains(out, want) {
			t.Errorf("%s\nwant %s for\n%s", out, want, b.code)
		}
	}
	if n != 2 {
		t.Errorf("%d configurations", n)
	}
}

// dashboardQueries returns the queries of all panels, with values for Grafana's variables.
func dashboardQueries(t *testing.T) (list []string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(readFile(t, filepath.Join(repository, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, x := range p.Targets {
			list = append(list, strings.NewReplacer("$job", "holdfast", "$instance", ".*", "$__rate_interval", "1m").Replace(x.Expr))
		}
	}
	if len(list) < 50 || strings.Contains(strings.Join(list, ""), "$_") {
		t.Fatalf("%d queries: %q", len(list), list)
	}
	return list
}

// prometheus is a Prometheus that scrapes a Holdfast and has its rules.
type prometheus struct {
	*process
	url string
}

func startPrometheus(t *testing.T, h *holdfast) *prometheus {
	t.Helper()
	dir, addr := t.TempDir(), freeAddr(t)
	writeFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs: [{job_name: holdfast, static_configs: [{targets: [%q]}]}]
`, filepath.Join(repository, rulesFile), strings.TrimPrefix(h.hooks, "http://")))
	p := &prometheus{start(t, "prometheus", exec.Command(program(t, "prometheus", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)), "http://" + addr}
	p.waitListening(t, addr)
	return p
}

// ask calls Prometheus's API.
func (p *prometheus) ask(ctx context.Context, path string, query url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return err
	}
	if a.Status != "success" {
		return fmt.Errorf("%s %s: %s", path, query.Encode(), a.Error)
	}
	return json.Unmarshal(a.Data, into)
}

// TestPrometheus: a real one reads the metrics as OpenMetrics, knows every metric that the dashboard and the rules name, and
// takes all their queries.
func TestPrometheus(t *testing.T) {
	h := startMeasured(t)
	p := startPrometheus(t, h)
	ctx := t.Context()
	var names []string
	p.waitUntil(t, func() error {
		var targets struct {
			ActiveTargets []struct{ Health, LastError string }
		}
		if err := p.ask(ctx, "targets", nil, &targets); err != nil {
			return err
		}
		if len(targets.ActiveTargets) != 1 || targets.ActiveTargets[0].Health != "up" {
			return fmt.Errorf("targets: %+v", targets)
		}
		return p.ask(ctx, "label/__name__/values", nil, &names)
	})
	type described struct{ Type, Unit, Help string }
	var about map[string][]described
	if err := p.ask(ctx, "metadata", nil, &about); err != nil {
		t.Fatal(err)
	}
	want := described{"histogram", "seconds", "Seconds from a request's head to the end of its response."}
	if got := about["holdfast_request_duration_seconds"]; len(got) != 1 || got[0] != want { // only OpenMetrics has units
		t.Errorf("described as %+v", got)
	}
	queries := dashboardQueries(t)
	for _, query := range queries {
		var result json.RawMessage
		if err := p.ask(ctx, "query", url.Values{"query": {query}}, &result); err != nil {
			t.Error(err)
		}
	}
	named := map[string]bool{}
	for _, name := range metricName.FindAllString(strings.Join(queries, "\n")+string(readFile(t, filepath.Join(repository, rulesFile))), -1) {
		named[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(names, name) {
			t.Errorf("no scrape has %s", name)
		}
	}
	if len(named) < 60 {
		t.Errorf("the dashboard and the rules name only %d metrics", len(named))
	}
	p.waitUntil(t, func() error {
		var rules struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.ask(ctx, "rules", nil, &rules); err != nil {
			return err
		}
		n := 0
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if n++; r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if n < 20 {
			return fmt.Errorf("%d rules", n)
		}
		return nil
	})
}
