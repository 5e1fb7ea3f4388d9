//go:build e2e && steps && linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	stepsFor      = flag.Duration("steps.for", 40*time.Second, "how long each step of TestSteps is measured")
	stepsBrowsers = flag.Int("steps.browsers", 200, "pages that are open")
)

const (
	stepsPoll  = 2 * time.Second       // between two polls of a page
	stepsPage  = 50 * time.Millisecond // between two requests of an ordinary page
	stepsMoves = 13 * time.Second      // between two changes: step 1 needs up to 12 s to show one
)

// steps are the steps of docs/tutorials/stop-polling.md.
var steps = []struct {
	name, config string
	page         func(x *stepsRun, r *rand.Rand, c *http.Client)
	tell         string // what the app's call is after a change; empty: none
}{
	{"0 polling", "", (*stepsRun).polls, ""},
	{"1 absorbed polls", "polls: [{match: /status%s, key: [query.id], shared: true, fresh: 10s}]\n", (*stepsRun).polls, ""},
	{"2 a word from the app", "polls: [{match: /status%s, key: [query.id], shared: true, fresh: 1h, channel: 'parcel.{query.id}'}]\n", (*stepsRun).polls, "/changed?channel=parcel.42"},
	{"3 browser shim", "polls: [{match: /status%s, key: [query.id], shared: true, fresh: 1h, channel: 'parcel.{query.id}'}]\n", (*stepsRun).shim, "/changed?channel=parcel.42"},
	{"4 shared poll", "watch: [{channel: 'parcel.{id}', url: '/status%s?id={id}', every: 2s, data: /state}]\n", (*stepsRun).subscribes, ""},
	{"5 push", "", (*stepsRun).subscribes, "/publish?channel=parcel.42"},
}

// stepsApp is the app of examples/polling on a server with few workers.
type stepsApp struct {
	name, suffix string
	upstream     string // lines of the configuration
	log          string // of its requests
}

// stepsRun is one step in front of one app.
type stepsRun struct {
	t   *testing.T
	app *stepsApp
	h   *holdfast
	ctx context.Context

	mu    sync.Mutex
	moved []time.Time     // when the app had the version
	seen  []time.Duration // how long each page took to see each version
	slow  []time.Duration // of an ordinary page
}

// TestSteps measures the steps of the tutorial with the polling page of the examples: what the app has to answer, how long an
// ordinary page takes meanwhile, and when pages see a change. It prints a table, and leaves it in .ci/out/steps.md.
//
//	go test -tags 'e2e steps' ./internal/e2e -run TestSteps -v -timeout 30m
func TestSteps(t *testing.T) {
	table := fmt.Sprintf("%d pages, a poll every %v each, a change every %v, an ordinary page every %v; %v each step.\n", *stepsBrowsers, stepsPoll, stepsMoves, stepsPage, *stepsFor)
	for _, start := range []func(t *testing.T) *stepsApp{startStepsFPM, startStepsTomcat} {
		app := start(t)
		table += fmt.Sprintf("\n%s\n\n| Step | App: polls per second | Ordinary page: median | p99 | A page sees a change: median | slowest |\n| --- | --- | --- | --- | --- | --- |\n", app.name)
		for i := range steps {
			row := measureStep(t, app, i)
			t.Log(app.name, row)
			table += row
		}
	}
	t.Log("\n" + table)
	writeFile(t, filepath.Join(outDir(t), "steps.md"), table)
}

func startStepsFPM(t *testing.T) *stepsApp {
	dir := publicTempDir(t)
	root, log := filepath.Join(dir, "app"), filepath.Join(dir, "access.log")
	if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/polling"))); err != nil {
		t.Fatal(err)
	}
	socket := startFPMWith(t, dir, fmt.Sprintf("pm.max_children = 4\naccess.log = %s\naccess.format = \"%%r\"\n", log), nil)
	return &stepsApp{"php-fpm, 4 workers", ".php", fmt.Sprintf("upstream: fastcgi+unix:%s\nsite: {root: %s}\n", socket, root), log}
}

func startStepsTomcat(t *testing.T) *stepsApp {
	addr, logs, root := freeAddr(t), t.TempDir(), filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/polling"))); err != nil {
		t.Fatal(err)
	}
	connector := fmt.Sprintf(`<Connector port=%q address="127.0.0.1" protocol="HTTP/1.1" maxThreads="10" minSpareThreads="10" />`, portOf(t, addr))
	context := fmt.Sprintf(`<Valve className="org.apache.catalina.valves.AccessLogValve" directory=%q prefix="access" suffix="" rotatable="false" buffered="false" pattern="%%U" />`+
		`<Context path="" docBase=%q />`, logs, root)
	startTomcatAt(t, addr, connector, "<tomcat-users/>", context)
	return &stepsApp{"Tomcat, maxThreads 10", ".jsp", "upstream: http://" + addr + "\n", filepath.Join(logs, "access")}
}

// polled returns how many polls the app has answered.
func (a *stepsApp) polled(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(a.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "/status"+a.suffix+"\n")
}

// measureStep runs a step and returns its row of the table.
func measureStep(t *testing.T, app *stepsApp, i int) string {
	t.Helper()
	step := &steps[i]
	rule := step.config
	if strings.Contains(rule, "%s") {
		rule = fmt.Sprintf(rule, app.suffix)
	}
	var row string
	t.Run(step.name+" "+app.suffix[1:], func(t *testing.T) {
		h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
			return fmt.Sprintf("listen: %s\nhooks: {listen: %s}\n%schannels: [{match: 'parcel.*', access: public, history: {messages: 1}}]\n%s", listen, hooks, app.upstream, rule)
		})
		ctx, cancel := context.WithCancel(t.Context())
		x := &stepsRun{t: t, app: app, h: h, ctx: ctx}
		x.move(-1, "") // what is left of the step before
		var group sync.WaitGroup
		for n := range *stepsBrowsers {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			c := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			group.Go(func() {
				defer c.CloseIdleConnections()
				sleep(ctx, time.Duration(r.Int64N(int64(stepsPoll))))
				step.page(x, r, c)
			})
		}
		time.Sleep(2 * stepsPoll) // all are open then
		before, begun := app.polled(t), time.Now()
		group.Go(x.visits)
		for n := 0; time.Since(begun) < *stepsFor; n++ {
			if time.Since(begun)+stepsMoves <= *stepsFor || n == 0 {
				x.move(n, step.tell)
			}
			sleep(ctx, min(stepsMoves, *stepsFor-time.Since(begun)))
		}
		polled, took := app.polled(t)-before, time.Since(begun)
		cancel()
		group.Wait()
		row = fmt.Sprintf("| %s | %.1f | %s | %s | %s | %s |\n", step.name, float64(polled)/took.Seconds(), round(quantile(x.slow, 0.5)), round(quantile(x.slow, 0.99)),
			round(quantile(x.seen, 0.5)), round(quantile(x.seen, 1)))
		if want := len(x.moved) * *stepsBrowsers; len(x.seen) < want {
			row = strings.TrimSuffix(row, "\n") + fmt.Sprintf(" %d of %d changes were not seen in time.\n", want-len(x.seen), want)
		}
	})
	return row
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

func round(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// move changes the parcel's state to the version, and tells Holdfast.
func (x *stepsRun) move(version int, tell string) {
	state := "at " + strconv.Itoa(max(version, 0))
	if version < 0 {
		state = "announced"
	}
	a := newVisitor(x.t, x.h.url).post("/move"+x.app.suffix, url.Values{"id": {"42"}, "to": {state}})
	a.want(x.t, http.StatusOK)
	if version < 0 {
		return
	}
	x.mu.Lock()
	x.moved = append(x.moved, time.Now())
	x.mu.Unlock()
	if tell != "" {
		body := ""
		if strings.HasPrefix(tell, "/publish") {
			body = state
		}
		newVisitor(x.t, x.h.hooks).do(http.MethodPost, tell, nil, strings.NewReader(body)).want(x.t, http.StatusOK)
	}
}

// stepsKnown is how many versions a page has seen.
type stepsKnown int

// shows notes that a page shows a state.
func (x *stepsRun) shows(state string, known *stepsKnown) {
	text, ok := strings.CutPrefix(state, "at ")
	version, err := strconv.Atoi(text)
	if !ok || err != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for ; int(*known) <= version && int(*known) < len(x.moved); *known++ {
		x.seen = append(x.seen, time.Since(x.moved[*known]))
	}
}

// ask requests a path and returns the body.
func (x *stepsRun) ask(c *http.Client, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(x.ctx, http.MethodGet, x.h.url+path, nil)
	if err != nil {
		return nil, err
	}
	a, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, a.Status)
	}
	return body, err
}

// poll asks for the state, as the page does.
func (x *stepsRun) poll(c *http.Client, known *stepsKnown) {
	body, err := x.ask(c, "/status"+x.app.suffix+"?id=42")
	var parcel struct{ State string }
	if err == nil {
		err = json.Unmarshal(body, &parcel)
	}
	if err != nil {
		if x.ctx.Err() == nil {
			x.t.Error(err)
		}
		return
	}
	x.shows(parcel.State, known)
}

// polls is a page that polls. Its timer does not wait for the response, as setInterval does not.
func (x *stepsRun) polls(_ *rand.Rand, c *http.Client) {
	var group sync.WaitGroup
	var known stepsKnown
	for ok := true; ok; ok = sleep(x.ctx, stepsPoll) {
		group.Go(func() { x.poll(c, &known) })
	}
	group.Wait()
}

// subscribe holds the channel, calls opened when it does, and f with the data of each message.
func (x *stepsRun) subscribe(c *http.Client, query string, opened func(), f func(data string)) {
	r, err := http.NewRequestWithContext(x.ctx, http.MethodGet, x.h.url+"/_push?channel=parcel.42"+query, nil)
	if err != nil {
		x.t.Error(err)
		return
	}
	r.Header.Set("Accept", "text/event-stream")
	a, err := c.Do(r)
	if err != nil {
		if x.ctx.Err() == nil {
			x.t.Error(err)
		}
		return
	}
	defer a.Body.Close()
	opened()
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			f(data)
		}
	}
}

// shim is a page of which the browser shim (upgrade/client/shim.js) answers the polls: they go out until it holds the channel,
// and after each change one more does, spread over a millisecond for each subscriber.
func (x *stepsRun) shim(r *rand.Rand, c *http.Client) {
	var known stepsKnown
	x.poll(c, &known)
	x.subscribe(c, "", func() { x.poll(c, &known) }, func(string) {
		if sleep(x.ctx, time.Duration(r.Float64()*float64(*stepsBrowsers)*float64(time.Millisecond))) {
			x.poll(c, &known)
		}
	})
}

// subscribes is a page that polls no more.
func (x *stepsRun) subscribes(_ *rand.Rand, c *http.Client) {
	var known stepsKnown
	x.subscribe(c, "&last=1", func() {}, func(data string) { x.shows(data, &known) })
}

// visits requests an ordinary page again and again. A request counts from when it is due.
func (x *stepsRun) visits() {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer c.CloseIdleConnections()
	var group sync.WaitGroup
	for due := time.Now(); sleep(x.ctx, time.Until(due)); due = due.Add(stepsPage) {
		at := due
		group.Go(func() {
			_, err := x.ask(c, "/list"+x.app.suffix)
			if err != nil && x.ctx.Err() == nil {
				x.t.Error(err)
			}
			if err == nil {
				x.mu.Lock()
				x.slow = append(x.slow, time.Since(at))
				x.mu.Unlock()
			}
		})
	}
	group.Wait()
}
