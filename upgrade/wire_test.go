package upgrade_test

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"holdfast/upgrade"
)

// wire is how the tests speak a dialect, and what they expect of it.
type wire struct {
	transport string
	query     string   // of its request, beside the channels
	fields    []string // of its request

	begin   func(c *client, resp *http.Response) // checks the response and reads what comes before the first message
	fill    func(c *client)                      // reads what comes next into c.queue
	beat    func(c *client)                      // reads up to a heartbeat, and answers it
	over    func(c *client, status int)          // checks the end of a hold that is not allowed any more
	drained func(c *client)                      // checks the end of a hold at shutdown

	asksAgain    bool // each request is answered once
	upgrades     bool // it is a WebSocket
	postponed    bool // a request that can't be served now gets a stream that tells when to come back
	oneLineEnd   bool // data has but one kind of line end
	noID         bool // messages have no id, and there are no gaps
	noChannel    bool // messages don't tell their channel
	tellsChanges bool // of its channels
}

// wires are the dialects by their names. Each that is registered must have one.
var wires = map[string]*wire{}

func init() { // as they refer to wires themselves
	wires["websocket"] = &wire{
		transport: "websocket", fields: upgradeFields, upgrades: true, noID: true, noChannel: true,
		begin: beginWebSocket, fill: func(c *client) { c.frame(false) }, beat: pingOf, over: overWebSocket, drained: drainedWebSocket,
	}
	wires["websocket v1"] = &wire{
		transport: "websocket", fields: append([]string{"Sec-WebSocket-Protocol: other, holdfast.v1"}, upgradeFields...), upgrades: true, tellsChanges: true,
		begin: func(c *client, resp *http.Response) { beginWebSocket(c, resp); wantHello(c) },
		fill:  func(c *client) { c.frame(true) }, beat: pingOf, over: overWebSocket, drained: drainedWebSocket,
	}
	wires["sse"] = &wire{
		transport: "sse", fields: []string{"Accept: text/event-stream"}, postponed: true, oneLineEnd: true, noChannel: true,
		begin: beginSSE, fill: fillSSE, beat: func(c *client) { c.line(":\n") }, over: overStream, drained: drainedSSE,
	}
	wires["sse v1"] = &wire{
		transport: "sse", query: "&protocol=holdfast.v1", fields: []string{"Accept: text/event-stream"}, postponed: true, tellsChanges: true,
		begin: func(c *client, resp *http.Response) { beginSSE(c, resp); wantHello(c) },
		fill:  fillSSEV1, beat: func(c *client) { c.line("data: {\"type\":\"ping\"}\n") }, over: overStream, drained: drainedSSE,
	}
	wires["longpoll"] = &wire{
		transport: "longpoll", asksAgain: true,
		fill: fillPoll, over: overPoll, drained: drainedPoll,
	}
}

const key = "dGhlIHNhbXBsZSBub25jZQ=="

var upgradeFields = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key}

// kinds are the names of all dialects; every hold test runs for each.
var kinds = upgrade.DialectNames()

func run(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { f(t, kind) })
	}
}

// streams are the dialects that send message after message.
func streams() (list []string) {
	for _, kind := range kinds {
		if !wires[kind].asksAgain {
			list = append(list, kind)
		}
	}
	return list
}

// request is the raw head that asks for a hold of the kind.
func request(kind, target string, fields ...string) string {
	w := wires[kind]
	list := append([]string{"GET " + target + w.query + " HTTP/1.1", "Host: app.test"}, fields...)
	return strings.Join(append(list, w.fields...), "\r\n") + "\r\n\r\n"
}

func beginWebSocket(c *client, resp *http.Response) {
	c.t.Helper()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) ||
		(c.kind == "websocket v1") != (resp.Header.Get("Sec-WebSocket-Protocol") == "holdfast.v1") {
		c.t.Fatalf("%s: answered %d %v", c.kind, resp.StatusCode, resp.Header)
	}
}

func wantHello(c *client) {
	c.t.Helper()
	if m := c.recv(); m.Type != "hello" || m.ID == "" {
		c.t.Fatalf("%s: begins with %+v; want hello", c.kind, m)
	}
}

// frame reads one frame of a server, answers pings, and queues the rest.
func (c *client) frame(v1 bool) {
	c.t.Helper()
	op, payload, err := readFrame(c.Reader)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("nothing came")
	}
	switch {
	case err != nil:
		c.queue = append(c.queue, message{Type: "end"})
	case op == 9:
		c.beats++
		c.Send(frame(true, 10, payload))
		c.frame(v1)
	case op == 8:
		m := message{Type: "close"}
		if len(payload) >= 2 {
			m.Code, m.Data = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
		c.queue = append(c.queue, m)
	case op == 10:
		c.queue = append(c.queue, message{Type: "pong", Data: string(payload)})
	case v1:
		if op != 1 {
			c.t.Fatalf("frame %d %q", op, payload)
		}
		c.queue = append(c.queue, objectOf(c.t, string(payload)))
	default:
		c.queue = append(c.queue, message{Type: "message", Data: string(payload)})
	}
}

func pingOf(c *client) {
	c.t.Helper()
	for op := byte(0); op != 9; {
		var err error
		if op, _, err = readFrame(c.Reader); err != nil {
			c.t.Fatal(err)
		}
	}
	c.Send(frame(true, 10, nil))
}

func overWebSocket(c *client, status int) {
	c.t.Helper()
	want := 4000 + status
	if status == 503 {
		want = 1013
	}
	if m := c.recv(); m.Type != "close" || m.Code != want {
		c.t.Errorf("%s was told %+v; want a close with %d", c.kind, m, want)
	}
}

func drainedWebSocket(c *client) {
	c.t.Helper()
	if m := c.recv(); m.Type != "close" || m.Code != 1001 {
		c.t.Errorf("told %+v; want a close with 1001", m)
	}
	c.Send(frame(true, 8, []byte{3, 0xe9}))
	if _, reset := c.Rest(); reset {
		c.t.Error("reset after the close handshake")
	}
}

func beginSSE(c *client, resp *http.Response) {
	c.t.Helper()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.ContentLength != -1 ||
		resp.Header.Get("Cache-Control") != "no-store, no-transform" {
		c.t.Fatalf("%s: answered %d %v", c.kind, resp.StatusCode, resp.Header)
	}
	if hint := c.event(); hint["retry"] == "" {
		c.t.Fatalf("the stream begins with %v; want a retry", hint)
	}
}

func fillSSE(c *client) {
	c.t.Helper()
	e := c.event()
	switch {
	case e == nil:
		c.queue = append(c.queue, message{Type: "end"})
	case e["event"] == "gap":
		m := objectOf(c.t, e["data"])
		c.queue = append(c.queue, message{Type: "gap", Channel: m.Channel, ID: e["id"]})
	default:
		c.queue = append(c.queue, message{Type: "message", ID: e["id"], Event: e["event"], Data: e["data"]})
	}
}

func fillSSEV1(c *client) {
	c.t.Helper()
	e := c.event()
	if e == nil {
		c.queue = append(c.queue, message{Type: "end"})
		return
	}
	if e["data"] != "" { // else it is the hint when to come back
		if m := objectOf(c.t, e["data"]); m.Type != "ping" {
			c.queue = append(c.queue, m)
			return
		}
		c.beats++
	}
	fillSSEV1(c)
}

// event reads one event of a stream, as WHATWG HTML §9.2.6 says, or nil at its end.
func (c *client) event() map[string]string {
	c.t.Helper()
	e := map[string]string{}
	for {
		line, err := c.Reader.ReadString('\n')
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Fatalf("nothing came")
			}
			return nil
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, value, _ := strings.Cut(line, ":"); {
		case line == "":
			if len(e) > 0 {
				return e
			}
		case name == "":
			c.beats++
		default:
			value = strings.TrimPrefix(value, " ")
			if before, ok := e[name]; ok && name == "data" {
				value = before + "\n" + value
			}
			e[name] = value
		}
	}
}

// line reads lines up to one.
func (c *client) line(want string) {
	c.t.Helper()
	for line := ""; line != want; {
		var err error
		if line, err = c.Reader.ReadString('\n'); err != nil {
			c.t.Fatal(err)
		}
	}
}

func overStream(c *client, _ int) {
	c.t.Helper()
	if m := c.recv(); m.Type != "end" {
		c.t.Errorf("%s was told %+v; want the end", c.kind, m)
	}
}

func drainedSSE(c *client) {
	c.t.Helper()
	if e := c.event(); e["retry"] == "" {
		c.t.Errorf("told %v; want a retry", e)
	}
	if e := c.event(); e != nil {
		c.t.Errorf("then told %v; want the end", e)
	}
}

func fillPoll(c *client) {
	c.t.Helper()
	for len(c.queue) == 0 {
		c.answer()
	}
}

// answer reads the answer to a poll, after asking if need be.
func (c *client) answer() {
	c.t.Helper()
	if !c.asked {
		c.poll()
	}
	resp, body := c.Response(http.MethodGet)
	c.asked = false
	var a struct {
		Messages []json.RawMessage
		Next     string
		Gap      []string
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || resp.StatusCode != 200 || a.Next == "" {
		c.t.Fatalf("answered %d %q: %v", resp.StatusCode, body, err)
	}
	c.last = a.Next
	for _, g := range a.Gap {
		c.queue = append(c.queue, message{Type: "gap", Channel: g})
	}
	for _, m := range a.Messages {
		c.queue = append(c.queue, objectOf(c.t, string(m)))
	}
}

func overPoll(c *client, status int) {
	c.t.Helper()
	if !c.asked {
		c.poll()
	}
	if resp, body := c.Response(http.MethodGet); resp.StatusCode != status || !strings.Contains(body, `"error"`) {
		c.t.Errorf("longpoll was answered %d %s; want %d", resp.StatusCode, body, status)
	}
}

func drainedPoll(c *client) {
	c.t.Helper()
	resp, body := c.Response(http.MethodGet)
	if resp.StatusCode != 200 || !strings.Contains(body, `"messages":[]`) || !resp.Close {
		c.t.Errorf("answered %d %s, close %v", resp.StatusCode, body, resp.Close)
	}
}

// objectOf reads an object of the subprotocol, or of a long poll's list.
func objectOf(t testing.TB, text string) (m message) {
	t.Helper()
	var o struct {
		Type, Channel, ID, Event, Error string
		Data                            json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("told %.100q: %v", text, err)
	}
	m = message{Type: o.Type, Channel: o.Channel, ID: o.ID, Event: o.Event}
	if m.Type == "" {
		m.Type = "message"
	}
	if json.Unmarshal(o.Data, &m.Data) != nil {
		m.Data = string(o.Data)
	}
	if m.Type == "error" {
		m.Data = o.Error
	}
	return m
}

// TestEveryDialectIsTested checks that a dialect that is registered has a wire.
func TestEveryDialectIsTested(t *testing.T) {
	for _, kind := range kinds {
		if wires[kind] == nil {
			t.Errorf("%s has no wire, by which the hold tests speak it", kind)
		}
	}
	if len(wires) != len(kinds) {
		t.Errorf("%d wires, and dialects %s", len(wires), fmt.Sprint(kinds))
	}
}
