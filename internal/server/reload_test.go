package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/hooks"
	"holdfast/internal/config"
	"holdfast/internal/config/changes"
	"holdfast/internal/wiretest"
)

// reloaded is a server whose configuration a test changes.
type reloaded struct {
	*Server
	t        *testing.T
	log      *wiretest.Log
	level    *slog.LevelVar
	shutDown func()

	top string // of every configuration

	mu   sync.Mutex // guards what follows
	text string
}

const reloadTop = "listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0}\n"

// serveReloaded runs a server with a configuration, below reloadTop.
func serveReloaded(t *testing.T, text string) *reloaded {
	t.Helper()
	return serveBelow(t, reloadTop, text)
}

// serveBelow runs a server with a configuration, below top.
func serveBelow(t *testing.T, top, text string) *reloaded {
	t.Helper()
	x := &reloaded{t: t, log: new(wiretest.Log), level: new(slog.LevelVar), top: top, text: top + text}
	x.Server, x.shutDown, _ = serve(t, x.text, x.log)
	x.ReloadFrom(func() (*config.Config, error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		return config.Parse("test.yaml", []byte(x.text))
	}, x.level)
	return x
}

// with reloads with another configuration.
func (x *reloaded) with(text string) ([]string, error) {
	x.mu.Lock()
	x.text = x.top + text
	x.mu.Unlock()
	done, err := x.Reload()
	return done.Changed, err
}

// must is with, and fails the test if that does.
func (x *reloaded) must(text string) []string {
	x.t.Helper()
	changed, err := x.with(text)
	if err != nil {
		x.t.Fatal(err)
	}
	return changed
}

// hold subscribes to channels, by a transport's fields.
func (x *reloaded) hold(query, fields string) *wiretest.Client {
	x.t.Helper()
	c := wiretest.Dial(x.t, x.Addr().String())
	c.Send("GET /_push?" + query + " HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n")
	return c
}

const sseFields, wsFields = "Accept: text/event-stream\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"

func (x *reloaded) post(target, fields string) (int, string) {
	x.t.Helper()
	c := wiretest.Dial(x.t, x.HooksAddr().String())
	c.Send("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n" + fields + "\r\nx")
	resp, body := c.Response(http.MethodPost)
	_ = c.Close()
	return resp.StatusCode, body
}

func (x *reloaded) held() (n int64) {
	for _, i := range x.keeper.Stats().Held {
		n += i
	}
	return n
}

// TestReloadNarrowsRules: of every transport, connections that the rules do not allow any more are closed with a reason,
// and the others stay and receive what is published.
func TestReloadNarrowsRules(t *testing.T) {
	const rest = "push: {authorize_path: /auth}\nchannels:\n- {match: stays, access: public}\n"
	x := serveReloaded(t, rest+`- {match: "**", access: public}`)
	wide := []*wiretest.Client{x.hold("channel=a", wsFields), x.hold("channel=stays&channel=a", sseFields), x.hold("channel=a&wait=100", "")}
	kept := []*wiretest.Client{x.hold("channel=stays", wsFields), x.hold("channel=stays", sseFields), x.hold("channel=stays&wait=100", "")}
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == 6 })
	x.must(rest + `- {match: "**", access: authorize}`)
	if n := x.held(); n != 3 {
		t.Errorf("%d are held", n)
	}
	if resp, body := wide[2].Response(http.MethodGet); resp.StatusCode != 403 || !strings.Contains(body, "the rules have changed") {
		t.Errorf("the long poll: %d %s", resp.StatusCode, body)
	}
	_ = wide[2].Close()
	for i, want := range []string{"\x11\x33the rules have changed: its rule asks for authorization now", "text/event-stream"} { // 4403
		if all, _ := wide[i].Rest(); !strings.Contains(all, want) {
			t.Errorf("%q; want %q", all, want)
		}
	}
	if n := x.keeper.Stats().Dropped["rule_changed"]; n != 3 {
		t.Errorf("%d are counted", n)
	}
	if status, body := x.post("/publish?channel=stays", ""); status != 200 || !strings.Contains(body, `"subscribers":3`) {
		t.Errorf("%d %s", status, body)
	}
	for _, c := range kept {
		_ = c.Close()
	}
	if log := x.log.String(); strings.Count(log, "the rules in channels have changed") != 3 || !strings.Contains(log, "channel=a") {
		t.Error(log)
	}
}

// TestReloadOpensChannels: new rules are those of the next request, publish and authorization.
func TestReloadOpensChannels(t *testing.T) {
	x := serveReloaded(t, "")
	if status, _ := x.post("/publish?channel=a", ""); status != 400 {
		t.Errorf("%d without a rule", status)
	}
	changed := x.must("push: {origins: [https://other.test], poll_wait: 1s}\nchannels: [{match: a, access: public, history: {messages: 5, age: 1m}}]")
	if got := strings.Join(changed, " "); got != "push.origins push.poll_wait channels" {
		t.Errorf("changed %s", got)
	}
	if status, body := x.post("/publish?channel=a", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	resp, body := x.hold("channel=a&last=5", "Origin: https://other.test\r\n").Response(http.MethodGet)
	if resp.StatusCode != 200 || !strings.Contains(body, `"data":"x"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestReloadRefused: a configuration that is not valid, or that needs a restart, changes nothing of what is in use.
func TestReloadRefused(t *testing.T) {
	const before = "channels: [{match: a, access: public, presence: api}]\n"
	x := serveReloaded(t, before)
	key := filepath.Join(t.TempDir(), "no.pem")
	for _, tt := range []struct{ text, want string }{
		{"channels: [{match: a}", "test.yaml:"},
		{"channels: [{match: b, access: public, presence: api}]\nlisten: 127.0.0.1:1\nnonsense: 1", "nonsense"},
		{before + "push: {jwt: {key_file: " + key + "}}", "push.jwt.key_file"},
		{before + "hooks: {listen: 127.0.0.1:0}", "hooks"}, // twice
		{before + "push: {path: /other, origins: [https://b.test]}", "needs a take-over (holdfast takeover) or a restart: push.path"},
		{before + "push: {history_total: 1MB, receive_total: 1MB}", "needs a take-over (holdfast takeover) or a restart: push.receive_total, push.history_total"},
		{before + "log: {access_log: stdout, format: json}", "needs a take-over (holdfast takeover) or a restart: log.format, log.access_log (whether"},
		{"channels: [{match: a, access: public}]", "needs a take-over (holdfast takeover) or a restart: channels (rules with presence"},
		{"channels: [{match: \"*\", access: public}]", "needs a take-over (holdfast takeover) or a restart: channels (rules with presence"},
		{before + "channels: []", "channels"},
		{"channels: [{match: a, access: public, presence: api}, {match: \"b.*\", access: public, wildcards: true}]", "the first rule with wildcards"},
	} {
		old := x.state.Load()
		if _, err := x.with(tt.text); !errors.Is(err, hooks.ErrNotReloaded) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.text, err, tt.want)
		}
		if x.state.Load() != old {
			t.Errorf("%s: it is in use", tt.text)
		}
	}
	if log := x.log.String(); strings.Count(log, "configuration not reloaded; the old one stays in use") != 11 {
		t.Error(log)
	}
	if changed := x.must("channels: [{match: a, access: token, presence: api}, {match: c, access: public}]\npush: {jwt: {key: 0123456789abcdef0123456789abcdef}}"); len(changed) != 2 {
		t.Errorf("changed %v", changed)
	}
	if n := []int64{x.reloads.counts[reloadApplied].Load(), x.reloads.counts[reloadInvalid].Load(), x.reloads.counts[reloadRefused].Load()}; fmt.Sprint(n) != "[1 5 6]" {
		t.Errorf("counted %v", n)
	}
}

// TestReloadByAPI: POST /reload answers when the new configuration is in use, by the token of the old one.
func TestReloadByAPI(t *testing.T) {
	const token = "Authorization: Bearer 0123456789abcdef\r\n"
	x := &reloaded{t: t, log: new(wiretest.Log), level: new(slog.LevelVar)}
	text := "listen: 127.0.0.1:0\nhooks: {listen: 127.0.0.1:0, token: %s}\nlog: {level: %s}\n"
	x.Server, _, _ = serve(t, fmt.Sprintf(text, "0123456789abcdef", "info"), x.log)
	x.ReloadFrom(func() (*config.Config, error) {
		return config.Parse("test.yaml", fmt.Appendf(nil, text, "another-0123456789", "error"))
	}, x.level)
	if status, _ := x.post("/reload", ""); status != 401 {
		t.Errorf("%d without the token", status)
	}
	if status, body := x.post("/reload", token); status != 200 || body != `{"changed":["hooks.token","log.level"]}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := x.post("/reload", token); status != 401 {
		t.Errorf("%d with the old token", status)
	}
	if x.level.Level() != slog.LevelError {
		t.Errorf("level %v", x.level.Level())
	}
}

// TestReloadMovesAccessLog: the access log is opened again by its name, or by another.
func TestReloadMovesAccessLog(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	x := serveReloaded(t, "log: {access_log: "+first+"}")
	get := func(path string) {
		c := wiretest.Dial(t, x.Addr().String())
		c.Send("GET /_push/" + path + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
		c.Response(http.MethodGet)
		_ = c.Close()
	}
	has := func(file, path string) func() bool {
		return func() bool {
			b, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(b), "/_push/"+path)
		}
	}
	get("one")
	if err := os.Rename(first, first+".1"); err != nil {
		t.Fatal(err)
	}
	x.must("log: {access_log: " + first + "}")
	get("two")
	x.must("log: {access_log: " + second + "}")
	get("three")
	for file, path := range map[string]string{first + ".1": "one", first: "two", second: "three"} {
		wiretest.Eventually(t, path, has(file, path))
	}
	if _, err := x.with("log: {access_log: " + filepath.Join(dir, "none", "x") + "}"); err == nil || !strings.Contains(err.Error(), "log.access_log") {
		t.Error(err)
	}
	get("four")
	wiretest.Eventually(t, "four", has(second, "four"))
}

// TestReloadTogether: reloads at the same time come one after the other, and one during a drain is refused.
func TestReloadTogether(t *testing.T) {
	x := serveReloaded(t, "channels: [{match: a, access: public}]")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if _, err := x.with(fmt.Sprintf("push: {poll_wait: %ds}\nchannels: [{match: a, access: public}]", 1+i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	c := x.hold("channel=a", sseFields)
	wiretest.Eventually(t, "it is held", func() bool { return x.held() == 1 })
	x.shutDown()
	wiretest.Eventually(t, "it drains", x.draining.Load)
	if _, err := x.with(""); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Error(err)
	}
	_ = c.Close()
}

// TestReloadPage: the page lists the keys that a reload applies.
func TestReloadPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate/reload.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "## Which keys\n")
	list, _, _ = strings.Cut(list, "All other keys")
	var keys []string
	for i, key := range strings.Split(list, "`") {
		if i%2 == 1 && strings.Contains("\x00"+strings.Join(changes.Live, "\x00")+"\x00", "\x00"+key+"\x00") {
			keys = append(keys, key)
		} else if i%2 == 1 && strings.Contains(key, ".") {
			t.Errorf("%s is not applied", key)
		}
	}
	slices.Sort(keys)
	want := slices.Sorted(slices.Values(changes.Live))
	if keys = slices.Compact(keys); !slices.Equal(keys, want) {
		t.Errorf("the page has\n%v, want\n%v", keys, want)
	}
}

// TestReloadDuringTakeOver: a reload waits for no take-over, which waits for API requests, and changes nothing.
func TestReloadDuringTakeOver(t *testing.T) {
	x := serveReloaded(t, `channels: [{match: "**", access: public}]`)
	x.reloads.alone(func() {
		errc := make(chan error, 1)
		go func() {
			_, err := x.with(`channels: [{match: "a", access: public}]`)
			errc <- err
		}()
		select {
		case err := <-errc:
			if !errors.Is(err, hooks.ErrNotReloaded) || !strings.Contains(err.Error(), "a take-over is in progress") {
				t.Errorf("error %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the reload waits")
		}
	})
	if changed := x.must(`channels: [{match: "a", access: public}]`); !slices.Equal(changed, []string{"channels[0].match"}) {
		t.Errorf("afterwards %q have changed", changed)
	}
}
