package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// orderClient is one client over all its connections, and its record. It takes ids as the documentation says.
type orderClient struct {
	*order
	random   *rand.Rand
	kind     string
	channels []int

	last string // id to resume with
	torn string // what it was told and should not have been
	held *orderConn
	seen map[string]int  // newest number by channel; none before the first
	gap  map[string]bool // told of since then
}

// orderConn is what is known of one connection only.
type orderConn struct {
	net.Conn
	reader *bufio.Reader
	hello  string // id that counts when nothing is owed
	owed   int
}

// told is one thing that a client is told.
type told struct {
	Type, Channel, ID string
	Data              *string
	Replay            int
}

// errCut is the end of a connection, for whatever reason: come back.
var errCut = errors.New("cut")

func (c *orderClient) run(ctx context.Context) error {
	c.seen, c.gap = map[string]int{}, map[string]bool{}
	c.channels = c.random.Perm(orderChannels)[:1+c.random.IntN(2)]
	for ctx.Err() == nil {
		err := c.connection(ctx)
		if !errors.Is(err, errCut) {
			return err
		}
		time.Sleep(time.Duration(c.random.IntN(50)) * time.Millisecond)
	}
	return nil
}

// connection holds once. Nil means that the client is up to date and the end has come.
func (c *orderClient) connection(ctx context.Context) error {
	late := c.late.Load()
	addr := c.addr
	if !late && c.random.IntN(2) == 0 {
		addr = c.middleman.addr
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return errCut
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(2 * wiretest.Timeout))
	c.held = &orderConn{Conn: conn, reader: bufio.NewReader(conn)}
	if c.kind == "websocket" { // it has no ids: every connection is a record of its own
		clear(c.seen)
	}
	if c.last != "" {
		c.sum.resumes.Add(1)
	}
	if c.kind != "longpoll" {
		if err := c.ask(); err != nil {
			return err
		}
	}
	life := 1 + c.random.IntN(150) // things told
	for i := 0; ; i++ {
		if c.torn != "" {
			return errors.New("was told of " + c.torn)
		}
		if late && c.upToDate() {
			return nil
		}
		if !late && (i >= life || c.late.Load()) {
			if c.random.IntN(2) == 0 {
				conn.(*net.TCPConn).SetLinger(0)
			}
			return errCut
		}
		if err := c.read(); err != nil {
			return err
		}
	}
}

func (c *orderClient) upToDate() bool {
	for _, i := range c.channels {
		if c.seen[orderChannel(i)] < c.target[i] {
			return false
		}
	}
	return true
}

// ask sends the request for a hold and, but for a long poll, reads the head of the answer.
func (c *orderClient) ask() error {
	var q []string
	for _, i := range c.channels {
		q = append(q, "channel="+orderChannel(i))
	}
	fields := ""
	switch c.kind {
	case "websocket v1":
		fields = "Sec-WebSocket-Protocol: holdfast.v1\r\n"
		fallthrough
	case "websocket":
		fields += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	case "sse v1":
		q = append(q, "protocol=holdfast.v1")
		fallthrough
	case "sse":
		fields = "Accept: text/event-stream\r\n"
	}
	if c.last != "" {
		q = append(q, "last_id="+c.last)
	}
	if _, err := fmt.Fprintf(c.held, "GET /_push?%s HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.Join(q, "&"), fields); err != nil {
		return errCut
	}
	if c.kind == "longpoll" {
		return nil
	}
	resp, err := http.ReadResponse(c.held.reader, &http.Request{Method: http.MethodGet})
	if err != nil {
		return errCut
	}
	return status(resp)
}

// status is nil where it is held, and errCut where it may be asked again.
func status(resp *http.Response) error {
	switch resp.StatusCode {
	case 101, 200:
		return nil
	case 503:
		return errCut
	}
	return fmt.Errorf("answered %s", resp.Status)
}

// read takes the next thing that the client is told.
func (c *orderClient) read() error {
	switch c.kind {
	case "longpoll":
		return c.poll()
	case "sse", "sse v1":
		return c.event()
	}
	return c.frame()
}

func (c *orderClient) poll() error {
	if err := c.ask(); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.held.reader, &http.Request{Method: http.MethodGet})
	if err != nil {
		return errCut
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return errCut
	}
	if err := status(resp); err != nil {
		return err
	}
	var a struct {
		Messages []told
		Next     string
		Gap      []string
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("answered %q: %w", body, err)
	}
	for _, channel := range a.Gap {
		c.noteGap(channel)
	}
	for _, m := range a.Messages {
		if err := c.noteMessage(*m.Data); err != nil {
			return err
		}
	}
	c.last = a.Next
	if resp.Close {
		return errCut
	}
	return nil
}

// event reads one event. An id counts when its event is complete, as WHATWG HTML says.
func (c *orderClient) event() error {
	var id, name, data string
	for {
		line, err := c.held.reader.ReadString('\n')
		if err != nil {
			return errCut
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		}
		if line == "\n" {
			break
		}
	}
	switch {
	case data == "":
		return nil
	case c.kind == "sse v1":
		return c.object([]byte(data))
	case name == "gap":
		var m told
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return fmt.Errorf("gap %q: %w", data, err)
		}
		c.noteGap(m.Channel)
	default:
		if err := c.noteMessage(data); err != nil {
			return err
		}
	}
	if id != "" {
		c.last = id
	}
	return nil
}

// frame reads one frame.
func (c *orderClient) frame() error {
	r := c.held.reader
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return errCut
	}
	n := int(h[1])
	if n == 126 {
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return errCut
		}
		n = int(binary.BigEndian.Uint16(b[:]))
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return errCut
	}
	switch {
	case h[0] == 0x89: // ping: no run is long enough to answer it
		return nil
	case h[0] == 0x88:
		return errCut
	case h[0] != 0x81:
		return fmt.Errorf("frame %x", h)
	case c.kind == "websocket v1":
		return c.object(payload)
	}
	return c.noteMessage(string(payload))
}

// object takes an object of the subprotocol.
func (c *orderClient) object(text []byte) error {
	var m told
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("told %q: %w", text, err)
	}
	l := c.held
	switch {
	case m.Type == "hello":
		l.hello, l.owed = m.ID, m.Replay
	case m.Type == "gap":
		l.owed--
		c.noteGap(m.Channel)
	case m.Data != nil:
		l.owed--
		if err := c.noteMessage(*m.Data); err != nil {
			return err
		}
		c.last = m.ID
	}
	if l.hello != "" && l.owed <= 0 {
		c.last, l.hello = max(c.last, l.hello), ""
	}
	return nil
}

func (c *orderClient) noteGap(channel string) {
	c.gap[channel] = true
	c.sum.gaps.Add(1)
	if _, begun := c.seen[channel]; begun && c.file != "" && strings.HasPrefix(channel, "all.") {
		c.torn = "a gap of " + channel + ", which keeps everything on disk"
	}
}

// noteMessage compares a message with what came before it.
func (c *orderClient) noteMessage(data string) error {
	channel, number, _ := strings.Cut(data, "/")
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		return fmt.Errorf("was told %q", data)
	}
	c.sum.messages.Add(1)
	before, again := c.seen[channel]
	switch {
	case again && n <= before:
		return fmt.Errorf("was told %s after %d", data, before)
	case again && !c.gap[channel]:
		if lost := c.acknowledged(channel, before, n); lost > 0 {
			return fmt.Errorf("was told %s after %d, of no gap, and %d was acknowledged (last id %s)", data, before, lost, c.last)
		}
	}
	c.seen[channel] = n
	delete(c.gap, channel)
	return nil
}

// middleman passes connections on to the server, and cuts each after some bytes of what the server says.
type middleman struct {
	addr  string
	ln    net.Listener
	group sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
}

func newMiddleman(t *testing.T, o *order) *middleman {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middleman{addr: ln.Addr().String(), ln: ln, conns: map[net.Conn]bool{}}
	server, random := o.addr, rand.New(rand.NewPCG(o.seed, 3))
	m.group.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			limit, reset := random.Int64N(6000), random.IntN(2) == 0
			m.group.Go(func() { m.pass(client, server, limit, reset, o) })
		}
	})
	return m
}

func (m *middleman) pass(client net.Conn, addr string, limit int64, reset bool, o *order) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	m.mu.Lock()
	closed := m.conns == nil
	if !closed {
		m.conns[client], m.conns[server] = true, true
	}
	m.mu.Unlock()
	if closed {
		return
	}
	m.group.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	if n, _ := io.CopyN(client, server, limit); n == limit {
		o.sum.cuts.Add(1)
	}
	if reset {
		server.(*net.TCPConn).SetLinger(0)
		client.(*net.TCPConn).SetLinger(0)
	}
	m.mu.Lock()
	delete(m.conns, client)
	delete(m.conns, server)
	m.mu.Unlock()
}

func (m *middleman) close() {
	m.ln.Close()
	m.mu.Lock()
	for c := range m.conns {
		c.Close()
	}
	m.conns = nil
	m.mu.Unlock()
	m.group.Wait()
}
