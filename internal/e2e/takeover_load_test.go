//go:build e2e && linux

package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"holdfast/internal/wiretest"
)

// audience is what clients and the app do while processes take over from each other: held connections of every kind, with
// TLS and without, a publish every 10 ms, requests, connections that wait for one, and a tunnel.
type audience struct {
	listen, secure, hooks string // addresses; without secure, nobody uses TLS

	group  sync.WaitGroup
	stopc  chan struct{}
	ending atomic.Bool
	fail   func(format string, args ...any)

	holds     []*listener
	published []atomic.Int64  // messages of each channel
	count     atomic.Int64    // of all
	publishes []time.Duration // how long each took
	requests  atomic.Int64
	idle      []*keepAlive
}

// audienceChannels is how many channels the held connections are on.
const audienceChannels = 60

// channelName returns the name of a channel by its number.
func channelName(n int) string { return "public.audience." + strconv.Itoa(n) }

func (x *audience) dial(secure bool) (net.Conn, error) {
	if !secure || x.secure == "" {
		return net.Dial("tcp", x.listen)
	}
	_, pool := wiretest.Certificate()
	return tls.Dial("tcp", x.secure, &tls.Config{RootCAs: pool, ServerName: "app.test", MinVersion: tls.VersionTLS13})
}

// listener is a held connection. All but the delay belong to its goroutine.
type listener struct {
	kind    string
	channel int
	secure  bool
	conn    net.Conn
	last    atomic.Int64 // number of the newest message
	delay   atomic.Int64 // the longest from a publish to its arrival, in nanoseconds
}

// heldKinds are the kinds of held connections.
var heldKinds = []string{"websocket", "websocket v1", "sse", "ndjson", "poll"}

// subscribe begins n held connections: equally many of each kind, a third of them with TLS.
func (x *audience) subscribe(t *testing.T, n int) {
	t.Helper()
	x.published = make([]atomic.Int64, audienceChannels)
	ready := make(chan error, n)
	gate := make(chan struct{}, 100)
	for i := range n {
		h := &listener{kind: heldKinds[i%len(heldKinds)], channel: i % audienceChannels, secure: i%3 == 0}
		x.holds = append(x.holds, h)
		x.group.Go(func() {
			gate <- struct{}{}
			next, err := x.open(h)
			<-gate
			ready <- err
			if err == nil {
				x.receive(h, next)
			}
		})
	}
	for range n {
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
	}
}

// open begins a held connection, and returns what receives text with messages.
func (x *audience) open(h *listener) (next func() (string, error), err error) {
	if h.conn, err = x.dial(h.secure); err != nil {
		return nil, err
	}
	path := "/_push?channel=" + channelName(h.channel)
	if strings.HasPrefix(h.kind, "websocket") {
		d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return h.conn, nil }}
		if h.kind == "websocket v1" {
			d.Subprotocols = []string{"holdfast.v1"}
		}
		ws, _, err := d.Dial("ws://app.test"+path, nil)
		if err != nil {
			return nil, err
		}
		return func() (string, error) {
			_, text, err := ws.ReadMessage()
			return string(text), err
		}, nil
	}
	r := bufio.NewReader(h.conn)
	if h.kind == "poll" {
		return x.poller(h, r, path), nil
	}
	accept := map[string]string{"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[h.kind]
	resp, err := ask(h.conn, r, "GET "+path+" HTTP/1.1\r\nHost: app.test\r\nAccept: "+accept+"\r\n\r\n")
	if err != nil {
		return nil, err
	}
	body := bufio.NewReader(resp.Body)
	return func() (string, error) { return body.ReadString('\n') }, nil
}

// ask sends a request and reads the head of the response, which has to be 200.
func ask(c net.Conn, r *bufio.Reader, request string) (*http.Response, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s for %q", resp.Status, request)
	}
	return resp, err
}

// poller polls on one connection.
func (x *audience) poller(h *listener, r *bufio.Reader, path string) func() (string, error) {
	after := ""
	return func() (string, error) {
		resp, err := ask(h.conn, r, "GET "+path+after+" HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return "", err
		}
		var answer struct{ Next string }
		if err := json.Unmarshal(body, &answer); err != nil {
			return "", fmt.Errorf("%w: %s", err, body)
		}
		after = "&last_id=" + url.QueryEscape(answer.Next)
		return string(body), nil
	}
}

// message is the data of a message: its channel, its number there, and when it was published.
var message = regexp.MustCompile(`\[(\d+):(\d+):(\d+)\]`)

// receive checks that each message comes once and in order, until the end.
func (x *audience) receive(h *listener, next func() (string, error)) {
	for {
		text, err := next()
		if x.ending.Load() {
			return
		}
		if err != nil {
			x.fail("%s (TLS: %t): closed after message %d: %v", h.kind, h.secure, h.last.Load(), err)
			return
		}
		if strings.Contains(text, `"gap"`) || strings.Contains(text, "event: gap") {
			x.fail("%s: told of a gap: %q", h.kind, text)
		}
		for _, m := range message.FindAllStringSubmatch(text, -1) {
			channel, _ := strconv.Atoi(m[1])
			n, _ := strconv.ParseInt(m[2], 10, 64)
			at, _ := strconv.ParseInt(m[3], 10, 64)
			if last := h.last.Load(); channel != h.channel || n != last+1 {
				x.fail("%s (TLS: %t) of channel %d: got message %d of %d after %d", h.kind, h.secure, h.channel, n, channel, last)
			}
			h.last.Store(n)
			if delay := time.Now().UnixNano() - at; delay > h.delay.Load() {
				h.delay.Store(delay)
			}
		}
	}
}

// publish publishes every 10 ms, on one connection as long as that is kept, until the end.
func (x *audience) publish() {
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-x.stopc:
			return
		case <-tick.C:
			begun := time.Now()
			channel := i % audienceChannels
			data := fmt.Sprintf("[%d:%d:%d]", channel, x.published[channel].Load()+1, begun.UnixNano())
			resp, err := client.Post("http://"+x.hooks+"/publish?channel="+channelName(channel), "text/plain", strings.NewReader(data))
			if err != nil {
				x.fail("publish %d: %v", i, err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 {
				x.fail("publish %d: %s %s, %v", i, resp.Status, body, err)
			}
			x.published[channel].Add(1)
			x.count.Add(1)
			x.publishes = append(x.publishes, time.Since(begun))
		}
	}
}

// audienceApp is the app: it echoes the path, takes its time for /slow, and has a WebSocket of its own.
func audienceApp(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		echoTunnel(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/slow") {
		time.Sleep(50 * time.Millisecond)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "%s %d", r.URL.Path, len(body))
}

// echoTunnel upgrades to a protocol that echoes lines.
func echoTunnel(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, line)
	}
}

// keepAlive is a connection with requests one after the other.
type keepAlive struct {
	net.Conn
	r *bufio.Reader
}

func (x *audience) keepAlive(secure bool) (*keepAlive, error) {
	c, err := x.dial(secure)
	if err != nil {
		return nil, err
	}
	return &keepAlive{c, bufio.NewReader(c)}, nil
}

// request sends one request and checks the response.
func (c *keepAlive) request(path string, body []byte) error {
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: app.test\r\n\r\n", path)
	if body != nil {
		head = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	resp, err := ask(c, c.r, head)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf("%s %d", path, len(body)); err != nil || string(got) != want {
		return fmt.Errorf("got %q, %v; want %q", got, err, want)
	}
	return nil
}

// visit sends requests until the end: on one connection, or each on a new one.
func (x *audience) visit(n int) {
	var c *keepAlive
	body := bytes.Repeat([]byte{'x'}, 10_000)
	for i := 0; ; i++ {
		select {
		case <-x.stopc:
			if c != nil {
				c.Close()
			}
			return
		default:
		}
		var err error
		if c == nil {
			if c, err = x.keepAlive(n%3 == 0); err != nil {
				x.fail("visitor %d, request %d: %v", n, i, err)
				return
			}
		}
		switch path := fmt.Sprintf("/%d/%d", n, i); i % 5 {
		case 0:
			err = c.request("/slow"+path, nil)
		case 1:
			err = c.request(path, body)
		default:
			err = c.request(path, nil)
		}
		if err != nil {
			x.fail("visitor %d (TLS: %t), request %d: %v", n, n%3 == 0, i, err)
			return
		}
		x.requests.Add(1)
		if n%4 == 3 {
			c.Close()
			c = nil
		}
	}
}

// begin starts everything but the holds.
func (x *audience) begin(t *testing.T, visitors, idle int) (tunnel *keepAlive) {
	t.Helper()
	for i := range idle {
		c, err := x.keepAlive(i%3 == 0)
		if err == nil {
			err = c.request("/first", nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		x.idle = append(x.idle, c)
	}
	tunnel, err := x.keepAlive(false)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(tunnel, "GET /tunnel HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if resp, err := http.ReadResponse(tunnel.r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	for n := range visitors {
		x.group.Go(func() { x.visit(n) })
	}
	x.group.Go(x.publish)
	return tunnel
}

// end stops the load, and checks that everybody has everything.
func (x *audience) end(t *testing.T, tunnel *keepAlive) {
	t.Helper()
	close(x.stopc)
	late := func() (list []string) {
		for _, h := range x.holds {
			if want := x.published[h.channel].Load(); h.last.Load() != want {
				list = append(list, fmt.Sprintf("%s (TLS: %t) has %d of %d", h.kind, h.secure, h.last.Load(), want))
			}
		}
		return list
	}
	for by := time.Now().Add(patience); len(late()) > 0 && time.Now().Before(by) && !t.Failed(); {
		time.Sleep(20 * time.Millisecond)
	}
	if list := late(); len(list) > 0 {
		t.Errorf("%d connections miss messages: %s", len(list), strings.Join(list[:min(len(list), 10)], "; "))
	}
	for i, c := range x.idle {
		if err := c.request("/last", nil); err != nil {
			t.Errorf("idle connection %d: %v", i, err)
		}
		c.Close()
	}
	if err := echoLine(tunnel, "the end"); err != nil {
		t.Errorf("the tunnel: %v", err)
	}
	tunnel.Close()
	x.ending.Store(true)
	for _, h := range x.holds {
		h.conn.Close()
	}
	x.group.Wait()
}

func echoLine(c *keepAlive, line string) error {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	got, err := c.r.ReadString('\n')
	if err == nil && got != line+"\n" {
		err = errors.New(got)
	}
	return err
}

// figures returns what the load has seen.
func (x *audience) figures() string {
	slices.Sort(x.publishes)
	longest := time.Duration(0)
	for _, h := range x.holds {
		longest = max(longest, time.Duration(h.delay.Load()))
	}
	at := func(q float64) time.Duration {
		return x.publishes[int(q*float64(len(x.publishes)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d held, %d publishes (p50 %v, p99 %v, longest %v), longest from publish to a client %v, %d requests",
		len(x.holds), len(x.publishes), at(0.5), at(0.99), at(1), longest.Round(100*time.Microsecond), x.requests.Load())
}
