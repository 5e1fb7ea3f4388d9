package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/server"
	"holdfast/internal/wiretest"
)

// childVariable makes the test binary run as holdfast, with the arguments that it has.
const childVariable = "HOLDFAST_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	wiretest.Main(m)
}

// do runs a command as main does.
func do(in string, args ...string) (out, errs string, err error) {
	var o, e bytes.Buffer
	err = command(args, strings.NewReader(in), &o, &e)
	return o.String(), e.String(), err
}

// serve runs Holdfast in front of app, with every port a free one.
func serve(t *testing.T, app string, more string) *server.Server {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nupstream: "+app+"\nhooks: {listen: 127.0.0.1:0}\nchannels: [{match: \"public.**\", access: public}]\ntimeouts: {drain: 5s}\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-donec; err != nil {
			t.Error(err)
		}
	})
	return s
}

// held waits until somebody subscribes.
func held(t *testing.T, s *server.Server) {
	t.Helper()
	wiretest.Eventually(t, "it is held", func() bool {
		resp, err := http.Get("http://" + s.HooksAddr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && regexp.MustCompile(`(?m)^holdfast_subscribers [1-9]`).Match(text)
	})
}

func newApp(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the app") }))
	t.Cleanup(app.Close)
	return app.URL
}

func TestCommandLine(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("listen: 127.0.0.1:8080\nupstraem: http://127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lacks := filepath.Join(t.TempDir(), "lacks.yaml")
	if err := os.WriteFile(lacks, []byte("upstream: http://no.such.host.invalid\nbuffers: {temp_dir: /does/not/exist}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "socket.yaml")
	if err := os.WriteFile(socket, []byte("upstream: http+unix:/does/not/exist.sock\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unixes := filepath.Join(t.TempDir(), "unixes.yaml")
	if err := os.WriteFile(unixes, []byte("listen: unix:/does/not/exist/a\nhooks: {listen: 'unix:/neither/this/b'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args      string
		usage     bool // exit code 2
		out, errs string
		err       string
	}{
		{"help", false, "holdfast publish CHANNEL", "", ""},
		{"-h", false, "holdfast publish CHANNEL", "", ""},
		{"version", false, "holdfast ", "", ""},
		{"sevre", true, "", `there is no command "sevre"`, ""},
		{"check -confg x", true, "", "flag provided but not defined", ""},
		{"check -config " + bad, false, "", "", `bad.yaml:2:1: upstraem: unknown key; did you mean "upstream"?`},
		{"run -config " + bad, false, "", "", `bad.yaml:2:1: upstraem`},
		{"check -config /does/not/exist", false, "", "", "no such file"},
		{"check " + bad, false, "", "", `bad.yaml:2:1: upstraem`},
		{"run " + bad, false, "", "", `bad.yaml:2:1: upstraem`},
		{"check config.yaml", false, "configuration: config.yaml\n", "", ""},
		{"check -config config.yaml other.yaml", true, "", "more than one configuration file", ""},
		{"check config.yaml other.yaml", true, "", "more than one configuration file", ""},
		{"check ", true, "", "configuration file is empty", ""}, // an argument of no length
		{"run -config=", true, "", "configuration file is empty", ""},
		{"check " + unixes, false, "warning: listen: stat /does/not/exist", "", ""},
		{"check " + unixes, false, "warning: hooks.listen: stat /neither/this", "", ""},
		{"demo x.yaml", true, "", `takes no argument "x.yaml"`, ""},
		{"version x", true, "", `takes no argument "x"`, ""},
		{"check " + lacks, false, "warning: channels is empty", "", ""},
		{"check " + lacks, false, "warning: buffers.temp_dir: stat /does/not/exist", "", ""},
		{"check " + lacks, false, "warning: upstream no.such.host.invalid: ", "", ""},
		{"check " + socket, false, "warning: upstream dial unix /does/not/exist.sock: connect: no such file", "", ""},
		{"check -config config.yaml", false, "ok: 127.0.0.1:8080 in front of http://127.0.0.1:8081", "", ""},
		{"publish", true, "", "usage: holdfast publish", ""},
		{"tail http://127.0.0.1:1", true, "", "usage: holdfast tail", ""},
		{"tail ftp://127.0.0.1:1 a", false, "", "", `scheme "ftp"`},
		{"tail nonsense a", false, "", "", `"nonsense" is not a URL`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, errs, err := do("", strings.Split(tt.args, " ")...)
			if errors.Is(err, errUsage) != tt.usage || !strings.Contains(out, tt.out) || !strings.Contains(errs, tt.errs) {
				t.Errorf("%v\n%s%s", err, out, errs)
			}
			if !tt.usage && (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v; want %q", err, tt.err)
			}
		})
	}
}

// TestPublishAndTail: what one command publishes the other prints.
func TestPublishAndTail(t *testing.T) {
	s := serve(t, newApp(t), "push: {heartbeat: 1s}\n")
	hooksURL, url := "http://"+s.HooksAddr().String(), "http://"+s.Addr().String()
	donec := make(chan string, 1)
	go func() {
		out, errs, err := do("", "tail", "-n", "3", url, "public.a", "public.b")
		if err != nil {
			out = fmt.Sprint(out, errs, err)
		}
		donec <- out
	}()
	held(t, s)
	time.Sleep(1500 * time.Millisecond) // heartbeats are not messages
	first := ""
	for i, args := range [][]string{
		{"publish", "-hooks", hooksURL, "public.a", "hello"},
		{"publish", "-hooks", hooksURL, "-event", "moved", "public.b"},
		{"publish", "-hooks", hooksURL, "public.a", "last"},
	} {
		out, errs, err := do("from standard input", args...)
		if err != nil || !regexp.MustCompile(`"subscribers":1`).MatchString(out) {
			t.Fatalf("%v: %v\n%s%s", args, err, out, errs)
		}
		if i == 0 {
			var r struct{ ID string }
			json.Unmarshal([]byte(out), &r)
			first = r.ID
		}
	}
	printed := <-donec
	for _, want := range []string{`"data":"hello"`, `"event":"moved","data":"from standard input"`, `"data":"last"`} {
		if strings.Count(printed, want) != 1 {
			t.Errorf("tail does not print %s:\n%s", want, printed)
		}
	}
	if strings.Count(printed, "\n") != 3 { // neither hello nor heartbeats
		t.Errorf("tail printed other than three lines:\n%s", printed)
	}
	out, _, err := do("", "tail", "-n", "2", "-last-id", first, url, "public.a", "public.b")
	if err != nil || strings.Contains(out, "hello") || !strings.Contains(out, "last") {
		t.Errorf("resumed: %v\n%s", err, out)
	}
	if _, _, err := do("", "tail", url, "secret.a"); err == nil || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("tail of a channel without a rule: %v", err)
	}
	if _, _, err := do("", "publish", "-hooks", hooksURL, "secret.a", "x"); err == nil || !strings.Contains(err.Error(), "rule") {
		t.Errorf("publish to a channel without a rule: %v", err)
	}
}

func TestPublishWithoutSubscribers(t *testing.T) {
	_, _, err := do("", "publish", "-hooks", "http://127.0.0.1:1", "public.a", "x")
	if err == nil || !strings.Contains(err.Error(), "publish: ") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

// TestPublishOverASocket: hooks on a unix socket.
func TestPublishOverASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.sock")
	c := config.Default()
	c.Listen[0].Address.Address, c.Hooks.Listen = "127.0.0.1:0", config.Listen{Network: "unix", Address: path}
	c.Channels = []config.Channel{{Match: "public.**", Access: channel.Public, History: config.DefaultHistory()}}
	s, err := server.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	defer func() { cancel(); <-donec }()
	if out, errs, err := do("", "publish", "-hooks", "unix:"+path, "public.a", "x"); err != nil || !strings.Contains(out, `"subscribers":0`) {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}
