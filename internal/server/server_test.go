package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/histfile"
	"holdfast/internal/wiretest"
)

// TestMain runs the tests, or, as the child of history_test.go, a Holdfast that can be killed.
func TestMain(m *testing.M) {
	if file := os.Getenv(childVariable); file != "" {
		if err := serveChild(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	wiretest.Main(m)
}

func serveChild(file string) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	log, _ := NewLog(c, os.Stderr)
	s, err := New(c, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "holdfast is up listen=%s hooks=%s\n", s.Addr(), s.HooksAddr())
	return s.Serve(context.Background())
}

func newApp(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the app") }))
	t.Cleanup(app.Close)
	return app.URL
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
		if _, err := New(c, slog.Default()); err == nil || !strings.HasPrefix(err.Error(), key) || !strings.Contains(err.Error(), "in use") {
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
	s, err := New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	donec := make(chan error, 1)
	go func() { donec <- s.Serve(ctx) }()
	idle, slow := wiretest.Dial(t, s.Addr().String()), wiretest.Dial(t, s.Addr().String())
	half := wiretest.Dial(t, s.Addr().String())
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
		c, err := net.Dial("tcp", s.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	probe := wiretest.Dial(t, s.HooksAddr().String())
	probe.Send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if resp, body := probe.Response(http.MethodGet); resp.StatusCode != 503 || !strings.Contains(body, "shutting down") {
		t.Errorf("/readyz while draining: %d %q", resp.StatusCode, body)
	}
	close(release)
	resp, body := slow.Response(http.MethodGet)
	if resp.StatusCode != 200 || body != "the app" || !resp.Close {
		t.Errorf("the request in progress was answered %d %q, close %v", resp.StatusCode, body, resp.Close)
	}
	if err := <-donec; err != nil {
		t.Error(err)
	}
}

// TestFailedStartLeavesNothing: whatever New fails at, what it opened before is closed again.
func TestFailedStartLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	front, api, history := filepath.Join(folder, "front"), filepath.Join(folder, "api"), filepath.Join(folder, "history")
	for name, tt := range map[string]struct{ lines, want string }{
		"history in use":              {"push: {history_file: " + history + ", authorize_path: /a, message_path: /m}\n", "push.history_file: "},
		"a root that is not absolute": {"push: {history_file: " + history + "2, authorize_path: /a, message_path: /m}\nroutes: [{match: /x, root: " + folder + "}]\n", "routes, /x: "},
		"api socket":                  {"hooks: {listen: \"unix:" + folder + "/none/api\"}\n", "hooks.listen: "},
		"access log":                  {"log: {access_log: " + folder + "/none/access}\n", "log.access_log: "},
		"token key":                   {"push: {jwt: {key_file: " + folder + "/none}}\n", "push.jwt.key_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			used, err := histfile.Open(history)
			if err != nil {
				t.Fatal(err)
			}
			defer used.Close()
			text := "listen: \"unix:" + front + "\"\nevents: {url: /events, types: [connect], key: 0123456789abcdef0123456789abcdef}\n" + tt.lines
			if !strings.Contains(text, "hooks:") {
				text += "hooks: {listen: \"unix:" + api + "\"}\n"
			}
			if !strings.Contains(text, "log:") {
				text += "log: {access_log: " + folder + "/access}\n"
			}
			c, err := config.Parse("test.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Routes) > 0 {
				c.Routes[0].Root = "relative" // which Parse would refuse
			}
			if _, err := New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("error %v; want %s", err, tt.want)
			}
			for _, path := range []string{front, api} {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is still there: %v", path, err)
				}
			}
			f, err := histfile.Open(history + "2")
			if err != nil {
				t.Fatalf("the history file is still open: %v", err)
			}
			f.Close()
		})
	}
}

// TestDrainDeliversFirst: what was published before a shutdown is sent before the connections end, however long it takes
// to render.
func TestDrainDeliversFirst(t *testing.T) {
	s, shutDown, _ := serve(t, "listen: 127.0.0.1:0\nupstream: "+newApp(t)+"\nhooks: {listen: 127.0.0.1:0, max_body: 16MB}\n"+
		"push: {send_queue: 32MB}\nchannels: [{match: a, access: public}]\n", io.Discard)
	client := wiretest.Dial(t, s.Addr().String())
	client.Send("GET /_push?channel=a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	if _, err := client.Reader.Peek(1); err != nil { // it is held
		t.Fatal(err)
	}
	const size = 8 << 20
	api := wiretest.Dial(t, s.HooksAddr().String())
	api.Send(fmt.Sprintf("POST /publish?channel=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
	if resp, body := api.Response(http.MethodPost); resp.StatusCode != 200 || !strings.Contains(body, `"subscribers":1`) {
		t.Fatalf("published: %d %s", resp.StatusCode, body)
	}
	shutDown()
	if rest, _ := client.Rest(); strings.Count(rest, "x") < size || !strings.HasSuffix(rest, "\n\n") {
		t.Errorf("the client has %d bytes, the last are %q; want the message and a retry", len(rest), rest[max(0, len(rest)-60):])
	}
	client.Close() // Holdfast waits for it
}

// TestDrainCutsVisibly: what is in progress when timeouts.drain is over is not ended as if it were complete.
func TestDrainCutsVisibly(t *testing.T) {
	began := make(chan struct{}, 2)
	app := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		req, err := http.ReadRequest(c.Reader)
		if err != nil {
			return
		}
		if req.URL.Path == "/part" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\npart")
		}
		began <- struct{}{}
		io.Copy(io.Discard, c.Reader)
	})
	s, shutDown, _ := serve(t, "listen: 127.0.0.1:0\nupstream: http://"+app.Addr+"\nhooks: {listen: 127.0.0.1:0}\ntimeouts: {drain: 0}\n", io.Discard)
	part, none := wiretest.Dial(t, s.Addr().String()), wiretest.Dial(t, s.Addr().String())
	part.Send("GET /part HTTP/1.0\r\n\r\n") // its response ends with the connection
	if resp, err := http.ReadResponse(part.Reader, nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	part.Expect("part")
	none.Send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 {
		<-began
	}
	shutDown()
	if rest, reset := part.Rest(); rest != "" || !reset {
		t.Errorf("a response that has begun ends with %q, reset %v; want a reset", rest, reset)
	}
	if resp, _ := none.Response(http.MethodGet); resp.StatusCode != 503 {
		t.Errorf("a request without a response gets %d; want 503", resp.StatusCode)
	}
}
