//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	stalled        = 1000      // of many, who stop reading
	stalledPiece   = 64 << 10  // bytes of a message
	stalledPieces  = 16        // messages: 1 MB
	stalledOutbox  = 256 << 10 // push.send_queue
	stalledTotal   = 16 << 20  // push.send_queue_total, the stated cap of what slow readers cost
	stalledGarbage = 16 << 20  // of private memory besides: history and its renderings, and what is not yet collected
)

// A client's rule decides how it ends; each rule is a third of those who stall.
var stalledChannels = [...]string{"close.a", "oldest.a", "latest.a"}

// reader tallies what one client gets. Every message has two # in it, one of them at its end.
type reader struct {
	bytes, marks int
	sum          uint32
	kept         []byte // all of it, if keep
	keep         bool
}

func (r *reader) take(b []byte) {
	r.bytes += len(b)
	r.marks += bytes.Count(b, []byte("#"))
	r.sum = crc32.Update(r.sum, crc32.IEEETable, b)
	if r.keep {
		r.kept = append(r.kept, b...)
	}
}

// TestCostStalled: 1,000 of 10,000 clients stop reading during a broadcast of 1 MB. The others get every byte, the slow
// end as their rule says, all of them are counted, and memory stays under the stated cap. The times are logged.
func TestCostStalled(t *testing.T) {
	const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aG9sZGZhc3QgY3Jvd2QuLg==\r\nSec-WebSocket-Protocol: holdfast.v1\r\n"
	for name, kind := range map[string]struct{ header, gap string }{
		"sse":       {"Accept: text/event-stream\r\n", "event: gap"},
		"websocket": {handshake, `"type":"gap"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf(`
listen: %s
upstream: http://%s
hooks: {listen: %s}
push: {heartbeat: 10m, send_queue: %d, send_queue_total: %d}
channels:
  - {match: "close.*", access: public, history: {messages: 0}}
  - {match: "oldest.*", access: public, slow_subscriber: drop_oldest, history: {messages: 0}}
  - {match: "latest.*", access: public, slow_subscriber: latest_only, history: {messages: 0}}
`, listen, freeAddr(t), hooks, stalledOutbox, stalledTotal)
			})
			b := &broadcast{t: t, h: h, crowd: newCrowd(t, h.addr)}
			b.open(many-stalled, func(int) string { return stalledChannels[0] }, kind.header)
			for _, c := range b.crowd.clients {
				r := &reader{keep: len(b.readers) == 0}
				c.take = r.take
				b.readers = append(b.readers, r)
			}
			alone := b.publish(4)

			b.crowd.narrow = true
			b.open(stalled, func(i int) string { return stalledChannels[i%3] }, kind.header)
			slow := b.crowd.clients[many-stalled:]
			for _, c := range slow {
				b.crowd.stall(c)
			}
			before := h.settledMemory(t, b.crowd.pass)
			beside := b.publish(stalledPieces)
			t.Logf("p99 of the readers: %v without those who stall, %v with them; memory grew by %d kB at most",
				alone.Round(time.Millisecond), beside.Round(time.Millisecond), (b.peak-before)>>10)
			if b.peak-before > stalledTotal+stalledGarbage {
				t.Errorf("memory grew by %d kB", (b.peak-before)>>10)
			}
			b.checkReaders()
			b.checkStalled(slow, kind.gap)
			b.crowd.close()
		})
	}
}

// broadcast publishes to a crowd, one message after the other.
type broadcast struct {
	t       *testing.T
	h       *holdfast
	crowd   *crowd
	readers []*reader
	number  int // of the last message
	peak    int // of private memory
	dropped int // as the answers to the publishes say
}

func (b *broadcast) open(n int, channel func(i int) string, header string) {
	b.crowd.open(n, func(i int) string {
		return fmt.Sprintf("GET /_push?channel=%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", channel(i), b.h.addr, header)
	}, func(int) string { return "\r\n\r\n" })
	b.crowd.pass(time.Second) // what a hold begins with has come too
}

func (b *broadcast) data(number int) string {
	filler := strings.Repeat(string(rune('a'+number%26)), stalledPiece-8)
	return fmt.Sprintf("#%03d%s#", number, filler)
}

// publish publishes n messages to all three channels, each when all readers have the one before. It returns the
// median of the messages' 99th percentiles.
func (b *broadcast) publish(n int) time.Duration {
	b.t.Helper()
	var p99 []time.Duration
	for range n {
		b.number++
		answerc := make(chan waited, 1)
		begun := time.Now()
		go func() { answerc <- b.post(b.data(b.number)) }()
		arrived := make([]time.Duration, 0, len(b.readers))
		has := make([]bool, len(b.readers))
		for deadline := begun.Add(2 * patience); len(arrived) < len(b.readers); {
			if time.Now().After(deadline) {
				b.t.Fatalf("message %d reached %d of %d readers", b.number, len(arrived), len(b.readers))
			}
			b.crowd.step(100 * time.Millisecond)
			now := time.Since(begun)
			for i, r := range b.readers {
				if !has[i] && r.marks == 2*b.number {
					has[i] = true
					arrived = append(arrived, now)
				}
			}
		}
		slices.Sort(arrived)
		p99 = append(p99, arrived[len(arrived)*99/100])
		a := <-answerc
		if a.err != nil {
			b.t.Fatal(a.err)
		}
		if a.Delivered+a.Waiting+a.Dropped != a.Subscribers || a.Delivered < len(b.readers) {
			b.t.Errorf("message %d: %+v", b.number, a)
		}
		b.dropped += a.Dropped
		b.peak = max(b.peak, b.h.privateMemory(b.t))
	}
	slices.Sort(p99)
	return p99[len(p99)/2]
}

// waited is the answer to a publish that waited for its delivery.
type waited struct {
	err                                      error
	Subscribers, Delivered, Waiting, Dropped int
}

func (b *broadcast) post(data string) (a waited) {
	resp, err := http.Post(b.h.hooks+"/publish?wait=delivered&channel="+strings.Join(stalledChannels[:], "&channel="), "text/plain", strings.NewReader(data))
	if err != nil {
		return waited{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	a.err = err
	return a
}

// checkReaders wants every reader to have the same bytes, and every message in them.
func (b *broadcast) checkReaders() {
	b.t.Helper()
	first := b.readers[0]
	rest := string(first.kept)
	for n := 1; n <= b.number; n++ {
		var found bool
		if _, rest, found = strings.Cut(rest, b.data(n)); !found {
			b.t.Fatalf("message %d is not in its place", n)
		}
	}
	for i, r := range b.readers {
		if r.bytes != first.bytes || r.sum != first.sum {
			b.t.Fatalf("reader %d has %d bytes, and not those that reader 0 has, %d", i, r.bytes, first.bytes)
		}
	}
}

// checkStalled lets those who stalled read again, and wants each to end as its rule says.
func (b *broadcast) checkStalled(clients []*crowdClient, gap string) {
	b.t.Helper()
	closed := 0 // by their rule
	for _, c := range clients {
		if c.number%3 == 0 {
			closed++
		}
		c.in, c.ws = nil, false
		b.crowd.readAgain(c)
	}
	if n := b.h.metric(b.t, `holdfast_connections_closed_total{reason="slow"}`); n != closed {
		b.t.Errorf("%d were dropped as slow; want %d", n, closed)
	}
	if b.dropped < closed {
		b.t.Errorf("the publishes were told of %d that were dropped; want %d at least", b.dropped, closed)
	}
	for _, policy := range []string{"drop_oldest", "latest_only"} {
		if n := b.h.metric(b.t, fmt.Sprintf(`holdfast_messages_dropped_total{policy=%q}`, policy)); n < stalled/3 {
			b.t.Errorf("%d messages were left out by %s; want one at least for each that stalled", n, policy)
		}
	}
	last := b.data(b.number)
	done := func(c *crowdClient) bool {
		return c.number%3 == 0 && c.fd < 0 || c.number%3 != 0 && bytes.Contains(c.in, []byte(last))
	}
	for deadline := time.Now().Add(2 * patience); !allOf(clients, done); {
		if time.Now().After(deadline) {
			b.t.Fatal("some of those who stalled have not ended as their rule says")
		}
		b.crowd.step(100 * time.Millisecond)
	}
	for _, c := range clients {
		rule := stalledChannels[c.number%3]
		messages, gaps := bytes.Count(c.in, []byte("#"))/2, bytes.Count(c.in, []byte(gap))
		if messages >= b.number || rule == stalledChannels[1] && gaps != 1 || rule == stalledChannels[2] && gaps != 0 {
			b.t.Fatalf("client %d of %s got %d messages, and %d gaps", c.number, rule, messages, gaps)
		}
		if rule != stalledChannels[0] && c.fd < 0 {
			b.t.Fatalf("client %d of %s was closed", c.number, rule)
		}
	}
}

func allOf(clients []*crowdClient, f func(*crowdClient) bool) bool {
	return !slices.ContainsFunc(clients, func(c *crowdClient) bool { return !f(c) })
}
