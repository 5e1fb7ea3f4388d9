package upgrade_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/route"
	"holdfast/internal/subscribe"
	"holdfast/internal/tlsconn"
	"holdfast/internal/wiretest"
	"holdfast/proxy"
	"holdfast/upgrade"
)

// Tests that are parallel wait for deadlines, not for processors. The command line, which is read later, may say another
// number.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "16")
	wiretest.Main(m)
}

// world is the rooms, wired as the command wires them, in front of an app that echoes the target.
type world struct {
	addr   string
	hub    *hub.Hub
	keeper *upgrade.Keeper
	proxy  *proxy.Proxy
	poller *park.Poller
	tls    *tlsconn.Server // nil: clients use none
	app    *wiretest.Upstream
}

// start opens channels "public.**" to everybody, "user.**" to whom authorize lets in, "signed.**" with a token; "old.**" keeps two
// messages, and every other channel has no rule. Patterns are allowed where their first segment has one.
func start(t testing.TB, change ...func(*upgrade.Options)) *world {
	t.Helper()
	return startBehind(t, nil, change...)
}

// rules are those of start, behind some that come first.
func rules(first ...channel.Rule) *channel.Rules {
	return channel.Compile(append(first,
		channel.Rule{Match: "public.**", Access: channel.Public, Wildcards: true},
		channel.Rule{Match: "old.**", Access: channel.Public, Wildcards: true},
		channel.Rule{Match: "user.**", Access: channel.Authorize, Wildcards: true},
		channel.Rule{Match: "signed.**", Access: channel.Token, Wildcards: true},
	))
}

// askFunc is an app that is asked.
type askFunc func(auth.Request) (auth.Result, error)

func (f askFunc) Authorize(q auth.Request) (auth.Result, error) { return f(q) }

// verifyFunc reads tokens.
type verifyFunc func(string) (auth.TokenGrant, error)

func (f verifyFunc) Verify(text string) (auth.TokenGrant, error) { return f(text) }

// startBehind is start with trusted proxies.
func startBehind(t testing.TB, trusted func(netip.Addr) bool, change ...func(*upgrade.Options)) *world {
	t.Helper()
	w := build(t, trusted, change...)
	w.serve(t)
	return w
}

// serve listens, and runs the loops until the end of the test.
func (w *world) serve(t testing.TB) {
	t.Helper()
	ln := wiretest.Listen(t)
	w.addr = ln.Addr().String()
	accept := w.proxy.Accept
	if w.tls != nil {
		accept = w.tls.Accept(accept)
	}
	if err := w.poller.Listen(ln, accept); err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); w.poller.Serve() }()
	t.Cleanup(func() { w.poller.Shutdown(); <-donec })
}

// build is startBehind without a listener, and without anything that runs.
func build(t testing.TB, trusted func(netip.Addr) bool, change ...func(*upgrade.Options)) *world {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w := &world{app: wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.RequestURI), r.RequestURI)
	}))}
	var err error
	if w.poller, err = park.New(park.Options{Loops: 2, Log: log}); err != nil {
		t.Fatal(err)
	}
	if wiretest.Secure() {
		cert, _ := wiretest.Certificate()
		w.tls = tlsconn.NewServer(w.poller, tlsconn.Options{Config: &tls.Config{Certificates: []tls.Certificate{cert}}})
	}
	w.hub = hub.New(hub.Options{Lanes: 2, Wildcards: true, Rule: func(c string) (hub.History, bool) {
		switch first, _, _ := strings.Cut(c, "."); first {
		case "public", "user", "signed":
			return hub.History{Messages: 10000, Age: time.Hour, Bytes: 64 << 20}, true
		case "old":
			return hub.History{Messages: 2, Age: time.Hour, Bytes: 1 << 20}, true
		}
		return hub.History{}, false
	}})
	o := upgrade.Options{
		Settings: subscribe.Settings{
			Heartbeat: wiretest.Timeout, Wait: wiretest.Timeout, MaxWait: 2 * wiretest.Timeout,
			MaxChannels: 32, MaxMessage: 4 << 10, MessageRate: 1000, SendQueue: 64 << 10, SendQueueTotal: 1 << 30, Rules: rules(),
		},
		Paths: []string{"/_push"}, Hub: w.hub, Poller: w.poller, Log: log,
		Resume: func(c *park.Conn, rest []byte, more bool) { w.proxy.Resume(c, rest, more) },
	}
	for _, f := range change {
		f(&o)
	}
	w.keeper = upgrade.New(o)
	w.proxy = proxy.New(w.poller, proxy.Options{
		Upstreams: []proxy.Upstream{{Network: "tcp", Address: w.app.Addr, Host: w.app.Addr}}, Pool: 8, PoolIdle: 5 * time.Second,
		HeaderTime: wiretest.Timeout, IdleTime: wiretest.Timeout,
		Settings: route.Settings{
			BodyTime: wiretest.Timeout, SendTime: wiretest.Timeout, ConnectTime: wiretest.Timeout, UpstreamTime: wiretest.Timeout,
			TunnelTime: wiretest.Timeout,
		},
		HeaderBytes: 256 << 10, HeaderFields: 100, Trusted: trusted, Local: w.keeper, Log: log,
	})
	return w
}

// expire lets the time run out of every connection's deadline, as their loops will when they come to it.
func (w *world) expire() {
	for _, l := range w.poller.Loops() {
		l.Post(func() {
			l.Each(func(c *park.Conn) { c.Handler().Ready(c, park.Expired) })
		})
	}
}

// publish publishes data and returns its id.
func (w *world) publish(t testing.TB, data string, channels ...string) string {
	t.Helper()
	r, err := w.hub.Publish([]hub.Draft{{Channels: channels, Data: []byte(data)}})
	if err != nil {
		t.Fatal(err)
	}
	return r[0].ID.String()
}

func (w *world) held() (n int64) {
	for _, v := range w.keeper.Stats().Held {
		n += v
	}
	return n
}

// rejected is how many subscribe requests were, for whatever reason.
func (w *world) rejected() (n int64) {
	for _, v := range w.keeper.Stats().Rejected {
		n += v
	}
	return n
}

func (w *world) waitHeld(t testing.TB, n int64) {
	t.Helper()
	wiretest.Eventually(t, fmt.Sprintf("%d are held", n), func() bool { return w.held() == n })
}

// message is what a client was told, whatever the kind.
type message struct {
	Type, Channel, ID, Event, Data string // Type: message, gap, close or end
	Code                           int    // of a close
}

// String keeps a failed test's output short: a message of a megabyte says no more than its beginning.
func (m message) String() string {
	return fmt.Sprintf("{%s channel=%q id=%q event=%q code=%d, %d bytes of data: %.60q}", m.Type, m.Channel, m.ID, m.Event, m.Code, len(m.Data), m.Data)
}

// client is a held client of any kind that reads message after message; a long poll polls again.
type client struct {
	*wiretest.Client
	t      testing.TB
	kind   string
	target string
	fields []string
	queue  []message
	last   string // id to resume with
	asked  bool   // a poll is under way
	beats  int    // signs of life so far
}

// hold opens a client and reads what comes before the first message.
func (w *world) hold(t testing.TB, kind, query string, fields ...string) *client {
	t.Helper()
	c := &client{Client: wiretest.Dial(t, w.addr), t: t, kind: kind, target: "/_push?" + query, fields: fields}
	if wires[kind].asksAgain {
		c.poll()
		return c
	}
	c.Send(request(kind, c.target, fields...))
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	wires[kind].begin(c, resp)
	return c
}

func (c *client) poll() {
	target := c.target
	if c.last != "" {
		target, _, _ = strings.Cut(target, "&last_id=")
		target += "&last_id=" + c.last
	}
	c.Send(request(c.kind, target, c.fields...))
	c.asked = true
}

// recv returns what the client is told next.
func (c *client) recv() message {
	c.t.Helper()
	if len(c.queue) == 0 {
		c.fill()
	}
	m := c.queue[0]
	c.queue = c.queue[1:]
	return m
}

// expect reads messages of one channel, in order.
func (c *client) expect(data ...string) {
	c.t.Helper()
	for _, want := range data {
		if m := c.recv(); m.Type != "message" || m.Data != want {
			c.t.Fatalf("%s was told %+v; want %q", c.kind, m, want)
		}
	}
}

func (c *client) fill() { c.t.Helper(); wires[c.kind].fill(c) }

// readFrame reads a whole frame that is not masked (RFC 6455 §5.2).
func readFrame(r io.Reader) (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	if h[0]&0xf0 != 0x80 || h[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame %x: not final, reserved bits or masked", h)
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err == nil {
		payload = make([]byte, n)
		_, err = io.ReadFull(r, payload)
	}
	return h[0] & 15, payload, err
}

// frame is one of a client: masked.
func frame(fin bool, op byte, payload []byte) string {
	var b bytes.Buffer
	if fin {
		op |= 0x80
	}
	b.WriteByte(op)
	switch n := len(payload); {
	case n < 126:
		b.WriteByte(0x80 | byte(n))
	case n < 1<<16:
		b.Write([]byte{0x80 | 126, byte(n >> 8), byte(n)})
	default:
		b.WriteByte(0x80 | 127)
		binary.Write(&b, binary.BigEndian, uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b.Write(mask[:])
	for i, c := range payload {
		b.WriteByte(c ^ mask[i%4])
	}
	return b.String()
}

func redial(t testing.TB, addr string) *wiretest.Client { return wiretest.Dial(t, addr) }

// openAccessLog opens an access log. What is left of it is written, and the file closed, when the test ends.
func openAccessLog(t *testing.T, path string) *accesslog.Log {
	t.Helper()
	log, err := accesslog.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		log.Serve(ctx, func(err error) { t.Error(err) })
	})
	return log
}
