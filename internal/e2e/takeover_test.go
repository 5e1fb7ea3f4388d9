//go:build e2e && linux

package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// dynasty is a Holdfast whose processes take over from each other.
type dynasty struct {
	*process
	pid     int    // of the one that serves
	program string // file
	config  string // file
	notify  *net.UnixConn
	listen  string
	secure  string
	hooks   string
}

// startDynasty runs the first process, in front of an app. push is more of that section, and more is the rest of the
// configuration.
func startDynasty(t *testing.T, app http.HandlerFunc, push, more string) *dynasty {
	t.Helper()
	dir := t.TempDir()
	d := &dynasty{program: filepath.Join(dir, "holdfast"), config: filepath.Join(dir, "config.yaml"), listen: freeAddr(t), secure: freeAddr(t), hooks: freeAddr(t)}
	cert, _ := wiretest.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	writeFile(t, filepath.Join(dir, "cert"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	writeFile(t, d.config, fmt.Sprintf(`
listen: [%q, {address: %q, tls: true}]
tls: {certificates: [{cert: %q, key: %q}]}
upstream: %s
hooks: {listen: %q}
push: {history_file: %q%s}
channels:
  - {match: "public.**", access: public, history: {messages: 2000, age: 1h}}
  - {match: "private.**", access: authorize, presence: channel}
%s`, d.listen, d.secure, filepath.Join(dir, "cert"), filepath.Join(dir, "key"), startApp(t, app), d.hooks, filepath.Join(dir, "history"), push, more))
	d.install(t, executable)
	socket := filepath.Join(dir, "notify")
	if d.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.notify.Close() })
	cmd := exec.Command(d.program, "run", "-config", d.config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	d.process = start(t, "holdfast", cmd)
	d.pid = cmd.Process.Pid
	t.Cleanup(func() {
		syscall.Kill(d.pid, syscall.SIGTERM) // the first one may have ended long ago
		<-d.done                             // nobody writes to the log any more
		if at := calamity.FindStringIndex(d.log.String()); at != nil {
			t.Errorf("the log has %q", d.log.String()[at[0]:at[1]])
		}
	})
	d.waitListening(t, d.listen)
	if got := d.said(t); got != "READY=1" {
		t.Errorf("systemd was told %q first", got)
	}
	return d
}

// install puts a program where the next process is started from, as a package does.
func (d *dynasty) install(t *testing.T, program string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(d.program+".new", data, 0o755)
	}
	if err == nil {
		err = os.Rename(d.program+".new", d.program)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// said returns what systemd is told next.
func (d *dynasty) said(t *testing.T) string {
	t.Helper()
	b := make([]byte, 100)
	d.notify.SetReadDeadline(time.Now().Add(patience))
	n, err := d.notify.Read(b)
	if err != nil {
		t.Fatalf("systemd is not told: %v\n%s", err, d.log.tail(30))
	}
	return string(b[:n])
}

// takeOver has the next process take over: by the signal.
func (d *dynasty) takeOver(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(d.pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	pid, ok := strings.CutPrefix(d.said(t), "MAINPID=")
	if d.pid, _ = strconv.Atoi(pid); !ok || d.pid == 0 {
		t.Fatalf("systemd was told %q", pid)
	}
}

// command has the next process take over: by the command, and returns its output and error.
func (d *dynasty) command() (string, error) {
	out, err := exec.Command(executable, "takeover", "-hooks", "http://"+d.hooks).CombinedOutput()
	return string(out), err
}

// authorized is what rules with access authorize need.
const authorized = ", authorize_path: /authorize"

// number returns an environment variable, or what there is without it.
func number(t *testing.T, variable string, without int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return without
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestTakeOver: no client notices that processes take over from each other, as often as HOLDFAST_TAKEOVERS says, with as
// many held connections as HOLDFAST_HOLDS says.
func TestTakeOver(t *testing.T) {
	d := startDynasty(t, audienceApp, authorized, "")
	x := &audience{listen: d.listen, secure: d.secure, hooks: d.hooks, stopc: make(chan struct{}), fail: t.Errorf}
	holds := number(t, "HOLDFAST_HOLDS", 300)
	x.subscribe(t, holds)
	tunnel := x.begin(t, 8, holds/5)
	for i := range number(t, "HOLDFAST_TAKEOVERS", 3) {
		requests, publishes := x.requests.Load()+100, x.count.Load()+audienceChannels
		wiretest.Eventually(t, "requests and publishes in between", func() bool {
			return x.requests.Load() > requests && x.count.Load() > publishes || t.Failed()
		})
		d.takeOver(t)
		if err := echoLine(tunnel, fmt.Sprint("after ", i)); err != nil {
			t.Errorf("the tunnel: %v", err)
		}
		if t.Failed() {
			break
		}
	}
	x.end(t, tunnel)
	t.Log(x.figures())
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, "another process has taken over") {
			t.Log(line)
		}
	}
}

// edited builds Holdfast with one text of a file replaced by another.
func edited(t *testing.T, file, old, new string) (program string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(repository, file)
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), old) != 1 {
		t.Fatalf("%s has %q %d times, %v", file, old, strings.Count(string(text), old), err)
	}
	writeFile(t, filepath.Join(dir, "file.go"), strings.Replace(string(text), old, new, 1))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: filepath.Join(dir, "file.go")}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "overlay.json"), string(overlay))
	program = filepath.Join(dir, "holdfast")
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")
	build.Dir = repository
	run(t, build)
	return program
}

// TestTakeOverFails: whatever is wrong with the new process, the old one goes on, says why and counts it, and no client
// notices. When it is mended, the next attempt succeeds.
func TestTakeOverFails(t *testing.T) {
	d := startDynasty(t, audienceApp, authorized, "")
	app := startApp(t, http.NotFoundHandler())
	const image, taker, final = "internal/hubimage/hubimage.go", "internal/takeover/taker.go", "		if m.kind == msgFinal {\n"
	script := filepath.Join(t.TempDir(), "script")
	writeFile(t, script, "#!/bin/sh\nexit 3\n")
	config, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	x := &audience{listen: d.listen, secure: d.secure, hooks: d.hooks, stopc: make(chan struct{}), fail: t.Errorf}
	x.subscribe(t, 100)
	tunnel := x.begin(t, 4, 20)
	for i, tt := range []struct{ name, program, config, want string }{
		{"exits at start", script, string(config), "exit status 3"},
		{"is no program", d.config, string(config), "does not start"},
		{"refuses its configuration", executable, string(config) + "\nlisten_to: x\n", "listen_to"},
		{"has another history file", executable, strings.Replace(string(config), "/history", "/other", 1), "history is stored in another place"},
		{"can't listen", executable, strings.Replace(string(config), d.listen, strings.TrimPrefix(app, "http://"), 1), "address already in use"},
		{"has another version of a record", edited(t, image, "const Version = 1\n", "const Version = 0\n"), string(config), `state "hub" up to version 0`},
		{"is killed in the middle", edited(t, taker, "	case msgConns:\n		if err := t.takeConns(m, t.adoptEarly)",
			"	case msgConns:\n		p, _ := os.FindProcess(os.Getpid())\n		p.Kill()\n		if err := t.takeConns(m, t.adoptEarly)"), string(config), "signal: killed"},
		{"hangs at the end", edited(t, taker, final, final+"			select {}\n"), string(config), "did not respond in time"},
	} {
		d.install(t, tt.program)
		writeFile(t, d.config, tt.config)
		out, err := d.command()
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("a new process that %s: %q, %v; want %q", tt.name, out, err, tt.want)
		}
		if metrics := d.get(t, "/metrics"); !strings.Contains(metrics, fmt.Sprintf(`holdfast_takeovers_total{result="failed"} %d`+"\n", i+1)) {
			t.Errorf("a new process that %s is not counted", tt.name)
		}
		if !strings.Contains(d.log.tail(20), "take-over failed; this process continues") {
			t.Errorf("a new process that %s: the log does not say so", tt.name)
		}
	}
	d.install(t, executable)
	writeFile(t, d.config, string(config))
	d.takeOver(t)
	x.end(t, tunnel)
	t.Log(x.figures())
}

// get returns the body of a good response of the API.
func (d *dynasty) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + d.hooks + path)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// TestTakeOverLate: what the responses of requests say that were in progress counts in the new process: a message is
// published there, and a logout ends a connection there. Nobody is told of connections that have moved.
func TestTakeOverLate(t *testing.T) {
	askedc, release := make(chan string), make(chan struct{})
	var events eventLog
	d := startDynasty(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/authorize":
			if !strings.Contains(r.Header.Get("Cookie"), "sid=1") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"user":"anna"}`)
			return
		case "/events":
			events.add(r)
			return
		case "/publishes":
			w.Header().Set("Push-Channel", "public.late")
			w.Header().Set("Push-Data", "it%20is%20late")
		case "/logout":
			w.Header().Set("Set-Cookie", "sid=; Max-Age=0")
		}
		askedc <- r.URL.Path
		<-release
		fmt.Fprintf(w, "%s 0", r.URL.Path)
	}, authorized+", headers: true, logout: {cookies: [sid]}", "events: {url: /events, key: 0123456789abcdef, types: [connect, disconnect, online, offline], grace: 100ms}\n")
	x := &audience{listen: d.listen, secure: d.secure, hooks: d.hooks}
	hold := func(secure bool, channel string) *bufio.Reader {
		t.Helper()
		c, err := x.keepAlive(secure)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		resp, err := ask(c, c.r, "GET /_push?channel="+channel+" HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\nCookie: sid=1\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(resp.Body)
	}
	public, private := hold(false, "public.late"), hold(true, "private.anna")
	endc := make(chan error, 2)
	for _, path := range []string{"/publishes", "/logout"} {
		c, err := x.keepAlive(path == "/logout")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			resp, err := ask(c, c.r, "GET "+path+" HTTP/1.1\r\nHost: app.test\r\nCookie: sid=1\r\n\r\n")
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			endc <- err
		}()
		<-askedc
	}
	events.await(t, "start", "connect", "connect", "online")
	d.takeOver(t)
	close(release)
	for range cap(endc) {
		if err := <-endc; err != nil {
			t.Errorf("a request in progress: %v", err)
		}
	}
	if got := dataOf(t, public); got != "it is late" {
		t.Errorf("the stream received %q", got)
	}
	if rest, err := io.ReadAll(private); err != nil {
		t.Errorf("the stream of the user who has logged out: %q, %v", rest, err)
	}
	events.await(t, "start", "connect", "connect", "online", "disconnect", "offline")
}

// dataOf returns the data of the next message of a stream of events.
func dataOf(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimSpace(data)
		}
	}
}

// eventLog has the types of the events that the app was told of.
type eventLog struct {
	mu   sync.Mutex
	list []string
}

func (l *eventLog) add(r *http.Request) {
	var batch struct {
		Events []struct{ Type string }
	}
	if json.NewDecoder(r.Body).Decode(&batch) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range batch.Events {
		l.list = append(l.list, e.Type)
	}
}

// await waits for as many events, and compares their types, in any order.
func (l *eventLog) await(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	wiretest.Eventually(t, strings.Join(want, " "), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got = slices.Sorted(slices.Values(l.list))
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("the app was told of %q, want %q", got, want)
	}
}

// TestTakeOverSockets: sockets in the file system go over, too. Their files stay after a failure and after a take-over, and
// go with the last process.
func TestTakeOverSockets(t *testing.T) {
	dir := t.TempDir()
	config, listen, hooks := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "listen"), filepath.Join(dir, "hooks")
	text := fmt.Sprintf("listen: %q\nupstream: %s\nhooks: {listen: %q}\n", "unix:"+listen, startApp(t, http.HandlerFunc(audienceApp)), "unix:"+hooks)
	writeFile(t, config, text)
	p := start(t, "holdfast", exec.Command(executable, "run", "-config", config))
	pid := p.cmd.Process.Pid
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGTERM) })
	dial := func(path string) *keepAlive {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return &keepAlive{c, bufio.NewReader(c)}
	}
	takeOver := func() (string, error) {
		out, err := exec.Command(executable, "takeover", "-hooks", "unix:"+hooks).CombinedOutput()
		return string(out), err
	}
	p.waitUntil(t, func() error {
		c, err := net.Dial("unix", hooks)
		if err == nil {
			c.Close()
		}
		return err
	})
	kept := dial(listen)
	for i, fails := range []bool{true, false, true, false} {
		writeFile(t, config, text)
		if fails {
			writeFile(t, config, text+"push_path: x\n")
		}
		out, err := takeOver()
		if (err != nil) != fails {
			t.Fatalf("take-over %d: %s, %v", i, out, err)
		}
		if m := regexp.MustCompile(`process (\d+),`).FindStringSubmatch(out); !fails {
			pid, _ = strconv.Atoi(m[1])
		}
		for _, c := range []*keepAlive{kept, dial(listen)} {
			if err := c.request(fmt.Sprint("/", i), nil); err != nil {
				t.Fatalf("after take-over %d: %v", i, err)
			}
		}
	}
	// One more listener comes and goes, each by a reload or by a take-over; its file goes with it.
	more := filepath.Join(dir, "more")
	both := strings.Replace(text, fmt.Sprintf("%q", "unix:"+listen), fmt.Sprintf("[%q, %q]", "unix:"+listen, "unix:"+more), 1)
	for _, by := range [][2]string{{"reload", "reload"}, {"reload", "takeover"}, {"takeover", "reload"}, {"takeover", "takeover"}} {
		for i, config2 := range []string{both, text} {
			writeFile(t, config, config2)
			out, err := exec.Command(executable, by[i], "-hooks", "unix:"+hooks).CombinedOutput()
			if err != nil {
				t.Fatalf("%v, %d: %s, %v", by, i, out, err)
			}
			if m := regexp.MustCompile(`process (\d+),`).FindStringSubmatch(string(out)); m != nil {
				pid, _ = strconv.Atoi(m[1])
			}
			if exists(more) != (i == 0) {
				t.Errorf("%v, %d: the file is there: %t", by, i, exists(more))
			}
		}
		if err := dial(listen).request("/still", nil); err != nil {
			t.Errorf("%v: %v", by, err)
		}
	}
	syscall.Kill(pid, syscall.SIGTERM)
	<-p.done
	if exists(listen) || exists(hooks) || exists(more) {
		t.Error("the last process has left its sockets")
	}
}

// TestTakeOverMovesAPI: when the API moves to another address with another token, what waits for the moment is published,
// and later requests are refused for their token: no response says that the new process is not reached.
func TestTakeOverMovesAPI(t *testing.T) {
	d := startDynasty(t, audienceApp, authorized, "")
	was, next := d.hooks, freeAddr(t)
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	d.waitListening(t, was)
	writeFile(t, d.config, strings.Replace(string(text), fmt.Sprintf("hooks: {listen: %q}", was), fmt.Sprintf("hooks: {listen: %q, token: fedcba9876543210}", next), 1))
	var group sync.WaitGroup
	var published, refused, begun atomic.Int64
	for range 20 {
		group.Go(func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: patience}
			defer client.CloseIdleConnections()
			for first := true; ; first = false {
				resp, err := client.Post("http://"+was+"/publish?channel=public.api", "text/plain", strings.NewReader("x"))
				if err != nil {
					return // nobody listens there any more
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					published.Add(1)
				case http.StatusUnauthorized:
					refused.Add(1)
				default:
					t.Errorf("%d %s", resp.StatusCode, body)
					return
				}
				if first {
					begun.Add(1)
				}
			}
		})
	}
	wiretest.Eventually(t, "all publish", func() bool { return begun.Load() == 20 })
	d.takeOver(t)
	group.Wait()
	req, _ := http.NewRequest("GET", "http://"+next+"/channels/public.api", nil)
	req.Header.Set("Authorization", "Bearer fedcba9876543210")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Logf("%d published, %d refused", published.Load(), refused.Load())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the new API responds %d", resp.StatusCode)
	}
}

// TestTakeOverLog: the old process, which gets no signal of logrotate's, writes to the new file as well.
func TestTakeOverLog(t *testing.T) {
	askedc, release := make(chan bool), make(chan struct{})
	log := filepath.Join(t.TempDir(), "access.log")
	d := startDynasty(t, func(w http.ResponseWriter, r *http.Request) {
		askedc <- true
		<-release
		fmt.Fprint(w, "ok")
	}, authorized, fmt.Sprintf("log: {access_log: %q}\n", log))
	donec := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + d.listen + "/late")
		if err == nil {
			resp.Body.Close()
		}
		donec <- err
	}()
	<-askedc
	old := d.pid
	d.takeOver(t)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(d.pid, syscall.SIGUSR1)
	wiretest.Eventually(t, "the old process has the new file open", func() bool {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", old))
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == log })
	})
	close(release)
	if err := <-donec; err != nil {
		t.Fatal(err)
	}
	wiretest.Eventually(t, "the new file has the line", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "/late")
	})
}

// TestTakeOverChange: a request that ends in the old process, and changes what the new one has stored meanwhile, drops it.
func TestTakeOverChange(t *testing.T) {
	var value atomic.Int64
	askedc, release := make(chan bool), make(chan struct{})
	d := startDynasty(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			askedc <- true
			<-release
			value.Add(1)
		}
		fmt.Fprint(w, value.Load())
	}, authorized, "cache: [{match: /state, fresh: 10m}]\n")
	x := &audience{listen: d.listen, secure: d.secure, hooks: d.hooks}
	open := func(secure bool) *keepAlive {
		t.Helper()
		c, err := x.keepAlive(secure)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	send := func(c *keepAlive, head string) (string, error) {
		resp, err := ask(c, c.r, head+" HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n")
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	get := func(c *keepAlive, want string) {
		t.Helper()
		if got, err := send(c, "GET /state"); err != nil || got != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	writer, reader := open(true), open(false)
	get(reader, "0")
	writtenc := make(chan error)
	go func() {
		_, err := send(writer, "POST /state")
		writtenc <- err
	}()
	<-askedc
	d.takeOver(t)
	get(reader, "0") // the new process stores it
	close(release)
	if err := <-writtenc; err != nil {
		t.Fatal(err)
	}
	get(writer, "1")
	get(reader, "1")
}

// TestTakeOverTLS12: connections with TLS 1.2 can't move. A stream ends as at a shutdown, an idle connection closes, one with
// a request in progress closes after the response, and then the old process ends.
func TestTakeOverTLS12(t *testing.T) {
	askedc, release := make(chan bool), make(chan struct{})
	d := startDynasty(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			askedc <- true
			<-release
		}
		fmt.Fprintf(w, "%s 0", r.URL.Path)
	}, authorized, "")
	_, pool := wiretest.Certificate()
	open := func() *keepAlive {
		t.Helper()
		c, err := tls.Dial("tcp", d.secure, &tls.Config{RootCAs: pool, ServerName: "app.test", MaxVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return &keepAlive{c, bufio.NewReader(c)}
	}
	held, idle, slow := open(), open(), open()
	stream, err := ask(held, held.r, "GET /_push?channel=public.a HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.request("/idle", nil); err != nil {
		t.Fatal(err)
	}
	answeredc := make(chan error)
	go func() { answeredc <- slow.request("/slow", nil) }()
	<-askedc
	d.takeOver(t)
	if rest, err := io.ReadAll(stream.Body); err != nil || !strings.Contains(string(rest), "retry:") {
		t.Errorf("the stream ends with %q, %v; want a retry", rest, err)
	}
	if b, err := io.ReadAll(idle.r); err != nil || len(b) > 0 {
		t.Errorf("the idle connection ends with %q, %v", b, err)
	}
	close(release)
	if err := <-answeredc; err != nil {
		t.Errorf("the request in progress: %v", err)
	}
	if b, err := io.ReadAll(slow.r); err != nil || len(b) > 0 {
		t.Errorf("its connection ends with %q, %v", b, err)
	}
	d.waitFor(t, regexp.MustCompile("nothing is left for this process"))
}
