package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" { // of history_test.go: a Holdfast that can be killed
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
func serve(t *testing.T, app string, more string) *server {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nupstream: "+app+"\nhooks: {listen: 127.0.0.1:0}\nchannels: [{match: \"public.**\", access: public}]\ntimeouts: {drain: 5s}\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	donec := make(chan error, 1)
	go func() { donec <- s.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-donec; err != nil {
			t.Error(err)
		}
	})
	return s
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
		{"check -config config.yaml", false, "ok: 127.0.0.1:8080 in front of 127.0.0.1:8081", "", ""},
		{"publish", true, "", "usage: holdfast publish", ""},
		{"tail http://127.0.0.1:1", true, "", "usage: holdfast tail", ""},
		{"tail ftp://127.0.0.1:1 a", false, "", "", `scheme "ftp"`},
		{"tail nonsense a", false, "", "", `"nonsense" is not a URL`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, errs, err := do("", strings.Fields(tt.args)...)
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
	hooksURL, url := "http://"+s.hooksAddr.String(), "http://"+s.addr.String()
	donec := make(chan string, 1)
	go func() {
		out, errs, err := do("", "tail", "-n", "3", url, "public.a", "public.b")
		if err != nil {
			out = fmt.Sprint(out, errs, err)
		}
		donec <- out
	}()
	wiretest.Eventually(t, "tail holds", func() bool { return s.hub.Stats().Subscribers > 0 })
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

func TestPublishToNobody(t *testing.T) {
	_, _, err := do("", "publish", "-hooks", "http://127.0.0.1:1", "public.a", "x")
	if err == nil || !strings.Contains(err.Error(), "publish: ") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

// TestPublishOverASocket: hooks on a unix socket.
func TestPublishOverASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.sock")
	c := config.Default()
	c.Listen.Address, c.Hooks.Listen = "127.0.0.1:0", config.Listen{Network: "unix", Address: path}
	c.Channels = []config.Channel{{Match: "public.**", Access: config.Public, History: config.DefaultHistory()}}
	s, err := newServer(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	donec := make(chan error, 1)
	go func() { donec <- s.serve(ctx) }()
	defer func() { cancel(); <-donec }()
	if out, errs, err := do("", "publish", "-hooks", "unix:"+path, "public.a", "x"); err != nil || !strings.Contains(out, `"subscribers":0`) {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}

func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for key, lines := range map[string]string{
		"listen:":       "listen: " + ln.Addr().String() + "\nhooks: {listen: 127.0.0.1:0}\n",
		"hooks.listen:": "listen: 127.0.0.1:0\nhooks: {listen: " + ln.Addr().String() + "}\n",
	} {
		c, err := config.Parse("test.yaml", []byte(lines))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newServer(c, slog.Default()); err == nil || !strings.HasPrefix(err.Error(), key) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s %v", key, err)
		}
	}
}

// TestDrain: a request in progress ends, a connection that waits is closed, new ones are refused.
func TestDrain(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-release
		}
		io.WriteString(w, "the app")
	}))
	t.Cleanup(app.Close)
	c, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nupstream: "+app.URL+"\nhooks: {listen: 127.0.0.1:0}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	donec := make(chan error, 1)
	go func() { donec <- s.serve(ctx) }()
	idle, slow := wiretest.Dial(t, s.addr.String()), wiretest.Dial(t, s.addr.String())
	half := wiretest.Dial(t, s.addr.String())
	half.Send("GET / HT") // a head that is not complete holds nothing up
	idle.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.Response(http.MethodGet)
	slow.Send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	cancel()
	if rest, reset := idle.Rest(); rest != "" || reset {
		t.Errorf("the idle connection had %q, reset %v; want a plain end", rest, reset)
	}
	if rest, _ := half.Rest(); rest != "" {
		t.Errorf("the half head was answered %q", rest)
	}
	wiretest.Eventually(t, "new connections are refused", func() bool { // the listener's loop is another one
		c, err := net.Dial("tcp", s.addr.String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	resp, body := slow.Response(http.MethodGet)
	if resp.StatusCode != 200 || body != "the app" || !resp.Close {
		t.Errorf("the request in progress was answered %d %q, close %v", resp.StatusCode, body, resp.Close)
	}
	if err := <-donec; err != nil {
		t.Error(err)
	}
}
